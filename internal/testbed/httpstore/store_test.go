package httpstore

import (
	"net/http"
	"testing"

	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

const canary = "canary-token-7f3a"

// serve starts a store behind a fault server that does nothing yet.
func serve(t testing.TB) (*faults.Server, *memory.Driver) {
	m := memory.New("m", 2<<30, nil)
	return faults.New(t, &Server{Driver: m, Token: canary}), m
}

func client(t testing.TB, o httpclient.Options) *http.Client {
	c, err := httpclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestStore(t *testing.T) {
	c := client(t, httpclient.Options{})
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver {
			f, _ := serve(t)
			t.Cleanup(c.CloseIdleConnections)
			return Open(f.URL, c, secret.New(canary))
		},
		Again: func(t testing.TB, d store.Driver) store.Driver {
			return Open(d.(*Driver).base, c, secret.New(canary))
		},
		Idle:      c.CloseIdleConnections,
		InProcess: true,
		Secrets:   []string{canary},
	})
}
