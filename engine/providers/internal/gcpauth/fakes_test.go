package gcpauth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

const email = "loader@example.iam.gserviceaccount.com"

var private, stranger = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

// testEnv is an environment with the given variables, a home folder of its own and a clock that stands.
type testEnv struct {
	provider.Env
	clock *clock.Fake
	home  string
	log   *strings.Builder
}

func newEnv(t testing.TB, vars map[string]string) *testEnv {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	e := &testEnv{clock: clock.NewFake(begin), home: t.TempDir(), log: &strings.Builder{}}
	all := map[string]string{"HOME": e.home, "NO_GCE_CHECK": "true"}
	for k, v := range vars {
		all[k] = v
	}
	e.Env = provider.Env{Name: "main", HTTP: client, Clock: e.clock, Redactor: secret.NewRedactor(),
		Log: slog.New(slog.NewTextHandler(e.log, nil)), Getenv: func(n string) string { return all[n] },
		CredentialOf: func(schema.Ref) (credential.Source, error) { return nil, fmt.Errorf("no other block") }}
	return e
}

func (e *testEnv) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(e.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (e *testEnv) open(t testing.TB, o *Options) credential.Source {
	t.Helper()
	s, err := Provider().OpenCredential(t.Context(), e.Env, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyJSON is a whole key file for a token server, without the named fields.
func keyJSON(t testing.TB, tokenURI string, without ...string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{"type": "service_account", "project_id": "example", "private_key_id": "kid-1", "client_email": email, "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "auth_uri": "https://accounts.google.com/o/oauth2/auth",
		"token_uri": tokenURI, "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs", "client_x509_cert_url": "https://www.googleapis.com/x",
		"universe_domain": "googleapis.com"}
	for _, n := range without {
		delete(m, n)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tokens is a token endpoint that checks assertions as Google's does and gives token n for an hour.
type tokens struct {
	*httptest.Server
	mu     sync.Mutex
	given  int
	scopes []string
}

func newTokens(t testing.TB, now func() time.Time) *tokens {
	s := &tokens{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		w.Header().Set("Content-Type", "application/json")
		scope, err := s.check(form, now)
		if err != nil {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, err.Error())
			return
		}
		s.given++
		s.scopes = append(s.scopes, scope)
		fmt.Fprintf(w, `{"access_token":"ya29.token-%d","expires_in":3600,"token_type":"Bearer"}`, s.given)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokens) check(form url.Values, now func() time.Time) (string, error) {
	if form.Get("grant_type") == "refresh_token" {
		if form.Get("refresh_token") != "1//refresh-secret" || form.Get("client_id") != "cid" || form.Get("client_secret") != "client-secret" {
			return "", fmt.Errorf("Bad Request: %s", form.Get("refresh_token"))
		}
		return "", nil
	}
	if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return "", fmt.Errorf("grant_type")
	}
	part := strings.Split(form.Get("assertion"), ".")
	if len(part) != 3 {
		return "", fmt.Errorf("the assertion has %d parts", len(part))
	}
	var raw [3][]byte
	for i, p := range part {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			return "", err
		}
		raw[i] = b
	}
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	if err := rsa.VerifyPKCS1v15(&private().PublicKey, crypto.SHA256, sum[:], raw[2]); err != nil {
		return "", fmt.Errorf("Invalid JWT Signature: %w", err)
	}
	var head struct{ Alg, Typ, Kid string }
	var c struct {
		Iss, Aud, Scope string
		Iat, Exp        int64
	}
	if err := errors.Join(json.Unmarshal(raw[0], &head), json.Unmarshal(raw[1], &c)); err != nil {
		return "", err
	}
	at := now().Unix()
	switch {
	case head.Alg != "RS256" || head.Typ != "JWT" || head.Kid != "kid-1":
		return "", fmt.Errorf("header %+v", head)
	case c.Iss != email || c.Aud != s.URL || c.Scope == "":
		return "", fmt.Errorf("iss, aud or scope")
	case c.Iat > at || c.Exp <= at || c.Exp-c.Iat > 3600:
		return "", fmt.Errorf("Token must be a short-lived token (60 minutes)")
	}
	return c.Scope, nil
}

// signs reports whether sign is that of the private key of the tests.
func signs(sign func([]byte) ([]byte, error)) bool {
	sig, err := sign([]byte("what is signed"))
	sum := sha256.Sum256([]byte("what is signed"))
	return err == nil && rsa.VerifyPKCS1v15(&private().PublicKey, crypto.SHA256, sum[:], sig) == nil
}
