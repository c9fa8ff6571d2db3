package gcpauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// google is Google's IAM API and a metadata server: numbered tokens of one hour, and signatures of the key of the tests.
type google struct {
	*httptest.Server
	given atomic.Int32
	asked []string // who asked IAM, with which token
}

func newGoogle(t *testing.T, e *testEnv) *google {
	g := &google{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		const account = "/v1/projects/-/serviceAccounts/" + email
		switch {
		case strings.HasPrefix(r.URL.Path, "/computeMetadata/") && r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(403)
		case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/email":
			io.WriteString(w, email+"\n")
		case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token":
			fmt.Fprintf(w, `{"access_token":"ya29.machine-%d","expires_in":3600,"token_type":"Bearer"}`, g.given.Add(1))
		case r.URL.Path == account+":generateAccessToken":
			g.asked = append(g.asked, r.Header.Get("Authorization"))
			fmt.Fprintf(w, `{"accessToken":"ya29.other-%d","expireTime":%q}`, g.given.Add(1), e.clock.Now().Add(time.Hour).Format(time.RFC3339))
		case r.URL.Path == account+":signBlob":
			g.asked = append(g.asked, r.Header.Get("Authorization"))
			var in struct{ Payload []byte }
			if json.NewDecoder(r.Body).Decode(&in) != nil {
				w.WriteHeader(400)
				return
			}
			sig, err := (&key{private: private()}).sign(in.Payload)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"keyId":"k","signedBlob":%q}`, base64.StdEncoding.EncodeToString(sig))
		default:
			w.WriteHeader(404)
		}
	}))
	t.Cleanup(g.Close)
	to, _ := url.Parse(g.URL)
	e.HTTP = &http.Client{Transport: rerouted{to}}
	return g
}

// TestRenewal: tokens of every method that has a life are renewed at four fifths of it and when they were refused.
func TestRenewal(t *testing.T) {
	vars := map[string]string{}
	e := newEnv(t, vars)
	getenv := e.Getenv
	e.Getenv = func(n string) string {
		if v, ok := vars[n]; ok {
			return v
		}
		return getenv(n)
	}
	g := newGoogle(t, e)
	ts := newTokens(t, e.clock.Now)
	user := fmt.Sprintf(`{"type":"authorized_user","client_id":"cid","client_secret":"client-secret","refresh_token":"1//refresh-secret","token_uri":%q}`, ts.URL)
	given := credential.Static("base", map[string]secret.String{FieldToken: secret.New("ya29.base")}, nil)
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return given, nil }
	for what, x := range map[string]struct {
		o     *Options
		vars  map[string]string
		token string
	}{
		"service account":   {&Options{Method: methodKey, JSON: secret.New(keyJSON(t, ts.URL))}, nil, "ya29.token-"},
		"key of the places": {&Options{Method: methodDefault}, map[string]string{adcName: e.file(t, "adc.json", keyJSON(t, ts.URL))}, "ya29.token-"},
		"user of gcloud":    {&Options{Method: methodDefault}, map[string]string{adcName: e.file(t, "user.json", user)}, "ya29.token-"},
		"machine":           {&Options{Method: methodDefault}, map[string]string{"NO_GCE_CHECK": "", "GCE_METADATA_HOST": strings.TrimPrefix(g.URL, "http://")}, "ya29.machine-"},
		"impersonated":      {&Options{Method: methodImpersonate, Target: email, Source: schema.Ref{Kind: "credential", Type: Family, Name: "base"}}, nil, "ya29.other-"},
	} {
		clear(vars)
		for n, v := range x.vars {
			vars[n] = v
		}
		g.given.Store(0)
		ts.given = 0
		s := e.open(t, x.o)
		step := func(when string, n int) {
			t.Helper()
			if got := get(t, s, ScopeStorage); got != fmt.Sprint(x.token, n) {
				t.Errorf("%s, %s: %s, want %s%d", what, when, got, x.token, n)
			}
		}
		step("at first", 1)
		e.clock.Advance(47 * time.Minute)
		step("before four fifths", 1)
		e.clock.Advance(2 * time.Minute)
		step("after four fifths", 2)
		seen := ""
		err := WithToken(t.Context(), s, ScopeStorage, func(tok string) error {
			seen += tok + " "
			if strings.HasSuffix(tok, "-2") {
				return fault.New(fault.Unauthenticated, "expired")
			}
			return nil
		})
		if want := fmt.Sprintf("%s2 %s3 ", x.token, x.token); err != nil || seen != want {
			t.Errorf("%s, refused: %q, %v, want %q", what, seen, err, want)
		}
		step("after it was refused", 3)
	}
	for _, who := range g.asked {
		if who != "Bearer ya29.base" {
			t.Errorf("impersonated with %q", who)
		}
	}
}

// TestNoFallBack: no declared method looks at the environment, at gcloud's file or at the machine, whatever fails.
func TestNoFallBack(t *testing.T) {
	canary := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("an ambient place was asked: %s", r.URL) }))
	defer canary.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		io.WriteString(w, `{"error":"invalid_grant","error_description":"revoked"}`)
	}))
	defer refusing.Close()
	e := newEnv(t, nil)
	e.file(t, ".config/gcloud/application_default_credentials.json", "not to be read")
	asked := []string{}
	e.Getenv = func(n string) string {
		asked = append(asked, n)
		return map[string]string{"GCS_KEY": "canary", "GCS_SECRET": "canary", adcName: "/canary.json", "HOME": e.home, "GCE_METADATA_HOST": strings.TrimPrefix(canary.URL, "http://")}[n]
	}
	to, _ := url.Parse(refusing.URL)
	e.HTTP = &http.Client{Transport: rerouted{to}}
	e.CredentialOf = func(schema.Ref) (credential.Source, error) {
		return e.open(t, &Options{Method: methodToken, AccessToken: secret.New("ya29.base")}), nil
	}
	for what, x := range map[string]struct {
		o     *Options
		works bool // without asking anybody
	}{
		"service_account": {&Options{Method: methodKey, JSON: secret.New(keyJSON(t, refusing.URL))}, false},
		"impersonate":     {&Options{Method: methodImpersonate, Target: email, Source: schema.Ref{Kind: "credential", Type: Family, Name: "base"}}, false},
		"hmac":            {&Options{Method: methodHMAC, AccessID: "GOOG1", Secret: secret.New("hmac-secret")}, true},
		"access_token":    {&Options{Method: methodToken, AccessToken: secret.New("ya29.given")}, true},
		"anonymous":       {&Options{Method: methodAnonymous}, true},
	} {
		s := e.open(t, x.o)
		for _, refresh := range []bool{false, true} {
			v, err := s.Resolve(t.Context(), credential.Want{Audience: ScopeStorage, Refresh: refresh})
			if (err == nil) != x.works || strings.Contains(fmt.Sprint(v.Fields[FieldAccessID].Reveal(), v.Fields[FieldSecret].Reveal()), "canary") {
				t.Errorf("%s: %v", what, err)
			}
		}
		s.Explain(t.Context())
		_, _, _ = SignerOf(t.Context(), s)
		if HMAC(s) != (x.o.Method == methodHMAC) {
			t.Errorf("%s: an HMAC key: %v", what, HMAC(s))
		}
	}
	if len(asked) > 0 {
		t.Errorf("the environment was asked for %v", asked)
	}
	// A token that is refused and cannot be renewed is refused.
	calls := 0
	err := WithToken(t.Context(), e.open(t, &Options{Method: methodToken, AccessToken: secret.New("ya29.given")}), "", func(string) error { calls++; return fault.New(fault.Unauthenticated, "expired") })
	if calls != 1 || !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// TestSigners: who has a private key signs with it, who stands for a service account lets IAM sign, others say why not.
func TestSigners(t *testing.T) {
	vars := map[string]string{}
	e := newEnv(t, vars)
	e.Getenv = func(n string) string {
		if n == "HOME" {
			return e.home
		}
		return vars[n]
	}
	g := newGoogle(t, e)
	ts := newTokens(t, e.clock.Now)
	base := credential.Static("base", map[string]secret.String{FieldToken: secret.New("ya29.base")}, nil)
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
	imp := e.open(t, &Options{Method: methodImpersonate, Target: email, Source: schema.Ref{Kind: "credential", Type: Family, Name: "base"}})
	check := func(what string, s credential.Source, asked string) {
		t.Helper()
		g.asked = nil
		who, sign, err := SignerOf(t.Context(), s)
		if err != nil || who != email || !signs(sign) || strings.Join(g.asked, " ") != asked {
			t.Errorf("%s: %s, %v; IAM was asked by %q", what, who, err, g.asked)
		}
	}
	check("impersonated", imp, "Bearer ya29.base")
	vars["GCE_METADATA_HOST"] = strings.TrimPrefix(g.URL, "http://")
	def := e.open(t, &Options{Method: methodDefault})
	check("the machine", def, "Bearer ya29.machine-1")
	vars[adcName] = e.file(t, "key.json", keyJSON(t, ts.URL))
	check("a key of the environment", def, "")
	vars[adcName] = e.file(t, "user.json", `{"type":"authorized_user"}`)
	for what, s := range map[string]credential.Source{"a user": def, "a token": e.open(t, &Options{Method: methodToken, AccessToken: secret.New("x")}), "another's": base} {
		if _, _, err := SignerOf(t.Context(), s); !fault.Is(err, fault.Unimplemented) || fault.ClassOf(err).Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestHMAC: an HMAC key is one of the family aws to the XML API's driver.
func TestHMAC(t *testing.T) {
	e := newEnv(t, map[string]string{"GCS_KEY": "GOOG1", "GCS_SECRET": "hmac-secret"})
	for what, s := range map[string]credential.Source{"declared": e.open(t, &Options{Method: methodHMAC, AccessID: "GOOG1", Secret: secret.New("hmac-secret")}), "of the environment": e.open(t, &Options{Method: methodDefault})} {
		v, err := AsKeys(s).Resolve(t.Context(), credential.Want{})
		if err != nil || !HMAC(s) || v.Fields["access_key_id"].Reveal() != "GOOG1" || v.Fields["secret_access_key"].Reveal() != "hmac-secret" || len(v.Fields) != 2 {
			t.Errorf("%s: %v, %v", what, v, err)
		}
	}
	k := e.open(t, &Options{Method: methodKey, JSON: secret.New(keyJSON(t, "https://oauth2.googleapis.com/token"))})
	if HMAC(k) || Project(k) != "example" || Project(e.open(t, &Options{Method: methodDefault})) != "" {
		t.Error("a key is no HMAC key, and knows its project")
	}
	if _, err := AsKeys(e.open(t, &Options{Method: methodToken, AccessToken: secret.New("x")})).Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a token is no HMAC key: %v", err)
	}
}
