package awsauth

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// The credential families.
const (
	Family           = "aws"
	CompatibleFamily = "aws_compatible"
)

// The methods of the family "aws".
const (
	methodDefault     = "default"
	methodStatic      = "static"
	methodProfile     = "profile"
	methodAssumeRole  = "assume_role"
	methodWebIdentity = "web_identity"
	methodAnonymous   = "anonymous"
)

// Options are the attributes of `credential "aws"`.
type Options struct {
	Method          string
	AccessKeyID     string
	SecretAccessKey secret.String
	SessionToken    secret.String
	Profile         string
	RoleARN         string
	ExternalID      secret.String
	SessionName     string
	Duration        time.Duration
	Source          schema.Ref
	TokenFile       string
	Region          string
	STSEndpoint     string
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.String(&o.AccessKeyID, "access_key_id", "Id of an access key.").Eg(`"AKIAIOSFODNN7EXAMPLE"`).FromEnv("AWS_ACCESS_KEY_ID")
	f.Secret(&o.SecretAccessKey, "secret_access_key", "The access key's secret.").FromEnv("AWS_SECRET_ACCESS_KEY")
	f.Secret(&o.SessionToken, "session_token", "Token that goes with a temporary access key.").FromEnv("AWS_SESSION_TOKEN")
	f.String(&o.Profile, "profile", "Profile of the shared configuration and credentials files that `aws configure` writes.").Eg(`"data"`).FromEnv("AWS_PROFILE")
	f.String(&o.RoleARN, "role_arn", "Role to assume.").Eg(`"arn:aws:iam::111122223333:role/dsrun"`).FromEnv("AWS_ROLE_ARN").
		Validate(func() error { return checkRole(o.RoleARN) })
	f.Secret(&o.ExternalID, "external_id", "External id that the role's trust policy asks for.")
	f.String(&o.SessionName, "session_name", "Name of the session in the logs of AWS; when absent, `dsrun-` and the name of the block.").Eg(`"nightly"`).FromEnv("AWS_ROLE_SESSION_NAME").
		Validate(func() error { return checkSession(o.SessionName) })
	f.Duration(&o.Duration, "duration", "Life of an assumed role's session, from 15 minutes to 12 hours; when absent, one hour.").Eg(`"1h"`).
		Validate(func() error { return checkDuration(o.Duration) })
	f.Ref(&o.Source, "source", "Credential that assumes the role; when absent, what the method `default` finds.", "credential").Eg("credential.aws.base")
	f.Path(&o.TokenFile, "token_file", "File with the web identity token (JWT) to exchange for the role; it is read anew each time.").Eg(`"/var/run/secrets/token"`).FromEnv("AWS_WEB_IDENTITY_TOKEN_FILE")
	f.String(&o.Region, "region", "Region of the blocks that use the credential and name none, and of the security token service.").Eg(`"eu-central-1"`).FromEnv("AWS_REGION", "AWS_DEFAULT_REGION")
	f.String(&o.STSEndpoint, "sts_endpoint", "URL of the security token service; when absent, that of AWS in the region.").Eg(`"https://sts.eu-central-1.amazonaws.com"`).
		Validate(func() error { return CheckURL("sts_endpoint", o.STSEndpoint) })

	f.Method(&o.Method, methodDefault, "What the tools of AWS find: environment, shared files, SSO, container, instance.").Allows("region", "sts_endpoint").FromAmbient()
	f.Method(&o.Method, methodStatic, "An access key.").Needs("access_key_id", "secret_access_key").Allows("session_token", "region")
	f.Method(&o.Method, methodProfile, "A profile of the shared files, whatever the environment says.").Needs("profile").Allows("region", "sts_endpoint")
	f.Method(&o.Method, methodAssumeRole, "A role, assumed with another credential.").Needs("role_arn").Allows("external_id", "session_name", "duration", "source", "region", "sts_endpoint")
	f.Method(&o.Method, methodWebIdentity, "A role, given for the token of an identity provider such as Kubernetes or a CI service.").Needs("role_arn", "token_file").Allows("session_name", "duration", "region", "sts_endpoint")
	f.Method(&o.Method, methodAnonymous, "Unsigned requests, for what is public.").Allows("region")
}

// Provider returns the credential family "aws".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to Amazon Web Services.", open)
}

// CompatibleOptions are the attributes of `credential "aws_compatible"`.
type CompatibleOptions struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	EndpointURL     string
}

// Fields implements schema.Fielder.
func (o *CompatibleOptions) Fields(f *schema.Fields) {
	f.String(&o.AccessKeyID, "access_key_id", "Id of an access key, or the user of the service.").Required().Eg(`"exampleuser"`)
	f.Secret(&o.SecretAccessKey, "secret_access_key", "The access key's secret, or the user's password.").Required()
	f.String(&o.EndpointURL, "endpoint_url", "URL of the service, without a bucket; when absent, AWS itself is meant, with a long-lived key of a user: prefer a role (`credential \"aws\"` with role_arn).").
		Eg(`"https://minio.example.com"`).Validate(func() error { return CheckURL("endpoint_url", o.EndpointURL) })
}

// CompatibleProvider returns the credential family "aws_compatible".
func CompatibleProvider() provider.Provider {
	return provider.Credential(CompatibleFamily, "Logs in to a service that speaks a protocol of AWS, such as MinIO or Cloudflare R2.", openCompatible)
}

func openCompatible(_ context.Context, env provider.Env, o *CompatibleOptions) (credential.Source, error) {
	if o.EndpointURL == "" {
		env.Log.Warn("credential without endpoint_url means AWS itself with a long-lived key of a user: prefer a role", "credential", env.Name)
	}
	fields := map[string]secret.String{FieldAccessKeyID: secret.New(o.AccessKeyID), FieldSecretAccessKey: o.SecretAccessKey}
	if o.EndpointURL != "" {
		fields[FieldEndpointURL] = secret.New(o.EndpointURL)
	}
	return &source{Source: credential.Static(block(CompatibleFamily, env), fields, env.Redactor), endpoint: o.EndpointURL}, nil
}

// block is what Explain calls a declared block.
func block(family string, env provider.Env) string {
	return fmt.Sprintf("credential %q %q", family, env.Name)
}

// source is a credential.Source that knows what goes with it.
type source struct {
	credential.Source
	endpoint  string
	anonymous bool
	ambient   bool
	region    func(context.Context) string
}

func (s *source) Anonymous() bool  { return s.anonymous }
func (s *source) Endpoint() string { return s.endpoint }

// Ambient reports whether the credential is what the environment holds, so that its other settings count too.
func (s *source) Ambient() bool { return s.ambient }

func (s *source) Region(ctx context.Context) string {
	if s.region == nil {
		return ""
	}
	return s.region(ctx)
}

// Patterns are compiled when first used, not at each start of the program.
var (
	roleARN = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\x21-\x7e]+$`)
	})
	sessionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w+=,.@-]{2,64}$`) })
	notSession  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^\w+=,.@-]+`) })
)

func checkRole(s string) error {
	if !roleARN().MatchString(s) {
		return fmt.Errorf("%q is not the ARN of a role: it has the form \"arn:aws:iam::111122223333:role/NAME\".", s)
	}
	return nil
}

func checkSession(s string) error {
	if !sessionName().MatchString(s) {
		return fmt.Errorf("The session name %q must be 2 to 64 letters, digits and characters of \"_+=,.@-\".", s)
	}
	return nil
}

func checkDuration(d time.Duration) error {
	if d < 15*time.Minute || d > 12*time.Hour || d%time.Second != 0 {
		return fmt.Errorf("\"duration\" is %v: it must be whole seconds from \"15m\" to \"12h\".", d)
	}
	return nil
}

// CheckURL checks an attribute that holds the URL of a service.
func CheckURL(name, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t") {
		return fmt.Errorf("%q must be a URL such as \"https://service.example.com\", without user, query or fragment.", name)
	}
	return nil
}
