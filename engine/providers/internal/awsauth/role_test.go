package awsauth

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

const arn = "arn:aws:iam::111122223333:role/dsrun"

// assume opens the method assume_role over a static key at a service.
func assume(t testing.TB, e *testEnv, endpoint string, o Options) credential.Source {
	t.Helper()
	base := e.static(t, "AKIABASE", "base-secret")
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
	o.Method, o.RoleARN, o.STSEndpoint = methodAssumeRole, arn, endpoint
	o.Source = schema.Ref{Kind: "credential", Type: "aws", Name: "base"}
	return e.open(t, &o)
}

func TestAssumeRole(t *testing.T) {
	e := newEnv(t, nil)
	f := newSTS(t, e.clock.Now)
	src := assume(t, e, f.URL, Options{ExternalID: secret.New("ext-4711"), Duration: 30 * time.Minute, Region: "eu-west-1"})
	a := Credentials(src)
	c, err := a.Retrieve(t.Context())
	if err != nil || c.AccessKeyID != "ASIASESSION0000" || c.SecretAccessKey != "session-secret-0" || c.SessionToken != "session-token-0" || !c.CanExpire || !c.Expires.Equal(begin.Add(time.Hour)) {
		t.Fatalf("%+v, %v", c, err)
	}
	got := f.seen()[0]
	for name, want := range map[string]string{"Action": "AssumeRole", "RoleArn": arn, "ExternalId": "ext-4711", "DurationSeconds": "1800", "RoleSessionName": "dsrun-main"} {
		if got.form.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.form.Get(name), want)
		}
	}
	if !strings.Contains(got.auth, "Credential=AKIABASE/") || !strings.Contains(got.auth, "/eu-west-1/sts/aws4_request") || got.token != "" {
		t.Errorf("signed as %q with token %q", got.auth, got.token)
	}
	if text := e.Redactor.Redact("session-secret-0 session-token-0"); strings.Contains(text, "session-") {
		t.Errorf("the redactor does not know the session: %q", text)
	}
}

// Four fifths of a life, and a reply that says the value has expired, lead to a new one. No more do.
func TestSessionIsRenewed(t *testing.T) {
	e := newEnv(t, nil)
	f := newSTS(t, e.clock.Now)
	a := Credentials(assume(t, e, f.URL, Options{}))
	want := func(key string) {
		t.Helper()
		if c, err := a.Retrieve(t.Context()); err != nil || c.AccessKeyID != key {
			t.Fatalf("%q, %v, want %q", c.AccessKeyID, err, key)
		}
	}
	want("ASIASESSION0000")
	e.clock.Advance(47 * time.Minute)
	want("ASIASESSION0000")
	e.clock.Advance(2 * time.Minute)
	want("ASIASESSION0001")
	e.clock.Advance(time.Minute)

	var used []string
	err := a.Do(t.Context(), func(ctx context.Context) error {
		c, err := a.Retrieve(ctx)
		used = append(used, c.AccessKeyID)
		if c.AccessKeyID == "ASIASESSION0001" {
			return &smithy.GenericAPIError{Code: "ExpiredToken"}
		}
		return err
	})
	if err != nil || strings.Join(used, " ") != "ASIASESSION0001 ASIASESSION0002" {
		t.Errorf("%v, %v", used, err)
	}
	refused := 0
	err = a.Do(t.Context(), func(context.Context) error { refused++; return &smithy.GenericAPIError{Code: "ExpiredTokenException"} })
	if !Expired(err) || refused != 2 {
		t.Errorf("what stays refused was tried %d times: %v", refused, err)
	}
	if n := len(f.seen()); n != 4 {
		t.Errorf("%d sessions", n)
	}
	other := 0
	if err := a.Do(t.Context(), func(context.Context) error { other++; return &smithy.GenericAPIError{Code: "AccessDenied"} }); err == nil || other != 1 {
		t.Errorf("another error: %v after %d tries", err, other)
	}
}

func TestRoleErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status        int
		code, message string
		want          fault.Code
		hint, text    string
	}{
		"denied":        {403, "AccessDenied", "User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole", fault.PermissionDenied, "external_id", "assume role " + arn + ": AccessDenied: User"},
		"wrong secret":  {403, "SignatureDoesNotMatch", "The request signature we calculated does not match", fault.Unauthenticated, "secret", "SignatureDoesNotMatch"},
		"unknown key":   {403, "InvalidClientTokenId", "The security token included in the request is invalid.", fault.Unauthenticated, "access key", "InvalidClientTokenId"},
		"throttled":     {400, "Throttling", "Rate exceeded", fault.ResourceExhausted, "", "Throttling"},
		"service down":  {503, "ServiceUnavailable", "", fault.Unavailable, "", "ServiceUnavailable"},
		"wrong service": {400, "InvalidAction", "", fault.Unimplemented, "endpoint", "InvalidAction"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, nil)
			f := newFake(t, func(_ int, _ call, w http.ResponseWriter) { stsError(w, c.status, c.code, c.message) })
			_, err := assume(t, e, f.URL, Options{}).Resolve(t.Context(), credential.Want{})
			class := Classify(err)
			if class.Code != c.want || !strings.Contains(class.Hint, c.hint) || class.RequestID != "req-77" || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v\n%+v", err, class)
			}
			if n := len(f.seen()); n != 1 {
				t.Errorf("%d requests: the SDK retries", n)
			}
		})
	}
	t.Run("a session that is not whole", func(t *testing.T) {
		e := newEnv(t, nil)
		f := newFake(t, func(_ int, _ call, w http.ResponseWriter) {
			w.Write([]byte(`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
		})
		if _, err := assume(t, e, f.URL, Options{}).Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Internal) {
			t.Error(err)
		}
	})
	t.Run("an anonymous base", func(t *testing.T) {
		e := newEnv(t, nil)
		e.CredentialOf = func(schema.Ref) (credential.Source, error) { return e.open(t, &Options{Method: methodAnonymous}), nil }
		_, err := Provider().OpenCredential(t.Context(), e.Env, &Options{Method: methodAssumeRole, RoleARN: arn, Source: schema.Ref{Kind: "credential", Type: "aws", Name: "x"}})
		if !fault.Is(err, fault.InvalidArgument) {
			t.Error(err)
		}
	})
	t.Run("a base of another family", func(t *testing.T) {
		e := newEnv(t, nil)
		_, err := Provider().OpenCredential(t.Context(), e.Env, &Options{Method: methodAssumeRole, RoleARN: arn, Source: schema.Ref{Kind: "credential", Type: "gcp", Name: "x"}})
		if !fault.Is(err, fault.InvalidArgument) {
			t.Error(err)
		}
	})
}

func TestWebIdentity(t *testing.T) {
	e := newEnv(t, nil)
	f := newSTS(t, e.clock.Now)
	file := e.file(t, "token", "jwt-one-abcdef\n")
	src := e.open(t, &Options{Method: methodWebIdentity, RoleARN: arn, TokenFile: file, STSEndpoint: f.URL, Region: "eu-west-1"})
	if v, err := src.Resolve(t.Context(), credential.Want{}); err != nil || v.Fields[FieldAccessKeyID].Reveal() != "ASIASESSION0000" {
		t.Fatal(v, err)
	}
	c := f.seen()[0]
	if c.form.Get("WebIdentityToken") != "jwt-one-abcdef" || c.auth != "" {
		t.Errorf("sent %v, signed %q", c.form, c.auth)
	}
	if strings.Contains(e.Redactor.Redact("jwt-one-abcdef"), "jwt-one") {
		t.Error("the redactor does not know the token")
	}
	e.file(t, "token", "jwt-two") // tokens are rotated
	if _, err := src.Resolve(t.Context(), credential.Want{Refresh: true}); err != nil || f.seen()[1].form.Get("WebIdentityToken") != "jwt-two" {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "\n"} {
		e.file(t, "token", text)
		if _, err := src.Resolve(t.Context(), credential.Want{Refresh: true}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", text, err)
		}
	}
	gone := e.open(t, &Options{Method: methodWebIdentity, RoleARN: arn, TokenFile: file + "-none", STSEndpoint: f.URL})
	if _, err := gone.Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), file+"-none") {
		t.Error(err)
	}
	if len(f.seen()) != 2 {
		t.Error("a request without a token was sent")
	}
}

// The endpoint of the security token service follows the region; without one it is the global service.
func TestSTSEndpoint(t *testing.T) {
	w := newWorld(newEnv(t, nil).Env)
	for _, c := range []struct {
		r    role
		want string
	}{
		{role{arn: arn}, "https://sts.amazonaws.com"},
		{role{arn: arn, region: "eu-west-1"}, ""},
		{role{arn: arn, endpoint: "https://x.example"}, "https://x.example"},
	} {
		if got := aws.ToString(w.sts(c.r, nil).Options().BaseEndpoint); got != c.want {
			t.Errorf("%+v: %q", c.r, got)
		}
	}
}
