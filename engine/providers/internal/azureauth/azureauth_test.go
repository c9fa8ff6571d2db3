package azureauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// authority is a service of tokens: it checks the grant, the tenant, the scope and what proves the application, and gives
// the token "token-N-for-SCOPE" for an hour.
type authority struct {
	*httptest.Server
	mu     sync.Mutex
	asked  int
	fail   string                                 // answer with this code of Entra
	assert func(assertion, audience string) error // checks a client assertion
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked++
		refuse := func(why string) {
			w.WriteHeader(401)
			json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": why + ". Trace ID: x"})
		}
		_ = r.ParseForm()
		f := r.PostForm
		switch {
		case r.Method != "POST" || r.URL.Path != "/tenant-1/oauth2/v2.0/token":
			refuse("AADSTS90002: Tenant not found")
		case a.fail != "":
			refuse(a.fail + ": " + f.Get("client_secret"))
		case f.Get("grant_type") != "client_credentials" || f.Get("client_id") != "app-1" || !strings.HasSuffix(f.Get("scope"), "/.default"):
			refuse("AADSTS900144: the request is wrong")
		case f.Get("client_assertion") != "":
			if f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || f.Has("client_secret") {
				refuse("AADSTS50027: no type")
			} else if err := a.assert(f.Get("client_assertion"), a.URL+r.URL.Path); err != nil {
				refuse("AADSTS700027: " + err.Error())
			} else {
				fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"token-%d-for-%s"}`, a.asked, f.Get("scope"))
			}
		case f.Get("client_secret") != "right/+secret":
			refuse("AADSTS7000215: Invalid client secret")
		default:
			fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"token-%d-for-%s"}`, a.asked, f.Get("scope"))
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) count() int { a.mu.Lock(); defer a.mu.Unlock(); return a.asked }

func newEnv(t testing.TB, vars map[string]string) (provider.Env, *clock.Fake) {
	t.Helper()
	c, err := httpclient.New(httpclient.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	fake := clock.NewFake(begin)
	return provider.Env{Name: "main", HTTP: c, Clock: fake, Redactor: secret.NewRedactor(), Log: slog.New(slog.DiscardHandler),
		Getenv: func(n string) string { return vars[n] }}, fake
}

func source1(t testing.TB, env provider.Env, o Options) credential.Source {
	t.Helper()
	s, err := Provider().OpenCredential(t.Context(), env, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokenOf(t testing.TB, s credential.Source, w credential.Want) string {
	t.Helper()
	v, err := s.Resolve(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields[FieldToken].Reveal()
}

var storage = credential.Want{Audience: StorageScope}

func TestDeclarations(t *testing.T) { providertest.Check(t, Provider()) }

// A token is kept for four fifths of its life, for each audience, and renewed when it was refused.
func TestPrincipal(t *testing.T) {
	a := newAuthority(t)
	env, fake := newEnv(t, nil)
	s := source1(t, env, Options{Method: methodServicePrincipal, TenantID: "tenant-1", ClientID: "app-1", ClientSecret: secret.New("right/+secret"), AuthorityURL: a.URL})
	want := func(n int, w credential.Want) {
		t.Helper()
		if got := tokenOf(t, s, w); got != fmt.Sprintf("token-%d-for-%s", n, w.Audience) {
			t.Errorf("%q, not the token %d for %s", got, n, w.Audience)
		}
	}
	want(1, storage)
	fake.Advance(47 * time.Minute)
	want(1, storage)
	fake.Advance(2 * time.Minute) // past 80 % of an hour
	want(2, storage)
	want(3, credential.Want{Audience: StorageScope, Refresh: true})
	want(4, credential.Want{Audience: EventGridScope})
	want(3, storage)
}

func TestPrincipalRefused(t *testing.T) {
	a := newAuthority(t)
	for what, x := range map[string]struct {
		o          Options
		code, hint string
	}{
		"secret": {Options{TenantID: "tenant-1", ClientID: "app-1", ClientSecret: secret.New("wrong-secret-1")}, "AADSTS7000215", "secret's value"},
		"tenant": {Options{TenantID: "tenant-2", ClientID: "app-1", ClientSecret: secret.New("wrong-secret-1")}, "AADSTS90002", "tenant_id"},
	} {
		// The environment holds what would be taken; a declared credential does not fall back to it.
		env, _ := newEnv(t, map[string]string{"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1", "AZURE_CLIENT_SECRET": "right/+secret", "AZURE_ACCOUNT_ACCESS_KEY": "a2V5"})
		x.o.Method, x.o.AuthorityURL = methodServicePrincipal, a.URL
		v, err := source1(t, env, x.o).Resolve(t.Context(), storage)
		if fault.CodeOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), x.code) || !strings.Contains(fault.ClassOf(err).Hint, x.hint) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: %v %v, hint %q", what, v, err, fault.ClassOf(err).Hint)
		}
	}
}

func TestPrincipalJSON(t *testing.T) {
	a := newAuthority(t)
	env, _ := newEnv(t, nil)
	good := `{"appId":"app-1","displayName":"dsrun","password":"right/+secret","tenant":"tenant-1"}`
	file := filepath.Join(t.TempDir(), "sp.json")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{JSON: secret.New(good)}, {JSONFile: file}} {
		o.Method, o.AuthorityURL = methodServicePrincipal, a.URL
		if got := tokenOf(t, source1(t, env, o), storage); !strings.HasPrefix(got, "token-") {
			t.Error(got)
		}
	}
	for text, want := range map[string]string{`{"appId":"a","tenant":"t"}`: "lacks displayName, password", `{"password":"pa55word-x"`: "not JSON", `{}`: "lacks appId, displayName, password, tenant"} {
		_, err := Provider().OpenCredential(t.Context(), env, &Options{Method: methodServicePrincipal, JSON: secret.New(text)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := Provider().OpenCredential(t.Context(), env, &Options{Method: methodServicePrincipal, ClientSecret: secret.New("x")})
	if err == nil || !strings.Contains(err.Error(), "tenant_id and client_id") {
		t.Errorf("nothing but a secret: %v", err)
	}
}

// The authority verifies the assertion with the certificate's public key, its thumbprint and its claims.
func TestCertificate(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dsrun"}, NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(key)
	keyPEM, certPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file := filepath.Join(t.TempDir(), "sp.pem")
	write := func(b ...[]byte) {
		var all []byte
		for _, x := range b {
			all = append(all, x...)
		}
		if err := os.WriteFile(file, all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keyPEM, certPEM)
	a := newAuthority(t)
	a.assert = func(jwt, audience string) error {
		p := strings.Split(jwt, ".")
		if len(p) != 3 {
			return fmt.Errorf("no JWT")
		}
		sig, _ := base64.RawURLEncoding.DecodeString(p[2])
		sum := sha256.Sum256([]byte(p[0] + "." + p[1]))
		if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: 32}); err != nil {
			return err
		}
		var head, claims map[string]any
		for i, v := range []*map[string]any{&head, &claims} {
			b, _ := base64.RawURLEncoding.DecodeString(p[i])
			if err := json.Unmarshal(b, v); err != nil {
				return err
			}
		}
		thumb := sha256.Sum256(der)
		now := float64(begin.Unix())
		if head["alg"] != "PS256" || head["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumb[:]) || claims["aud"] != audience || claims["iss"] != "app-1" ||
			claims["sub"] != "app-1" || claims["jti"] == "" || claims["nbf"].(float64) > now || claims["exp"].(float64) <= now {
			return fmt.Errorf("the assertion says %v %v", head, claims)
		}
		return nil
	}
	env, fake := newEnv(t, nil)
	o := Options{Method: methodServicePrincipal, TenantID: "tenant-1", ClientID: "app-1", CertificateFile: file, AuthorityURL: a.URL}
	s := source1(t, env, o)
	if got := tokenOf(t, s, storage); got != "token-1-for-"+StorageScope {
		t.Error(got)
	}
	for what, b := range map[string][][]byte{"private key": {certPEM}, "certificate": {keyPEM}} {
		write(b...)
		if _, err := source1(t, env, o).Resolve(t.Context(), storage); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("without a %s: %v", what, err)
		}
	}
	write(keyPEM, certPEM)
	fake.Advance(2 * time.Hour)
	if _, err := source1(t, env, o).Resolve(t.Context(), storage); err == nil || !strings.Contains(err.Error(), "ended on") {
		t.Errorf("an old certificate: %v", err)
	}
}

// The token of a workload is read anew for each token of Azure.
func TestWorkload(t *testing.T) {
	a := newAuthority(t)
	var seen []string
	a.assert = func(s, _ string) error { seen = append(seen, s); return nil }
	env, _ := newEnv(t, nil)
	file := filepath.Join(t.TempDir(), "jwt")
	s := source1(t, env, Options{Method: methodWorkloadIdentity, TenantID: "tenant-1", ClientID: "app-1", TokenFile: file, AuthorityURL: a.URL})
	if _, err := s.Resolve(t.Context(), storage); fault.CodeOf(err) != fault.Unauthenticated || a.count() != 0 {
		t.Errorf("without the file: %v", err)
	}
	for _, text := range []string{"jwt-one", "jwt-two"} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		tokenOf(t, s, credential.Want{Audience: StorageScope, Refresh: true})
	}
	if strings.Join(seen, " ") != "jwt-one jwt-two" {
		t.Errorf("the authority saw %v", seen)
	}
}

// metadataServer is the metadata service of a virtual machine.
func metadataServer(t *testing.T) (*httptest.Server, *[]url.Values) {
	var seen []url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		seen = append(seen, q)
		if r.Header.Get("Metadata") != "true" || q.Get("api-version") != "2018-02-01" || q.Get("resource") != "https://storage.azure.com" {
			w.WriteHeader(400)
			return
		}
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":"3600","expires_on":"1","access_token":"machine %s"}`, q.Get("client_id"))
	}))
	t.Cleanup(s.Close)
	return s, &seen
}

func TestManagedIdentity(t *testing.T) {
	srv, _ := metadataServer(t)
	env, _ := newEnv(t, map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": "canary"})
	w := newWorld(env, &Options{})
	w.imds = srv.URL + "/metadata/identity/oauth2/token"
	for _, client := range []string{"", "user-1"} {
		if got := tokenOf(t, w.managed("x", client, false), storage); got != "machine "+client {
			t.Errorf("client %q: %q", client, got)
		}
	}
	w.imds = srv.URL + "/x"
	srv.Close()
	if _, err := w.managed("x", "", false).Resolve(t.Context(), storage); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("no service: %v", err)
	}
}

// The command az is found by PATH, gets the scope, and its failure is said.
func TestCLI(t *testing.T) {
	dir := t.TempDir()
	env, _ := newEnv(t, map[string]string{"PATH": dir + ":/bin:/usr/bin", "HOME": dir, "AZURE_CLIENT_SECRET": "canary"})
	script := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "az"), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := source1(t, env, Options{Method: methodCLI, TenantID: "tenant-1"})
	if _, err := s.Resolve(t.Context(), storage); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("no az: %v", err)
	}
	script(fmt.Sprintf(`[ "$*" = "account get-access-token --output json --scope %s --tenant tenant-1" ] && [ -z "$AZURE_CLIENT_SECRET" ] || exit 3
echo '{"accessToken":"from-az","expires_on":%d}'`, StorageScope, begin.Add(time.Hour).Unix()))
	if got := tokenOf(t, s, storage); got != "from-az" {
		t.Error(got)
	}
	script("echo 'Please run az login' >&2; exit 1")
	if _, err := s.Resolve(t.Context(), credential.Want{Audience: StorageScope, Refresh: true}); err == nil || !strings.Contains(fault.ClassOf(err).Hint, "az login") {
		t.Errorf("not logged in: %v", err)
	}
}

// TestDefault: the first of the environment's places that has an answer for what is wanted.
func TestDefault(t *testing.T) {
	a := newAuthority(t)
	const key = "a2V5LW9uZQ=="
	principal := map[string]string{"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "app-1", "AZURE_CLIENT_SECRET": "right/+secret", "AZURE_AUTHORITY_HOST": a.URL}
	for what, x := range map[string]struct {
		vars        map[string]string
		account     string
		want        credential.Want
		field, text string
	}{
		"key":                  {map[string]string{"AZURE_ACCOUNT_NAME": "one", "AZURE_ACCOUNT_ACCESS_KEY": key}, "one", storage, FieldAccountKey, key},
		"sample key":           {map[string]string{"BLOB_ACCOUNTNAME": "one", "BLOB_ACCOUNT_KEY": key}, "one", storage, FieldAccountKey, key},
		"connection string":    {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=one;AccountKey=" + key}, "one", storage, FieldAccountKey, key},
		"SAS":                  {map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"}, "one", storage, FieldSAS, "sv=1&sig=x"},
		"key of another":       {map[string]string{"AZURE_ACCOUNT_NAME": "two", "AZURE_ACCOUNT_ACCESS_KEY": key}, "one", storage, FieldToken, "token-"},
		"keys are for storage": {map[string]string{"AZURE_ACCOUNT_ACCESS_KEY": key}, "", credential.Want{Audience: EventGridScope}, FieldToken, "token-"},
	} {
		vars := map[string]string{}
		for _, m := range []map[string]string{principal, x.vars} {
			for k, v := range m {
				vars[k] = v
			}
		}
		env, _ := newEnv(t, vars)
		v, err := ForAccount(source1(t, env, Options{Method: methodDefault}), x.account).Resolve(t.Context(), x.want)
		if err != nil || !strings.HasPrefix(v.Fields[x.field].Reveal(), x.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	env, _ := newEnv(t, map[string]string{"AZURE_CLIENT_SECRET": "x", "AZURE_CLIENT_ID": "app-1"})
	if _, err := source1(t, env, Options{Method: methodDefault}).Resolve(t.Context(), storage); err == nil || !strings.Contains(err.Error(), "AZURE_TENANT_ID") {
		t.Errorf("without a tenant: %v", err)
	}
}

// Declared keys are used as they are, and nobody is asked.
func TestDeclared(t *testing.T) {
	env, _ := newEnv(t, map[string]string{"AZURE_ACCOUNT_ACCESS_KEY": "Y2FuYXJ5", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=canary"})
	for what, x := range map[string]struct {
		o           Options
		field, text string
	}{
		"key":        {Options{Method: methodAccountKey, AccountKey: secret.New("a2V5")}, FieldAccountKey, "a2V5"},
		"access key": {Options{Method: methodAccessKey, AccessKey: secret.New("grid-key")}, FieldAccessKey, "grid-key"},
		"SAS":        {Options{Method: methodSAS, SASToken: secret.New("https://a.example/c?sv=1&sig=a+b%3D")}, FieldSAS, "sv=1&sig=a%2Bb%3D"},
		"connection": {Options{Method: methodConnectionString, ConnectionString: secret.New("BlobEndpoint=https://one.example;SharedAccessSignature=sv=1&sig=zz")}, FieldSAS, "sv=1&sig=zz"},
		"anonymous":  {Options{Method: methodAnonymous}, FieldToken, ""},
	} {
		s := source1(t, env, x.o)
		v, err := s.Resolve(t.Context(), storage)
		if err != nil || v.Fields[x.field].Reveal() != x.text || len(v.Fields) > 1 || Anonymous(s) != (what == "anonymous") {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := source1(t, env, Options{Method: methodConnectionString, ConnectionString: secret.New("DefaultEndpointsProtocol=https;AccountName=one;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn")})
	if Account(s) != "one" || Endpoint(s, "file") != "https://one.file.core.chinacloudapi.cn" {
		t.Errorf("%q %q", Account(s), Endpoint(s, "file"))
	}
	for _, text := range []string{"x", "AccountName=one", "AccountKey=a2V5", "AccountName=one;AccountKey=p4ssw*rd"} {
		if _, err := parseConnection(text); err == nil || strings.Contains(err.Error(), "p4ssw") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if c := CloudOf(source1(t, env, Options{Method: methodAnonymous, Cloud: "usgov"})); c.Suffix != "core.usgovcloudapi.net" || c.Authority != "https://login.microsoftonline.us" {
		t.Errorf("%+v", c)
	}
}

// TestStringToSign is an example of the reference of Shared Key.
func TestStringToSign(t *testing.T) {
	req, _ := http.NewRequest("GET", "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20", nil)
	req.Header = http.Header{"X-Ms-Date": {"Fri, 26 Jun 2015 23:39:12 GMT"}, "X-Ms-Version": {"2015-02-21"}}
	want := "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
	if got := stringToSign(req, "myaccount"); got != want {
		t.Errorf("%q", got)
	}
}

// TestCanary logs in at a service that refuses and repeats what it was told.
func TestCanary(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.WriteHeader(401)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "AADSTS1: " + r.PostForm.Get("client_secret")})
	}))
	defer echo.Close()
	env, _ := newEnv(t, nil)
	providertest.Canary(t, Provider(), env, map[string]string{"authority_url": fmt.Sprintf("%q", echo.URL)}, func(ctx context.Context, opened any) error {
		if o := opened.(credential.Source); strings.Contains(fmt.Sprint(o.Explain(ctx)), "managed") {
			return nil // no machine of Azure is at hand
		}
		_, err := opened.(credential.Source).Resolve(ctx, storage)
		return err
	})
}
