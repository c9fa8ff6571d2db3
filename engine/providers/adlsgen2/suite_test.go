package adlsgen2

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
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
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/adls"
)

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

const account = "testbedaccount"

var accountKey = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))

// login opens a credential of the family azure.
func login(t testing.TB, o azureauth.Options) credential.Source {
	t.Helper()
	s, err := azureauth.Provider().OpenCredential(t.Context(), provider.Env{Name: "test", Redactor: secret.NewRedactor(), Clock: clock.Real}, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func byKey(t testing.TB) credential.Source {
	return login(t, azureauth.Options{Method: "account_key", AccountKey: secret.New(accountKey)})
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

// openWith opens a driver that the caller closes.
func openWith(t testing.TB, c *http.Client, cred credential.Source, o Options) *Driver {
	t.Helper()
	e := provider.Env{Name: "test", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Driver)
}

// serve starts a stand-in and returns it with the options of a fresh file system on it.
func serve(t testing.TB) (*adls.Server, Options) {
	t.Helper()
	s := adls.New(account, accountKey)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, Options{Account: account, Filesystem: filesystem(), Endpoint: srv.URL + "/" + account, CreateIfNotExists: true}
}

func filesystem() string { return "fs-" + strings.ToLower(rand.Text()[:12]) }

// held is a body in memory.
type held string

// Size, Replayable and Open implement store.Body.
func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(b))), nil
}

func content(t *testing.T, d *Driver, key string) string {
	t.Helper()
	x, err := d.Get(t.Context(), key, store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	b, err := io.ReadAll(x.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// suite runs storetest; each store is a file system of its own.
func suite(t *testing.T, set func(*adls.Server), cred func(testing.TB, *adls.Server) credential.Source) {
	s, o := serve(t)
	set(s)
	c := client(t, httpclient.Options{})
	id := cred(t, s)
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			own := o
			own.Filesystem = filesystem()
			d := openWith(t, c, id, own)
			if err := d.ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			return d
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			own := o
			own.Filesystem = d.(*Driver).o.Filesystem
			return openWith(t, c, id, own)
		},
		Idle:      c.CloseIdleConnections,
		InProcess: true,
		MaxSize:   testbed.Scale[int64](24<<20, 0), // of the stand-in's memory
		Secrets:   []string{accountKey},
	})
}

// TestStore counts goroutines, so that it runs alone.
func TestStore(t *testing.T) {
	suite(t, func(*adls.Server) {}, func(t testing.TB, _ *adls.Server) credential.Source { return byKey(t) })
}
