package record

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

// A store that is recorded keeps every promise of a store.
func TestRecordedStore(t *testing.T) {
	var n atomic.Int32
	wrap := func(t testing.TB, m *memory.Driver) store.Driver {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(root, secret.NewRedactor())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { root.Close() })
		return r.Wrap("m", "memory", m)
	}
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Driver { return wrap(t, memory.New(fmt.Sprint("m", n.Add(1)), 1<<30, nil)) },
		Again: func(t testing.TB, d store.Driver) store.Driver {
			return wrap(t, d.(*Driver).Driver.(*memory.Driver).Handle())
		},
		InProcess: true,
	})
}
