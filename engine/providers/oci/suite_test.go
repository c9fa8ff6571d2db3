package oci

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	fake "github.com/dsrun/dsrun/internal/testbed/oci"
)

const keyID = "ocid1.tenancy.oc1..testbed/ocid1.user.oc1..testbed/20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"

// testKey is made once: making a key takes long.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func keyPEM() string {
	der, _ := x509.MarshalPKCS8PrivateKey(testKey())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// apiKey is the credential of a user whom the fake lets in.
func apiKey() credential.Source {
	p := strings.Split(keyID, "/")
	return credential.Static("test", map[string]secret.String{"tenancy": secret.New(p[0]), "user": secret.New(p[1]), "fingerprint": secret.New(p[2]), "private_key": secret.New(keyPEM())}, secret.NewRedactor())
}

func client(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "ocitest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
		Getenv: func(string) string { return "" }}
}

// openWith opens a driver that the caller closes.
func openWith(t testing.TB, e provider.Env, o Options) *Driver {
	t.Helper()
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Driver)
}

// newFake returns a fake that lets apiKey in.
func newFake() *fake.Server {
	s := fake.New()
	s.Allow(keyID, &testKey().PublicKey)
	return s
}

func TestStore(t *testing.T) {
	f := newFake()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c := client(t, httpclient.Options{})
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			name := "b-" + rand.Text()
			f.Bucket(name)
			return openWith(t, env(c, apiKey()), Options{Bucket: name, Endpoint: s.URL})
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			return openWith(t, env(c, apiKey()), d.(*Driver).o)
		},
		Idle:      func() { c.CloseIdleConnections(); s.CloseClientConnections() },
		InProcess: true,
		Secrets:   []string{keyPEM()},
	})
}

// held is a body in memory.
type held []byte

func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(ctx context.Context) (io.ReadCloser, error) {
	return store.BytesBody(b).Open(ctx)
}
