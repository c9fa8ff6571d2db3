package s3

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

// keys is a credential of an access key.
func keys(id, key string) credential.Source {
	return credential.Static("test", map[string]secret.String{"access_key_id": secret.New(id), "secret_access_key": secret.New(key)}, secret.NewRedactor())
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
	return provider.Env{Name: "s3test", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
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

// bucket returns a name that was not used before.
func bucket() string { return "b-" + strings.ToLower(rand.Text()[:12]) }

// harness runs the suite against a server; each store is a bucket of its own.
func harness(c *http.Client, cred credential.Source, o Options) storetest.Harness {
	return storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			own := o
			own.Bucket, own.CreateIfNotExists = bucket(), true
			d := openWith(t, env(c, cred), own)
			if err := d.ensureBucket(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			return d
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			own := o
			own.Bucket = d.(*Driver).o.Bucket
			return openWith(t, env(c, cred), own)
		},
		Idle: c.CloseIdleConnections,
	}
}
