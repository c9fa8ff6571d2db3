package local

import (
	"context"
	"fmt"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// absent stands for a folder that a write would make, while nothing may be made: it is empty and takes no writes.
type absent struct{ path string }

func (a absent) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Modified: true, Why: lacks}
}

func (a absent) Stat(_ context.Context, key string, _ store.Cond) (store.Entry, error) {
	return store.Entry{}, fmt.Errorf("stat %s: %w", key, syscall.ENOENT)
}

func (a absent) List(ctx context.Context, _ store.Query) (store.Page, error) {
	return store.Page{}, ctx.Err()
}

func (a absent) Get(_ context.Context, key string, _ store.GetOptions) (store.Object, error) {
	return store.Object{}, fmt.Errorf("open %s: %w", key, syscall.ENOENT)
}

func (a absent) Put(context.Context, string, store.Body, store.PutOptions) (store.Entry, error) {
	return store.Entry{}, fault.New(fault.Unimplemented, "the folder %q is not made in a dry run", a.path)
}

func (a absent) Delete(context.Context, string, store.Cond) error { return nil }
func (a absent) Classify(err error) fault.Class                   { return fault.ClassOf(err) }
func (a absent) Close() error                                     { return nil }
func (a absent) URI(key string) string                            { return uri(a.path, key) }
