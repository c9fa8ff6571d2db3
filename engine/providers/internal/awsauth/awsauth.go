// Package awsauth logs in to AWS and to services that speak its protocols. It holds the credential families "aws" and
// "aws_compatible" and the adapter through which the AWS SDK uses them.
//
// A declared credential is used as declared: nothing of the environment, of shared files or of the machine's identity
// stands in for it or completes it. Only the method "default" asks those places.
package awsauth

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
)

// The fields of a credential.Value of the families "aws" and "aws_compatible". A value without access_key_id is
// anonymous: requests are sent unsigned.
const (
	FieldAccessKeyID     = "access_key_id"
	FieldSecretAccessKey = "secret_access_key"
	FieldSessionToken    = "session_token"
	FieldEndpointURL     = "endpoint_url" // aws_compatible only
)

// Adapter gives a credential.Source to the AWS SDK. It keeps nothing itself: the source caches. It is safe for
// concurrent use.
type Adapter struct{ src credential.Source }

// Credentials returns the adapter of a source. Values that expire are marked so; the source renews them in time.
func Credentials(src credential.Source) *Adapter { return &Adapter{src} }

// Retrieve implements aws.CredentialsProvider.
func (a *Adapter) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return a.retrieve(ctx, credential.Want{})
}

// Refresh gets a new value, because a service has refused the last one as expired (see Expired).
func (a *Adapter) Refresh(ctx context.Context) error {
	_, err := a.retrieve(ctx, credential.Want{Refresh: true})
	return err
}

// Do calls fn, and once more when the service refused the request in a way that another one can mend: with a new
// credential when the last one has expired, or dated anew when the machine's clock is off.
func (a *Adapter) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	err := fn(ctx)
	switch {
	case Expired(err):
		if a.Refresh(ctx) != nil {
			return err
		}
	case !Skewed(err):
		return err
	}
	return fn(ctx)
}

func (a *Adapter) retrieve(ctx context.Context, w credential.Want) (aws.Credentials, error) {
	v, err := a.src.Resolve(ctx, w)
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{
		AccessKeyID:     v.Fields[FieldAccessKeyID].Reveal(),
		SecretAccessKey: v.Fields[FieldSecretAccessKey].Reveal(),
		SessionToken:    v.Fields[FieldSessionToken].Reveal(),
		Source:          "dsrun", CanExpire: !v.Expires.IsZero(), Expires: v.Expires,
	}, nil
}

// Anonymous reports whether a source was declared as anonymous: there is nothing to sign with.
func Anonymous(src credential.Source) bool {
	a, ok := src.(interface{ Anonymous() bool })
	return ok && a.Anonymous()
}

// Region returns the region that goes with a source: the credential's `region`, that of its profile, or for the method
// "default" AWS_REGION, AWS_DEFAULT_REGION or that of the profile. "" means that none is known.
func Region(ctx context.Context, src credential.Source) string {
	r, ok := src.(interface{ Region(context.Context) string })
	if !ok {
		return ""
	}
	return r.Region(ctx)
}

// Endpoint returns the `endpoint_url` of a credential of the family "aws_compatible", or "".
func Endpoint(src credential.Source) string {
	e, ok := src.(interface{ Endpoint() string })
	if !ok {
		return ""
	}
	return e.Endpoint()
}

// Config returns the SDK's configuration for a block: its credential, its HTTP client, and no retries, because the
// portable layer tries again. Nothing of the environment is read. An empty region is filled from the credential.
func Config(env provider.Env, region string) aws.Config {
	c := aws.Config{Region: region, HTTPClient: client(env.HTTP), Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	switch {
	case env.Credential == nil || Anonymous(env.Credential):
		c.Credentials = aws.AnonymousCredentials{}
	default:
		c.Credentials = Credentials(env.Credential)
	}
	if region == "" && env.Credential != nil {
		c.Region = Region(context.Background(), env.Credential)
	}
	return c
}

func client(c *http.Client) aws.HTTPClient {
	if c == nil {
		return http.DefaultClient
	}
	return c
}
