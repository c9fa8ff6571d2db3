package ociauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	fake "github.com/dsrun/dsrun/internal/testbed/oci"
)

const (
	tenancy = "ocid1.tenancy.oc1..testbed"
	user    = "ocid1.user.oc1..testbed"
	finger  = "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func pkcs1() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey())}))
}

// locked is the key with a passphrase, in the older form that `oci setup config` writes.
func locked(t *testing.T, pass string) string {
	b, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey()), []byte(pass), x509.PEMCipherAES256) //nolint:staticcheck // what the tool writes
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(b))
}

func env(vars map[string]string) provider.Env {
	return provider.Env{Name: "test", Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(), Getenv: func(n string) string { return vars[n] }}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// served is a fake and its address.
func served(t *testing.T) (*fake.Server, string) {
	f := fake.New()
	f.Allow(tenancy+"/"+user+"/"+finger, &testKey().PublicKey)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL
}

// accepted asks the fake for the namespace with the credential.
func accepted(t *testing.T, src credential.Source, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/n", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if err := NewSigner(src).Sign(t.Context(), req, false, false); err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

func TestProvider(t *testing.T) {
	providertest.Check(t, Provider())
	providertest.Canary(t, Provider(), env(nil), map[string]string{"private_key_file": `"/none"`, "token_file": `"/none"`, "auth_endpoint": `"http://127.0.0.1:1"`}, func(ctx context.Context, opened any) error {
		src := opened.(credential.Source)
		src.Explain(ctx)
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err := src.Resolve(ctx, credential.Want{})
		return err
	})
}

// Each way to log in is taken by the service.
func TestMethods(t *testing.T) {
	f, url := served(t)
	if err := f.Instance(); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	keyFile := write(t, home, ".oci/key.pem", pkcs1())
	lockedFile := write(t, home, ".oci/locked.pem", locked(t, "open sesame"))
	token := f.Issue(&testKey().PublicKey, time.Hour)
	tokenFile := write(t, home, ".oci/token", token+"\n")
	config := fmt.Sprintf("# made by hand\n[DEFAULT]\ntenancy = %s\nuser=%s\nfingerprint=%s\nkey_file=~/.oci/key.pem\nregion=us-ashburn-1\n\n[LOCKED]\nuser=%s\nkey_file=%s\npass_phrase=open sesame\nregion=fra\n[SESSION]\nsecurity_token_file=%s\nkey_file=%s\ntenancy=%s\nregion=eu-zurich-1\n[EMPTY]\n",
		tenancy, user, finger, user, lockedFile, tokenFile, keyFile, tenancy)
	write(t, home, ".oci/config", config)
	other := write(t, home, "other", strings.ReplaceAll(config, "us-ashburn-1", "uk-london-1"))
	base := map[string]string{"HOME": home}
	with := func(more ...string) map[string]string {
		m := map[string]string{"HOME": home}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	pod, account := podService(t, f)
	for name, x := range map[string]struct {
		o      Options
		vars   map[string]string
		region string
	}{
		"api key":              {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKey: secret.New(pkcs1()), Region: "fra"}, nil, "eu-frankfurt-1"},
		"api key in a file":    {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKeyFile: keyFile}, nil, ""},
		"api key, locked":      {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKeyFile: lockedFile, Passphrase: secret.New("open sesame")}, nil, ""},
		"session":              {Options{Method: methodToken, TokenFile: tokenFile, PrivateKeyFile: keyFile}, nil, ""},
		"default, file":        {Options{}, base, "us-ashburn-1"},
		"default, profile":     {Options{Method: methodDefault, Profile: "LOCKED"}, base, "eu-frankfurt-1"},
		"default, session":     {Options{}, with("OCI_CLI_PROFILE", "SESSION"), "eu-zurich-1"},
		"default, other file":  {Options{}, with("OCI_CONFIG_FILE", other, "OCI_CONFIG_PROFILE", "DEFAULT"), "uk-london-1"},
		"default, declared":    {Options{ConfigFile: other}, with("OCI_CLI_PROFILE", "EMPTY", "OCI_CLI_KEY_CONTENT", "x"), "uk-london-1"},
		"default, environment": {Options{}, map[string]string{"OCI_CLI_TENANCY": tenancy, "OCI_CLI_USER": user, "OCI_CLI_FINGERPRINT": finger, "OCI_CLI_KEY_CONTENT": pkcs1(), "OCI_CLI_REGION": "phx"}, "us-phoenix-1"},
		"default, instance":    {Options{}, map[string]string{"OCI_CLI_AUTH": "instance_principal", "OCI_METADATA_BASE_URL": url + "/opc/v2", "OCI_CLI_REGION": "iad"}, "us-ashburn-1"},
		"instance":             {Options{Method: methodInstance}, map[string]string{"OCI_METADATA_BASE_URL": url + "/opc/v2"}, "us-ashburn-1"},
		"resource":             {Options{Method: methodResource}, map[string]string{"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_RPST": token, "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": pkcs1(), "OCI_RESOURCE_PRINCIPAL_REGION": "us-ashburn-1"}, "us-ashburn-1"},
		"resource, files":      {Options{Method: methodResource}, map[string]string{"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_RPST": tokenFile, "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": keyFile, "OCI_RESOURCE_PRINCIPAL_REGION": "us-ashburn-1"}, "us-ashburn-1"},
		"workload":             {Options{Method: methodWorkload}, map[string]string{"KUBERNETES_SERVICE_HOST": pod.Listener.Addr().String(), "OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH": account, "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH": caOf(t, pod), "OCI_RESOURCE_PRINCIPAL_REGION": "us-ashburn-1"}, "us-ashburn-1"},
	} {
		x.o.AuthEndpoint = url
		src, err := open(t.Context(), env(x.vars), &x.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := accepted(t, src, url); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r := Region(t.Context(), src); r != x.region {
			t.Errorf("%s: region %q, want %q", name, r, x.region)
		}
		if got := Tenancy(t.Context(), src); got != tenancy && !strings.Contains(name, "x") {
			t.Errorf("%s: tenancy %q", name, got)
		}
		if steps := src.Explain(t.Context()); len(steps) == 0 || strings.Contains(fmt.Sprint(steps), "sesame") {
			t.Errorf("%s: %v", name, steps)
		}
	}
}

// podService exchanges a pod's token.
func podService(t *testing.T, f *fake.Server) (*httptest.Server, string) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var d struct{ PodKey string }
		json.NewDecoder(r.Body).Decode(&d)
		raw, _ := base64.StdEncoding.DecodeString(d.PodKey)
		key, err := x509.ParsePKIXPublicKey(raw)
		if r.URL.Path != "/resourcePrincipalSessionTokens" || r.Header.Get("Authorization") != "Bearer of-the-pod" || err != nil {
			w.WriteHeader(403)
			return
		}
		inner, _ := json.Marshal(map[string]string{"token": "ST$" + f.Issue(key.(*rsa.PublicKey), time.Hour)})
		fmt.Fprintf(w, "%q", base64.StdEncoding.EncodeToString(inner))
	}))
	t.Cleanup(s.Close)
	return s, write(t, t.TempDir(), "token", "of-the-pod\n")
}

func caOf(t *testing.T, s *httptest.Server) string {
	return write(t, t.TempDir(), "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

// What is declared and wrong is an error, and nothing ambient stands in for it.
func TestNoFallBack(t *testing.T) {
	f, url := served(t)
	home := t.TempDir()
	write(t, home, ".oci/config", fmt.Sprintf("[DEFAULT]\ntenancy=%s\nuser=%s\nfingerprint=%s\nkey_file=%s\n[HALF]\nuser=x\nkey_file=/none\n", tenancy, user, finger, write(t, home, "key.pem", pkcs1())))
	ended := write(t, home, "ended", f.Issue(&testKey().PublicKey, -time.Minute))
	vars := map[string]string{"HOME": home, "OCI_CLI_TENANCY": tenancy, "OCI_CLI_USER": user, "OCI_CLI_FINGERPRINT": finger, "OCI_CLI_KEY_CONTENT": pkcs1(), "OCI_METADATA_BASE_URL": url + "/opc/v2"}
	for name, x := range map[string]struct {
		o    Options
		code fault.Code
	}{
		"a key that is none":        {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKey: secret.New("no key")}, fault.Unauthenticated},
		"a wrong passphrase":        {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKey: secret.New(locked(t, "a")), Passphrase: secret.New("b")}, fault.Unauthenticated},
		"no file":                   {Options{Method: methodAPIKey, Tenancy: tenancy, User: user, Fingerprint: finger, PrivateKeyFile: "/none"}, fault.Unauthenticated},
		"no profile":                {Options{Profile: "NONE"}, fault.Unauthenticated},
		"no such file":              {Options{ConfigFile: "/none"}, fault.Unauthenticated},
		"a profile with half a key": {Options{Profile: "HALF"}, fault.Unauthenticated},
		"an ended session":          {Options{Method: methodToken, TokenFile: ended, PrivateKey: secret.New(pkcs1())}, fault.Unauthenticated},
		"no token":                  {Options{Method: methodToken, TokenFile: write(t, home, "junk", "junk"), PrivateKey: secret.New(pkcs1())}, fault.Unauthenticated},
		"no instance":               {Options{Method: methodInstance}, fault.Unauthenticated},
		"no resource":               {Options{Method: methodResource}, fault.Unauthenticated},
		"no pod":                    {Options{Method: methodWorkload}, fault.Unauthenticated},
	} {
		src, err := open(t.Context(), env(vars), &x.o)
		if err == nil {
			_, err = src.Resolve(t.Context(), credential.Want{})
		}
		if !fault.Is(err, x.code) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
	src, _ := open(t.Context(), env(map[string]string{"HOME": t.TempDir()}), &Options{})
	if _, err := src.Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "~/.oci/config") {
		t.Errorf("nothing at all: %v", err)
	}
}
