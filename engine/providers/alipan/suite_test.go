package alipan

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	fake "github.com/dsrun/dsrun/internal/testbed/alipan"
)

const password = "correct horse"

func client(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// login returns the credential of a fake for one of its APIs: "refresh_token" or "openapi".
func login(t testing.TB, f *fake.Server, c *http.Client, method, url string, k clock.Clock) credential.Source {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	p := alipanauth.Provider()
	o, list := p.Body.Declare()
	set := map[string]string{"endpoint": url, "refresh_token": f.WebToken()}
	if method == "openapi" {
		set["refresh_token"], set["client_id"], set["client_secret"] = f.OpenToken(), fake.ClientID, fake.ClientSecret
	}
	for _, x := range list.List {
		switch to := x.Target().(type) {
		case *string:
			*to = set[x.Name]
		case *secret.String:
			*to = secret.New(set[x.Name])
		}
	}
	*list.MethodTarget() = method
	src, err := p.OpenCredential(t.Context(), provider.Env{Name: "test", HTTP: c, Clock: k, Redactor: secret.NewRedactor(),
		State: func() (*state.State, error) { return st, nil }}, o)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "alipantest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}
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

// held is a body in memory.
func held[T []byte | string](b T) store.Body { return storetest.Bytes([]byte(b)) }

// Each store is a folder of its own in one drive.
func TestStore(t *testing.T) {
	for _, x := range []struct{ method, algo string }{{"refresh_token", ""}, {"openapi", ""}, {"openapi", "Simple"}, {"refresh_token", "ChaCha20"}, {"openapi", "AES256CBC"}} {
		t.Run(x.method+x.algo, func(t *testing.T) {
			f := fake.New()
			s := httptest.NewServer(f)
			t.Cleanup(s.Close)
			c := client(t, httpclient.Options{})
			cred := login(t, f, c, x.method, s.URL, clock.Real)
			open := func(t testing.TB, root string) store.Driver {
				o := Options{Root: root}
				if x.algo != "" {
					o.EncryptPassword, o.EncryptType = secret.New(password), x.algo
				}
				return openWith(t, env(c, cred), o)
			}
			skip := map[string]string{}
			if !testbed.Long() && (x.algo == "Simple" || x.algo == "AES256CBC") { // ChaCha20 has them
				for _, name := range []string{"List/ManyKeys", "Store/FailedSourceStoresNothing", "Store/WriterShowsNothingBeforeCommit", "Cancel/AtRandomPoints"} {
					skip[name] = "it takes long: at full figures only (DSRUN_TEST_LONG=1)"
				}
			}
			if x.algo == "AES256CBC" {
				skip["Multipart/ResumesElsewhere"] = "the encryption of a part needs the end of the part before, which an upload that is not complete does not give: a resumed one begins anew"
			}
			storetest.Run(t, storetest.Harness{
				Open:      func(t testing.TB) store.Driver { return open(t, "/"+rand.Text()) },
				Again:     func(t testing.TB, d store.Driver) store.Driver { return open(t, d.(*Driver).o.Root) },
				Idle:      func() { c.CloseIdleConnections(); s.CloseClientConnections() },
				InProcess: true,
				Secrets:   []string{password, fake.ClientSecret},
				Skip:      skip,
			})
		})
	}
}
