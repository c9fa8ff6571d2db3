package awsauth

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/logincreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/signin"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// profileSource is a profile of the shared files, which are read anew for each value: `aws sso login` and others change
// them while we run.
type profileSource struct {
	w           *world
	name        string
	must        bool // somebody named the profile: that it is missing is an error
	region      string
	stsEndpoint string
}

// files are the shared configuration and credentials files.
func (w *world) files() (conf, cred string) {
	dir := filepath.Join(w.home(), ".aws")
	conf, cred = w.getenv("AWS_CONFIG_FILE"), w.getenv("AWS_SHARED_CREDENTIALS_FILE")
	if conf == "" {
		conf = filepath.Join(dir, "config")
	}
	if cred == "" {
		cred = filepath.Join(dir, "credentials")
	}
	return conf, cred
}

func (w *world) home() string {
	if h := w.getenv("HOME"); h != "" {
		return h
	}
	return w.getenv("USERPROFILE")
}

func (p *profileSource) load(ctx context.Context) (config.SharedConfig, error) {
	conf, cred := p.w.files()
	for _, file := range []string{conf, cred} {
		if err := p.w.checkFile(file); err != nil {
			return config.SharedConfig{}, err
		}
	}
	sc, err := config.LoadSharedConfigProfile(ctx, p.name, func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{conf}, []string{cred}
	})
	var none config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &none) && !p.must:
		return sc, absent("profile " + p.name)
	case errors.As(err, &none):
		return sc, fault.Hinted(fault.Unauthenticated, "Make it with `aws configure --profile NAME`, or name another.", "there is no profile %q in %s and %s", p.name, p.w.short(conf), p.w.short(cred))
	case err != nil:
		return sc, fault.New(fault.InvalidArgument, "profile %q: %w", p.name, err)
	}
	return sc, nil
}

// Resolve implements credential.Source.
func (p *profileSource) Resolve(ctx context.Context, _ credential.Want) (credential.Value, error) {
	sc, err := p.load(ctx)
	if err != nil {
		return credential.Value{}, err
	}
	v, err := p.from(ctx, &sc)
	if errors.Is(err, credential.ErrAbsent) && p.must && !p.w.ambient {
		return v, fault.Hinted(fault.Unauthenticated, "Set it up with `aws configure --profile NAME` or `aws configure sso`.", "the profile %q says nothing of how to log in", p.name)
	}
	return v, err
}

// Region is the profile's own region, or "".
func (p *profileSource) Region(ctx context.Context) string {
	sc, err := p.load(ctx)
	if err != nil {
		return ""
	}
	return sc.Region
}

// Explain implements credential.Source.
func (p *profileSource) Explain(ctx context.Context) []credential.Step {
	conf, cred := p.w.files()
	step := credential.Step{Source: fmt.Sprintf("files %s and %s [%s]", p.w.short(cred), p.w.short(conf), p.name), Used: true}
	if sc, err := p.load(ctx); err == nil {
		step.Detail = kind(&sc)
	} else if !errors.Is(err, credential.ErrAbsent) {
		step.Detail = err.Error()
	}
	return []credential.Step{step}
}

// short names a file below the home folder as a person does.
func (w *world) short(file string) string {
	if rest, ok := strings.CutPrefix(file, w.home()+string(filepath.Separator)); ok && w.home() != "" {
		return "~/" + filepath.ToSlash(rest)
	}
	return file
}

// kind says how a profile logs in.
func kind(sc *config.SharedConfig) string {
	var how string
	switch {
	case sc.Source != nil:
		how = "profile " + sc.Source.Profile
	case sc.Credentials.HasKeys():
		how = "access key"
	case sc.CredentialSource != "":
		how = "credential_source " + sc.CredentialSource
	case sc.WebIdentityTokenFile != "":
		how = "web identity token " + sc.WebIdentityTokenFile
	case sc.SSOSessionName != "" || sc.SSOStartURL != "":
		how = "SSO"
	case sc.LoginSession != "":
		how = "aws login"
	case sc.CredentialProcess != "":
		how = "credential_process"
	default:
		return "no way to log in"
	}
	if sc.RoleARN != "" {
		how += ", then role " + sc.RoleARN
	}
	return how
}

// from logs in as a profile says. The order is that of the AWS SDKs.
func (p *profileSource) from(ctx context.Context, sc *config.SharedConfig) (v credential.Value, err error) {
	w := p.w
	switch {
	case sc.Source != nil:
		v, err = p.from(ctx, sc.Source)
	case sc.Credentials.HasKeys():
		v = value(sc.Credentials)
	case sc.CredentialSource != "":
		v, err = p.named(ctx, sc.CredentialSource)
	case sc.WebIdentityTokenFile != "":
		return w.webIdentity(ctx, p.role(ctx, sc), sc.WebIdentityTokenFile)
	case sc.SSOSessionName != "" || sc.SSOStartURL != "":
		v, err = p.sso(ctx, sc)
	case sc.LoginSession != "":
		v, err = p.login(ctx, sc)
	case sc.CredentialProcess != "":
		v, err = p.process(ctx, sc)
	default:
		return v, absent("a way to log in")
	}
	if err != nil || sc.RoleARN == "" {
		return v, err
	}
	if sc.MFASerial != "" {
		return v, fault.Hinted(fault.Unauthenticated, "Log in with a tool that asks for it and writes a profile of temporary keys, and name that profile.",
			"the profile %q needs a code of a multi-factor device, which is not asked for", sc.Profile)
	}
	w.env.Redactor.AddString(v.Fields[FieldSecretAccessKey], v.Fields[FieldSessionToken])
	w.learn(sc.ExternalID)
	return w.assumeRole(ctx, p.role(ctx, sc), credentials.NewStaticCredentialsProvider(v.Fields[FieldAccessKeyID].Reveal(),
		v.Fields[FieldSecretAccessKey].Reveal(), v.Fields[FieldSessionToken].Reveal()))
}

// named is a credential_source.
func (p *profileSource) named(ctx context.Context, source string) (v credential.Value, err error) {
	switch source {
	case "Environment":
		v, err = p.w.environment(ctx, credential.Want{})
	case "EcsContainer":
		v, err = p.w.container().Resolve(ctx, credential.Want{})
	case "Ec2InstanceMetadata":
		v, err = p.w.instance().Resolve(ctx, credential.Want{})
	default:
		return v, fault.New(fault.InvalidArgument, "credential_source %q is not Environment, EcsContainer or Ec2InstanceMetadata", source)
	}
	if errors.Is(err, credential.ErrAbsent) { // the profile asks for it: no other place may stand in
		return v, fault.New(fault.Unauthenticated, "credential_source %s has no credential", source)
	}
	return v, err
}

func (p *profileSource) role(ctx context.Context, sc *config.SharedConfig) role {
	r := role{arn: sc.RoleARN, session: p.w.sessionName(sc.RoleSessionName), external: secret.New(sc.ExternalID), region: p.region, endpoint: p.stsEndpoint}
	if r.region == "" {
		r.region = sc.Region
	}
	if sc.RoleDurationSeconds != nil {
		r.duration = *sc.RoleDurationSeconds
	}
	if r.endpoint == "" {
		r.endpoint = p.serviceEndpoint(ctx, sc, "STS")
	}
	return r
}

// serviceEndpoint is the URL of a service that the environment (method "default" only) or the profile gives.
func (p *profileSource) serviceEndpoint(ctx context.Context, sc *config.SharedConfig, service string) string {
	if v := p.w.endpoint(service); v != "" {
		return v
	}
	if v, ok, err := sc.GetServiceBaseEndpoint(ctx, service); ok && err == nil {
		return v
	}
	return ""
}

// sso exchanges the token that `aws sso login` left for a role's session.
func (p *profileSource) sso(ctx context.Context, sc *config.SharedConfig) (credential.Value, error) {
	key, region := sc.SSOStartURL, sc.SSORegion
	if sc.SSOSession != nil {
		key, region = sc.SSOSession.Name, sc.SSOSession.SSORegion
	}
	sum := sha1.Sum([]byte(key)) // the file's name, by the convention of AWS's tools
	file := filepath.Join(p.w.home(), ".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json")
	so := sso.Options{Region: region, HTTPClient: p.w.http, Retryer: aws.NopRetryer{}, Credentials: aws.AnonymousCredentials{}}
	oo := ssooidc.Options{Region: region, HTTPClient: p.w.http, Retryer: aws.NopRetryer{}, Credentials: aws.AnonymousCredentials{}}
	if e := p.serviceEndpoint(ctx, sc, "SSO"); e != "" {
		so.BaseEndpoint = &e
	}
	if e := p.serviceEndpoint(ctx, sc, "SSO_OIDC"); e != "" {
		oo.BaseEndpoint = &e
	}
	provider := ssocreds.New(sso.New(so), sc.SSOAccountID, sc.SSORoleName, sc.SSOStartURL, func(o *ssocreds.Options) {
		o.CachedTokenFilepath = file
		if sc.SSOSession != nil {
			o.SSOTokenProvider = ssocreds.NewSSOTokenProvider(ssooidc.New(oo), file)
		}
	})
	return retrieved(ctx, provider, "SSO", "Log in with `aws sso login --profile "+sc.Profile+"`.")
}

// login renews the session that `aws login` left.
func (p *profileSource) login(ctx context.Context, sc *config.SharedConfig) (credential.Value, error) {
	dir := p.w.getenv("AWS_LOGIN_CACHE_DIRECTORY")
	if dir == "" {
		dir = filepath.Join(p.w.home(), ".aws", "login", "cache")
	}
	file, err := logincreds.StandardCachedTokenFilepath(sc.LoginSession, dir)
	if err != nil {
		return credential.Value{}, err
	}
	o := signin.Options{Region: sc.Region, HTTPClient: p.w.http, Retryer: aws.NopRetryer{}, Credentials: aws.AnonymousCredentials{}}
	if e := p.serviceEndpoint(ctx, sc, "SIGNIN"); e != "" {
		o.BaseEndpoint = &e
	}
	provider := logincreds.New(signin.New(o), file, func(o *logincreds.Options) { o.RestrictPermissions = true })
	return retrieved(ctx, provider, "aws login", "Log in with `aws login --profile "+sc.Profile+"`.")
}

// process runs the profile's credential_process, for at most a minute.
func (p *profileSource) process(ctx context.Context, sc *config.SharedConfig) (credential.Value, error) {
	provider := processcreds.NewProvider(sc.CredentialProcess, func(o *processcreds.Options) { o.Timeout = time.Minute })
	return retrieved(ctx, provider, "credential_process", "Run the profile's credential_process by hand to see what it says.")
}

// retrieved is what a provider of the SDK gives. What it cannot give for a reason of its own means that nobody is logged
// in.
func retrieved(ctx context.Context, p aws.CredentialsProvider, what, hint string) (credential.Value, error) {
	c, err := p.Retrieve(ctx)
	if err == nil {
		return value(c), nil
	}
	class := Classify(err)
	if class.Code == fault.Internal || class.Code == fault.NotFound || class.Code == fault.Unauthenticated {
		class.Code, class.Hint = fault.Unauthenticated, hint
	}
	return credential.Value{}, &fault.Error{Class: class, Err: fmt.Errorf("%s: %w", what, Trim(err))}
}
