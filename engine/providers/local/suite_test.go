package local

import (
	"testing"

	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open:  func(t testing.TB) store.Driver { return openOnly(t, t.TempDir()) },
		Again: func(t testing.TB, d store.Driver) store.Driver { return openOnly(t, d.(*Driver).path) },
	})
}

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

// openOnly opens a driver that the caller closes.
func openOnly(t testing.TB, dir string) *Driver {
	t.Helper()
	d, err := Open(Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
