package gcpauth

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the name of the credential family.
const Family = "gcp"

// The methods of the family.
const (
	methodDefault     = "default"
	methodKey         = "service_account"
	methodHMAC        = "hmac"
	methodImpersonate = "impersonate"
	methodToken       = "access_token"
	methodAnonymous   = "anonymous"
)

// Options are the attributes of `credential "gcp"`.
type Options struct {
	Method      string
	JSON        secret.String
	KeyFile     string
	AccessID    string
	Secret      secret.String
	Target      string
	Source      schema.Ref
	AccessToken secret.String
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Secret(&o.JSON, "json", "Text of a service account's key file (JSON).")
	f.Path(&o.KeyFile, "key_file", "Key file of a service account (JSON), as `gcloud iam service-accounts keys create` writes it.").Eg(`"/etc/dsrun/gcp-key.json"`).FromEnv("GOOGLE_APPLICATION_CREDENTIALS")
	f.String(&o.AccessID, "access_id", "Access id of an HMAC key of Cloud Storage.").Eg(`"GOOG1EXAMPLE"`).FromEnv("GCS_KEY")
	f.Secret(&o.Secret, "secret", "The HMAC key's secret.").FromEnv("GCS_SECRET")
	f.String(&o.Target, "target", "E-mail address of the service account to impersonate.").Eg(`"loader@example-project.iam.gserviceaccount.com"`).
		Validate(func() error { return checkTarget(o.Target) })
	f.Ref(&o.Source, "source", "Credential that impersonates; when absent, what the method `default` finds.", "credential").Eg("credential.gcp.base")
	f.Secret(&o.AccessToken, "access_token", "OAuth 2 access token; it cannot be renewed when it expires.")

	f.Method(&o.Method, methodDefault, "HMAC key of the environment, else application default credentials: environment, gcloud's file, metadata server.").FromAmbient()
	f.Method(&o.Method, methodKey, "A key of a service account.").NeedsOneOf("json", "key_file")
	f.Method(&o.Method, methodHMAC, "An HMAC key, for the XML API of Cloud Storage.").Needs("access_id", "secret")
	f.Method(&o.Method, methodImpersonate, "A service account, impersonated with another credential.").Needs("target").Allows("source")
	f.Method(&o.Method, methodToken, "An access token.").Needs("access_token")
	f.Method(&o.Method, methodAnonymous, "Requests without a token, for what is public.")
}

// Provider returns the credential family "gcp".
func Provider() provider.Provider {
	return provider.Credential(Family, "Logs in to Google Cloud.", open)
}

// source is a credential.Source that knows what goes with it.
type source struct {
	credential.Source
	anonymous bool
	hmac      bool
	key       *key   // the service account's own, or nil
	sign      signer // nil where it stands for no service account
}

func (s *source) Anonymous() bool { return s.anonymous }

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	w := newWorld(env)
	name := fmt.Sprintf("credential %q %q", Family, env.Name)
	switch o.Method {
	case methodAnonymous:
		return &source{Source: credential.Static(name+", requests without a token", nil, nil), anonymous: true}, nil
	case methodHMAC:
		return &source{Source: credential.Static(name, hmacFields(o.AccessID, o.Secret), env.Redactor), hmac: true}, nil
	case methodToken:
		return &source{Source: credential.Static(name, map[string]secret.String{FieldToken: o.AccessToken}, env.Redactor)}, nil
	case methodKey:
		text, where := o.JSON.Reveal(), "json"
		if o.KeyFile != "" {
			where = o.KeyFile
			var err error
			if text, err = readFile(o.KeyFile); err != nil {
				return nil, fault.Hinted(fault.Unauthenticated, "key_file must name a readable key file of a service account.", "%w", err)
			}
		}
		k, err := w.parseKey(where, text)
		if err != nil {
			return nil, err
		}
		return &source{key: k, sign: k.signer, Source: w.cached(credential.From(name+": "+k.ClientEmail, func(ctx context.Context, want credential.Want) (credential.Value, error) {
			return w.keyToken(ctx, k, want)
		}))}, nil
	case methodImpersonate:
		base, err := w.baseOf(o)
		if err != nil {
			return nil, err
		}
		return &source{Source: w.cached(&impersonated{w: w, base: base, step: name + ": " + o.Target, target: o.Target}),
			sign: func(ctx context.Context) (string, func([]byte) ([]byte, error), error) {
				return o.Target, w.signBlob(ctx, base, o.Target), nil
			}}, nil
	}
	chain := w.cached(w.chain())
	return &source{Source: chain, hmac: w.getenv("GCS_KEY") != "" && w.getenv("GCS_SECRET") != "", sign: w.ambientSigner(chain)}, nil
}

func hmacFields(id string, sec secret.String) map[string]secret.String {
	return map[string]secret.String{FieldAccessID: secret.New(id), FieldSecret: sec}
}

var target = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9._-]+@[a-zA-Z0-9.-]+$`) })

func checkTarget(s string) error {
	if !target().MatchString(s) {
		return fmt.Errorf("%q is not the e-mail address of a service account: it has the form \"NAME@PROJECT.iam.gserviceaccount.com\".", s)
	}
	return nil
}
