package awsauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
)

func TestDeclarations(t *testing.T) {
	providertest.Check(t, Provider())
	providertest.Check(t, CompatibleProvider())
}

// TestCanary logs in with secrets at services that refuse and repeat what they were told.
func TestCanary(t *testing.T) {
	echo := newFake(t, func(_ int, c call, w http.ResponseWriter) {
		stsError(w, 403, "AccessDenied", strings.NewReplacer("<", "&lt;", "&", "&amp;").Replace(fmt.Sprint(c.form.Get("ExternalId"), c.form.Get("WebIdentityToken"), c.token, c.auth)))
	})
	e := newEnv(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env-secret"})
	use := func(ctx context.Context, opened any) error {
		s := opened.(credential.Source)
		_, err := Credentials(s).Retrieve(ctx)
		return errors.Join(err, fmt.Errorf("%+v", s.Explain(ctx)))
	}
	values := map[string]string{"source": "null", "sts_endpoint": fmt.Sprintf("%q", echo.URL), "token_file": fmt.Sprintf("%q", e.file(t, "jwt", "x.y.z"))}
	providertest.Canary(t, Provider(), e.Env, values, use)
	providertest.Canary(t, CompatibleProvider(), e.Env, nil, use)
	if len(echo.seen()) < 2 {
		t.Errorf("the service was asked %d times", len(echo.seen()))
	}
}

func TestCompatible(t *testing.T) {
	e := newEnv(t, map[string]string{"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_REGION": "canary-1"})
	open := func(o CompatibleOptions) credential.Source {
		s, err := CompatibleProvider().OpenCredential(t.Context(), e.Env, &o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(CompatibleOptions{AccessKeyID: "user", SecretAccessKey: secret.New("password-1"), EndpointURL: "https://minio.example.com"})
	c, err := Credentials(s).Retrieve(t.Context())
	if err != nil || c.AccessKeyID != "user" || c.SecretAccessKey != "password-1" || c.SessionToken != "" || Endpoint(s) != "https://minio.example.com" || Region(t.Context(), s) != "" || Anonymous(s) {
		t.Errorf("%+v, %v, %q", c, err, Endpoint(s))
	}
	if e.log.String() != "" {
		t.Errorf("a warning: %s", e.log)
	}
	if aws := open(CompatibleOptions{AccessKeyID: "user", SecretAccessKey: secret.New("password-1")}); Endpoint(aws) != "" || !strings.Contains(e.log.String(), "prefer a role") {
		t.Errorf("no warning of long-lived keys: %s", e.log)
	}
}

// TestConfig: what the SDK gets reads no environment and tries once.
func TestConfig(t *testing.T) {
	e := newEnv(t, nil)
	t.Setenv("AWS_REGION", "canary-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
	e.Credential = e.open(t, &Options{Method: methodStatic, AccessKeyID: "AKIAONE", SecretAccessKey: secret.New("one-secret"), Region: "eu-west-1"})
	c := Config(e.Env, "")
	if got, err := c.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != "AKIAONE" || c.Region != "eu-west-1" || c.HTTPClient != e.HTTP || c.Retryer().MaxAttempts() != 1 {
		t.Errorf("%+v, %v, %s", got, err, c.Region)
	}
	if c := Config(e.Env, "us-west-1"); c.Region != "us-west-1" {
		t.Errorf("region %s", c.Region)
	}
	e.Credential = e.open(t, &Options{Method: methodAnonymous})
	if got, err := Config(e.Env, "x").Credentials.Retrieve(t.Context()); err == nil || got.HasKeys() {
		t.Errorf("anonymous: %+v, %v", got, err)
	}
}

func TestChecks(t *testing.T) {
	for s, ok := range map[string]bool{arn: true, "arn:aws-us-gov:iam::111122223333:role/a/b": true, "arn:aws:iam::1:role/x": false, "dsrun": false, "arn:aws:iam::111122223333:user/x": false} {
		if (checkRole(s) == nil) != ok {
			t.Errorf("role %q", s)
		}
	}
	for s, ok := range map[string]bool{"https://a.example": true, "http://127.0.0.1:9000": true, "minio": false, "https://u:p@a.example": false, "https://a.example/?x=1": false, "s3://bucket": false, "https:///x": false} {
		err := CheckURL("endpoint_url", s)
		if (err == nil) != ok {
			t.Errorf("URL %q", s)
		}
		if err != nil && strings.Contains(err.Error(), "u:p@") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	w := newWorld(newEnv(t, nil).Env)
	for name, want := range map[string]string{"": "dsrun-main", "nightly": "nightly", strings.Repeat("n", 70): strings.Repeat("n", 64)} {
		if got := w.sessionName(name); got != want {
			t.Errorf("session %q: %q", name, got)
		}
	}
}
