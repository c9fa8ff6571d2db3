package databricks

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	fake "github.com/dsrun/dsrun/internal/testbed/databricks"
)

const (
	pat    = "dapi0123456789abcdef0123456789abcdef"
	volume = "/Volumes/main/default/vol"
)

func token(s string) credential.Source {
	return credential.Static("test", map[string]secret.String{"token": secret.New(s)}, secret.NewRedactor())
}

func client1(t testing.TB, o httpclient.Options) *http.Client {
	t.Helper()
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func env(c *http.Client, cred credential.Source) provider.Env {
	return provider.Env{Name: "dbxtest", Credential: cred, HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
		Getenv: func(string) string { return "" }}
}

// openWith opens a driver that the caller closes.
func openWith(t testing.TB, e provider.Env, o Options) store.Driver {
	t.Helper()
	d, err := Open(t.Context(), e, &o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// workspace is a fake that lets pat in, its address, and what closes its connections.
func workspace(t testing.TB, set func(f *fake.Server)) (f *fake.Server, url string, idle func()) {
	t.Helper()
	f = fake.New()
	f.Allow(pat)
	storage := httptest.NewServer(f.Storage())
	t.Cleanup(storage.Close)
	f.StorageURL = storage.URL
	if set != nil {
		set(f)
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL, func() { s.CloseClientConnections(); storage.CloseClientConnections() }
}

// suite runs storetest; each store is a folder of its own below top.
func suite(t *testing.T, top string, set func(f *fake.Server), open func(d store.Driver), skip map[string]string) {
	f, url, idle := workspace(t, set)
	c := client1(t, httpclient.Options{})
	at := func(t testing.TB, path string) store.Driver {
		d := openWith(t, env(c, token(pat)), Options{Host: url, Path: path})
		if open != nil {
			open(d)
		}
		return d
	}
	most := int64(0)
	if testbed.Long() {
		most = 256 << 20 // the fake holds all of it in memory
	}
	storetest.Run(t, storetest.Harness{
		Skip: skip, MaxSize: most,
		Open: func(t testing.TB) store.Driver { return at(t, top+rand.Text()) },
		Again: func(t testing.TB, d store.Driver) store.Driver {
			switch d := d.(type) {
			case *Driver:
				return at(t, d.root)
			case *DBFS:
				return at(t, "dbfs:"+d.root)
			}
			t.Fatalf("%T", d)
			return nil
		},
		Idle:      func() { c.CloseIdleConnections(); idle() },
		InProcess: true,
		Secrets:   []string{pat},
	})
	if n := f.Uploads(); n != 0 {
		t.Errorf("%d uploads and handles are left", n)
	}
}

// aside takes parts side by side, as the host of a workspace on AWS or Azure tells it.
func aside(d store.Driver) { d.(*Driver).caps.Part.Sequential = false }

func TestVolumes(t *testing.T) { suite(t, volume+"/", nil, aside, nil) }

func TestVolumesOfGoogle(t *testing.T) {
	suite(t, volume+"/", func(f *fake.Server) { f.Resumable, f.Persist, f.Page = true, 1<<20, 7 }, nil, nil)
}

func TestDBFS(t *testing.T) {
	skip := map[string]string{}
	if !testbed.Long() { // each MiB is a request of JSON, and a look
		for _, name := range []string{"Store/LargeUploads", "Store/Copy", "Load/LargeObjectInFlatMemory"} {
			skip[name] = "it takes long by blocks of 1 MiB in JSON: at full figures only (DSRUN_TEST_LONG=1)"
		}
	}
	suite(t, "dbfs:/", nil, nil, skip)
}
