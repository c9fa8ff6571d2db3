package awsauth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// role is a role to assume, and where.
type role struct {
	arn, session string
	external     secret.String
	duration     time.Duration
	region       string
	endpoint     string
}

// roleOf is the role that a block declares.
func (w *world) roleOf(o *Options) role {
	return role{arn: o.RoleARN, session: w.sessionName(o.SessionName), external: o.ExternalID, duration: o.Duration, region: o.Region, endpoint: o.STSEndpoint}
}

// sessionName names the session in the logs of AWS, so that its calls can be traced back to the block.
func (w *world) sessionName(given string) string {
	if given == "" {
		given = strings.TrimRight("dsrun-"+notSession().ReplaceAllString(w.env.Name, ""), "-")
	}
	return given[:min(len(given), 64)]
}

// assumeRole calls sts:AssumeRole with the base credential.
func (w *world) assumeRole(ctx context.Context, r role, base aws.CredentialsProvider) (credential.Value, error) {
	in := &sts.AssumeRoleInput{RoleArn: &r.arn, RoleSessionName: &r.session, DurationSeconds: seconds(r.duration)}
	if !r.external.IsZero() {
		in.ExternalId = aws.String(r.external.Reveal())
	}
	client := w.sts(r, base)
	var out *sts.AssumeRoleOutput
	call := func(ctx context.Context) (err error) { out, err = client.AssumeRole(ctx, in); return err }
	var err error
	if a, ok := base.(*Adapter); ok {
		err = a.Do(ctx, call)
	} else {
		err = call(ctx)
	}
	if err != nil {
		return credential.Value{}, loginError("assume role "+r.arn, err,
			"The role's trust policy must allow the caller to assume it, and external_id must be the one that it asks for.")
	}
	return sessionValue(r, out.Credentials)
}

// webIdentity calls sts:AssumeRoleWithWebIdentity with the token in the file. The call is not signed.
func (w *world) webIdentity(ctx context.Context, r role, file string) (credential.Value, error) {
	token, err := stscreds.IdentityTokenFile(file).GetIdentityToken()
	if err != nil {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "The file must hold the identity provider's token and be readable.",
			"no web identity token: %w", err)
	}
	text := w.learn(strings.TrimSpace(string(token)))
	if text == "" {
		return credential.Value{}, fault.New(fault.Unauthenticated, "the web identity token in %s is empty", file)
	}
	out, err := w.sts(r, aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &r.arn, RoleSessionName: &r.session, DurationSeconds: seconds(r.duration), WebIdentityToken: &text})
	if err != nil {
		return credential.Value{}, loginError("assume role "+r.arn+" with a web identity", err,
			"The role's trust policy must allow the token's issuer, audience and subject.")
	}
	return sessionValue(r, out.Credentials)
}

// sts returns a client of the security token service of the region, or of the global one.
func (w *world) sts(r role, c aws.CredentialsProvider) *sts.Client {
	o := sts.Options{Region: r.region, Credentials: c, HTTPClient: w.http, Retryer: aws.NopRetryer{}}
	if o.Region == "" {
		o.Region = "us-east-1"
		if r.endpoint == "" && strings.HasPrefix(r.arn, "arn:aws:") {
			r.endpoint = "https://sts.amazonaws.com" // signed for us-east-1
		}
	}
	if r.endpoint != "" {
		o.BaseEndpoint = &r.endpoint
	}
	return sts.New(o)
}

func seconds(d time.Duration) *int32 {
	if d == 0 {
		return nil
	}
	return aws.Int32(int32(d / time.Second))
}

// sessionValue is the session that the service gave; a reply without a whole one is an error.
func sessionValue(r role, c *types.Credentials) (credential.Value, error) {
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return credential.Value{}, fault.New(fault.Internal, "assume role %s: the reply holds no whole session", r.arn)
	}
	return credential.Value{Fields: keys(*c.AccessKeyId, secret.New(*c.SecretAccessKey), secret.New(*c.SessionToken)), Expires: *c.Expiration}, nil
}

// loginError is a failed step of logging in. hint helps where the step was denied.
func loginError(step string, err error, hint string) error {
	class := Classify(err)
	if class.Code == fault.PermissionDenied {
		class.Hint = hint
	}
	return &fault.Error{Class: class, Err: fmt.Errorf("%s: %w", step, Trim(err))}
}
