package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// filled is a memory driver that takes bytes at offsets, rightly unless told otherwise.
type filled struct {
	*memory.Driver
	early, holes, lingers, careless bool
}

type memoryFilling struct {
	d    *filled
	key  string
	o    store.PutOptions
	mu   sync.Mutex
	data []byte
	n    int
	done bool
}

func (d *filled) Fill(ctx context.Context, key string, size int64, o store.PutOptions) (store.Filling, error) {
	f := &memoryFilling{d: d, key: key, o: o, data: make([]byte, size)}
	if d.early {
		_, err := d.Put(ctx, key, Bytes(f.data), store.PutOptions{})
		return f, err
	}
	return f, nil
}

func (f *memoryFilling) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off+int64(len(p)) > int64(len(f.data)) {
		return 0, fault.New(fault.InvalidArgument, "beyond the end")
	}
	f.n += len(p)
	return copy(f.data[off:], p), nil
}

func (f *memoryFilling) Commit(ctx context.Context) (store.Entry, error) {
	if f.n < len(f.data) && !f.d.holes {
		return store.Entry{}, fault.New(fault.DataLoss, "%d bytes of %d", f.n, len(f.data))
	}
	if f.d.careless {
		f.o.IfAbsent = false
	}
	f.done = true
	return f.d.Put(ctx, f.key, Bytes(f.data), f.o)
}

func (f *memoryFilling) Abort() error {
	if f.d.lingers && !f.done {
		_, err := f.d.Put(context.Background(), f.key+".part", Bytes(f.data), store.PutOptions{})
		return err
	}
	return nil
}

func TestSuiteCatchesFillers(t *testing.T) {
	for _, c := range []struct {
		broken filled
		by     string
	}{{filled{}, ""}, {filled{early: true}, "Fill/AnyOrderAndAtOnce"}, {filled{holes: true}, "Fill/IncompleteIsAnError"},
		{filled{lingers: true}, "Fill/AbortLeavesNothing"}, {filled{careless: true}, "Fill/Conditions"}} {
		for _, check := range fillChecks {
			r := record(t, harnessOf(func(d *memory.Driver) store.Driver {
				b := c.broken
				b.Driver = d
				return &b
			}), check)
			if failed := len(r.failures) > 0; failed != (check.name == c.by) && (c.by == "" || check.name == c.by) {
				t.Error(fmt.Sprintf("%+v", c), check.name, r.failures)
			}
		}
	}
}
