package gcpauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
)

func get(t testing.TB, s credential.Source, audience string) string {
	t.Helper()
	v, err := s.Resolve(t.Context(), credential.Want{Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields[FieldToken].Reveal()
}

func TestDeclarations(t *testing.T) { providertest.Check(t, Provider()) }

// TestCanary opens every method with marked secrets, and logs in at a service that repeats what it was told.
func TestCanary(t *testing.T) {
	e := newEnv(t, nil)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(403)
		fmt.Fprintf(w, `{"error":{"status":"PERMISSION_DENIED","message":%q}}`, string(b)+r.Header.Get("Authorization"))
	}))
	t.Cleanup(echo.Close)
	values := map[string]string{"source": "null", "target": `"` + email + `"`, "key_file": fmt.Sprintf("%q", e.file(t, "k.json", keyJSON(t, echo.URL)))}
	providertest.Canary(t, Provider(), e.Env, values, func(ctx context.Context, opened any) error {
		s := opened.(credential.Source)
		_, err := s.Resolve(ctx, credential.Want{})
		return errors.Join(err, fmt.Errorf("%+v", s.Explain(ctx)))
	})
}

// TestServiceAccount: the token server checks signature, audience, scope and life; tokens are kept by scope, renewed at
// four fifths of their life and when refused.
func TestServiceAccount(t *testing.T) {
	e := newEnv(t, map[string]string{"GCS_KEY": "canary", "GCS_SECRET": "canary-secret"})
	ts := newTokens(t, e.clock.Now)
	for _, o := range []*Options{{JSON: secret.New(keyJSON(t, ts.URL))}, {KeyFile: e.file(t, "key.json", keyJSON(t, ts.URL))}} {
		ts.given, ts.scopes = 0, nil
		o.Method = methodKey
		s := e.open(t, o)
		if a, b := get(t, s, ""), get(t, s, ""); a != "ya29.token-1" || b != a {
			t.Errorf("%s, %s", a, b)
		}
		if got := get(t, s, ScopePubsub); got != "ya29.token-2" || ts.scopes[0] != ScopeCloud || ts.scopes[1] != ScopePubsub {
			t.Errorf("%s %v", got, ts.scopes)
		}
		e.clock.Advance(47 * time.Minute)
		if got := get(t, s, ""); got != "ya29.token-1" {
			t.Errorf("renewed early: %s", got)
		}
		e.clock.Advance(time.Minute)
		if got := get(t, s, ""); got != "ya29.token-3" {
			t.Errorf("not renewed: %s", got)
		}
		var seen []string
		err := WithToken(t.Context(), s, "", func(tok string) error {
			seen = append(seen, tok)
			if tok == "ya29.token-3" {
				return fault.New(fault.Unauthenticated, "401")
			}
			return nil
		})
		if err != nil || fmt.Sprint(seen) != "[ya29.token-3 ya29.token-4]" {
			t.Errorf("%v, %v", seen, err)
		}
		if who, sign, err := SignerOf(t.Context(), s); err != nil || who != email || !signs(sign) {
			t.Errorf("no signer: %s, %v", who, err)
		}
	}
}

func TestKeyFields(t *testing.T) {
	e := newEnv(t, nil)
	try := func(text string) string {
		_, err := Provider().OpenCredential(t.Context(), e.Env, &Options{Method: methodKey, JSON: secret.New(text)})
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "invalid credentials format") || strings.Contains(err.Error(), "MII") {
			t.Errorf("%v", err)
		}
		return fmt.Sprint(err)
	}
	const uri = "https://oauth2.googleapis.com/token"
	if len(keyFields) != 11 {
		t.Errorf("%d fields", len(keyFields))
	}
	for _, f := range keyFields {
		if got := try(keyJSON(t, uri, f)); !strings.Contains(got, "missing "+f) {
			t.Errorf("%s: %s", f, got)
		}
	}
	if got := try(keyJSON(t, uri, "client_id", "auth_uri")); !strings.Contains(got, "missing client_id, auth_uri") {
		t.Error(got)
	}
	for _, text := range []string{"", "null", "[]", "{", keyJSON(t, "http://evil.example/token"), strings.Replace(keyJSON(t, uri), "service_account", "authorized_user", 1),
		strings.Replace(keyJSON(t, uri), "BEGIN", "BEGUN", 1)} {
		try(text)
	}
}

func TestRefusals(t *testing.T) {
	e := newEnv(t, nil)
	for name, c := range map[string]struct {
		status int
		body   string
		code   fault.Code
	}{
		"revoked": {400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, fault.Unauthenticated}, "busy": {503, "", fault.Unavailable},
		"slow": {429, "", fault.ResourceExhausted}, "page": {200, "<html>", fault.Internal}, "empty": {200, "", fault.Internal},
		"no life": {200, `{"access_token":"x","token_type":"Bearer"}`, fault.Internal}, "no token": {200, `{"expires_in":3600,"token_type":"Bearer"}`, fault.Internal},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); io.WriteString(w, c.body) }))
		_, err := e.open(t, &Options{Method: methodKey, JSON: secret.New(keyJSON(t, srv.URL))}).Resolve(t.Context(), credential.Want{})
		srv.Close()
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), email) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStatic: what is declared is used, whatever the environment holds.
func TestStatic(t *testing.T) {
	e := newEnv(t, map[string]string{"GCS_KEY": "canary", "GCS_SECRET": "canary-secret"})
	v, err := e.open(t, &Options{Method: methodHMAC, AccessID: "GOOG1", Secret: secret.New("hmac-secret")}).Resolve(t.Context(), credential.Want{})
	if err != nil || v.Fields[FieldAccessID].Reveal() != "GOOG1" || v.Fields[FieldSecret].Reveal() != "hmac-secret" {
		t.Errorf("%v", err)
	}
	if got := get(t, e.open(t, &Options{Method: methodToken, AccessToken: secret.New("ya29.given")}), ""); got != "ya29.given" {
		t.Error(got)
	}
	s := e.open(t, &Options{Method: methodAnonymous})
	if v, err := s.Resolve(t.Context(), credential.Want{}); err != nil || len(v.Fields) != 0 || !Anonymous(s) {
		t.Errorf("%v", err)
	}
}

// TestDefault: each place in its order, and what is said when none answers.
func TestDefault(t *testing.T) {
	vars := map[string]string{}
	e := newEnv(t, vars)
	ts := newTokens(t, e.clock.Now)
	getenv := e.Getenv
	e.Getenv = func(n string) string {
		if v, ok := vars[n]; ok {
			return v
		}
		return getenv(n)
	}
	fresh := func() credential.Source { return e.open(t, &Options{Method: methodDefault}) }
	_, err := fresh().Resolve(t.Context(), credential.Want{})
	for _, want := range []string{"GCS_KEY", "GCS_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "application-default-credentials"} {
		if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error()+fault.ClassOf(err).Hint, want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	meta := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Path != "/computeMetadata/v1/instance/service-accounts/default/token" {
			w.WriteHeader(403)
			return
		}
		if r.URL.Query().Get("scopes") != ScopePubsub { // a test's switch: what is no server of Google's
			w.Header().Set("Metadata-Flavor", "Google")
		}
		io.WriteString(w, `{"access_token":"ya29.machine","expires_in":3600,"token_type":"Bearer"}`)
	}))
	t.Cleanup(meta.Close)
	vars["NO_GCE_CHECK"], vars["GCE_METADATA_HOST"] = "", strings.TrimPrefix(meta.URL, "http://")
	if got := get(t, fresh(), ""); got != "ya29.machine" {
		t.Error(got)
	}
	if _, err := fresh().Resolve(t.Context(), credential.Want{Audience: ScopePubsub}); !errors.Is(err, credential.ErrAbsent) {
		t.Errorf("a server without the header of Google: %v", err)
	}
	user := fmt.Sprintf(`{"type":"authorized_user","client_id":"cid","client_secret":"client-secret","refresh_token":"1//refresh-secret","token_uri":%q}`, ts.URL)
	e.file(t, ".config/gcloud/application_default_credentials.json", user)
	if got := get(t, fresh(), ""); got != "ya29.token-1" {
		t.Error(got)
	}
	vars[adcName] = e.file(t, "key.json", keyJSON(t, ts.URL))
	if got := get(t, fresh(), ScopeStorage); got != "ya29.token-2" || ts.scopes[1] != ScopeStorage {
		t.Errorf("%s %v", got, ts.scopes)
	}
	vars["GCS_KEY"] = "GOOG1"
	if got := get(t, fresh(), ""); got != "ya29.token-3" || !strings.Contains(e.log.String(), "only one of") {
		t.Error(got)
	}
	vars["GCS_SECRET"] = "hmac-secret"
	if v, err := fresh().Resolve(t.Context(), credential.Want{}); err != nil || v.Fields[FieldAccessID].Reveal() != "GOOG1" {
		t.Errorf("%v", err)
	}
	if got := get(t, fresh(), ScopePubsub); got != "ya29.token-4" {
		t.Errorf("an HMAC key is no token: %s", got)
	}
	delete(vars, "GCS_KEY")
	vars[adcName] = e.home + "/none.json" // named, so not passed over
	if _, err := fresh().Resolve(t.Context(), credential.Want{}); err == nil || errors.Is(err, credential.ErrAbsent) {
		t.Errorf("%v", err)
	}
	vars[adcName] = e.file(t, "ext.json", `{"type":"external_account"}`)
	if _, err := fresh().Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("%v", err)
	}
}

// rerouted sends requests for Google's IAM to a server of the test.
type rerouted struct{ to *url.URL }

func (r rerouted) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "iamcredentials.googleapis.com" {
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host = r.to.Scheme, r.to.Host
	}
	return http.DefaultTransport.RoundTrip(req)
}

func TestImpersonate(t *testing.T) {
	e := newEnv(t, nil)
	ts := newTokens(t, e.clock.Now)
	denied := false
	iam := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case denied:
			w.WriteHeader(403)
			io.WriteString(w, `{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Permission 'iam.serviceAccounts.getAccessToken' denied"}}`)
		case r.URL.Path != "/v1/projects/-/serviceAccounts/"+email+":generateAccessToken" || !strings.Contains(string(body), ScopeStorage):
			w.WriteHeader(404)
		case r.Header.Get("Authorization") != "Bearer ya29.token-2": // the first token was revoked
			w.WriteHeader(401)
		default:
			fmt.Fprintf(w, `{"accessToken":"ya29.other","expireTime":%q}`, e.clock.Now().Add(time.Hour).Format(time.RFC3339))
		}
	}))
	t.Cleanup(iam.Close)
	to, _ := url.Parse(iam.URL)
	e.HTTP = &http.Client{Transport: rerouted{to}}
	base := e.open(t, &Options{Method: methodKey, JSON: secret.New(keyJSON(t, ts.URL))})
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
	o := &Options{Method: methodImpersonate, Target: email, Source: schema.Ref{Kind: "credential", Type: Family, Name: "base"}}
	s := e.open(t, o)
	if got := get(t, s, ScopeStorage); got != "ya29.other" || len(s.Explain(t.Context())) != 2 {
		t.Error(got)
	}
	denied = true
	if _, err := e.open(t, o).Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.PermissionDenied) || !strings.Contains(fault.ClassOf(err).Hint, "serviceAccountTokenCreator") {
		t.Errorf("%v", err)
	}
	base = e.open(t, &Options{Method: methodAnonymous})
	if _, err := Provider().OpenCredential(t.Context(), e.Env, o); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("anonymous: %v", err)
	}
}

// TestTokenServer: the server of these tests refuses what Google's refuses.
func TestTokenServer(t *testing.T) {
	e := newEnv(t, nil)
	var ts *tokens
	at := begin
	ts = newTokens(t, func() time.Time { return at })
	other := newTokens(t, e.clock.Now)
	w := newWorld(e.Env)
	k, err := w.parseKey("json", keyJSON(t, ts.URL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.keyToken(t.Context(), k, credential.Want{}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(k *key){
		"another account": func(k *key) { k.ClientEmail = "x@example.com" }, "another key": func(k *key) { k.PrivateKeyID = "kid-2" },
		"another audience": func(k *key) { k.TokenURI = other.URL + "/" }, "another private key": func(k *key) { k.private = stranger() },
		"an old assertion": func(*key) { at = begin.Add(time.Hour) }, "an assertion of the future": func(*key) { at = begin.Add(-time.Minute) },
	} {
		bad := *k
		at = begin
		spoil(&bad)
		if _, err := w.keyToken(t.Context(), &bad, credential.Want{}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
