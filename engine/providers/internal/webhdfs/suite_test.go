package webhdfs

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

func user(name string) Login {
	return func(context.Context, bool) (Who, error) { return Who{Query: []string{"user.name", name}}, nil }
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

type world struct {
	provider.Env
	login Login
}

func env(c *http.Client, login Login) world {
	return world{provider.Env{Name: "hdfstest", HTTP: c, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor()}, login}
}

// openWith opens a driver that the caller closes.
func openWith(t testing.TB, w world, o Config) *Driver {
	t.Helper()
	o.Login = w.login
	d, err := Open(w.Env, o)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Driver)
}

// TestCluster runs everything that needs a cluster against one.
func TestCluster(t *testing.T) {
	h := testbed.WebHDFS(t)
	t.Run("ReadFaults", func(t *testing.T) { readFaults(t, h) })
	t.Run("WriteFaults", func(t *testing.T) { writeFaults(t, h) })
	t.Run("ListFaults", func(t *testing.T) { listFaults(t, h) })
	t.Run("Store", func(t *testing.T) { suite(t, h) })
}

// suite runs storetest; each store is a folder of its own.
func suite(t *testing.T, h *testbed.HDFS) {
	c := client(t, httpclient.Options{})
	open := func(t testing.TB, root string) store.Driver {
		return openWith(t, env(c, user(h.User)), Config{Endpoint: h.URL, Root: root, DataNodes: []string{h.DataHost}})
	}
	skip := map[string]string{}
	if !testbed.Long() { // a write is seven requests to two Java processes
		for _, name := range []string{"List/ManyKeys", "Names/DistinctInDistinctOut", "Store/Copy", "Put/IfAbsentHasOneWinner", "Cancel/AtRandomPoints", "Load/ConcurrentUse"} {
			skip[name] = "it takes long on a small cluster: at full figures only (DSRUN_TEST_LONG=1)"
		}
	}
	storetest.Run(t, storetest.Harness{
		Skip:  skip,
		Open:  func(t testing.TB) store.Driver { return open(t, "/"+rand.Text()) },
		Again: func(t testing.TB, d store.Driver) store.Driver { return open(t, d.(*Driver).o.Root) },
		Idle:  c.CloseIdleConnections,
	})
}
