package azureblob

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
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

// login opens a credential of the family azure.
func login(t testing.TB, o azureauth.Options) credential.Source {
	t.Helper()
	s, err := azureauth.Provider().OpenCredential(t.Context(), provider.Env{Name: "test", Redactor: secret.NewRedactor(), Clock: clock.Real}, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(t testing.TB, a *testbed.Azure) credential.Source {
	return login(t, azureauth.Options{Method: "account_key", AccountKey: secret.New(a.Key)})
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

func container() string { return "c-" + strings.ToLower(rand.Text()[:12]) }

// suite runs storetest with a credential; each store is a container of its own.
func suite(t *testing.T, a *testbed.Azure, cred credential.Source) {
	c := client(t, httpclient.Options{})
	o := Options{Account: a.Account, Endpoint: a.Endpoint, CreateIfNotExists: true}
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			own := o
			own.Container = container()
			d := openWith(t, c, cred, own)
			if err := d.ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdleConnections)
			return d
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			own := o
			own.Container = d.(*Driver).o.Container
			return openWith(t, c, cred, own)
		},
		Idle:    c.CloseIdleConnections,
		Secrets: []string{a.Key},
	})
}

func TestAzurite(t *testing.T) {
	a := testbed.Azurite(t)
	suite(t, a, keyOf(t, a))
}
