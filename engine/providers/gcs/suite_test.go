package gcs

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	front "github.com/dsrun/dsrun/internal/testbed/gcs"
)

const goodToken = "ya29.testbed-token"

// bearer is a credential of an access token.
func bearer(s string) credential.Source {
	return credential.Static("test", map[string]secret.String{"access_token": secret.New(s)}, secret.NewRedactor())
}

func client(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	o.HTTP1 = true // so that the driver uses its very connections
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "gcstest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
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

// newFront starts fake-gcs-server and a front of it that takes goodToken.
func newFront(t testing.TB) *front.Front {
	t.Helper()
	f, err := front.New(testbed.FakeGCS(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	f.Allow(goodToken)
	return f
}

// bucket makes a bucket of its own.
func bucket(t testing.TB, f *front.Front) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text()[:12])
	if err := f.MakeBucket(name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestStore(t *testing.T) {
	f := newFront(t)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c := client(t, httpclient.Options{})
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			return openWith(t, env(c, bearer(goodToken)), Options{Bucket: bucket(t, f), Endpoint: s.URL})
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			return openWith(t, env(c, bearer(goodToken)), d.(*Driver).o)
		},
		Idle:      func() { c.CloseIdleConnections(); s.CloseClientConnections(); f.Close() },
		InProcess: true,
		Secrets:   []string{goodToken},
	})
}

// held is a body in memory.
type held []byte

func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(ctx context.Context) (io.ReadCloser, error) {
	return store.BytesBody(b).Open(ctx)
}
