package engine

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// OpenFolder opens a folder of this machine as a datastore that no file declares. It serves command lines; scripts reach
// declared datastores only.
func (p *Project) OpenFolder(ctx context.Context, dir string) (*store.Store, error) {
	return p.stores.get(ctx, "\x00"+dir, func(ctx context.Context) (*store.Store, error) {
		pr, ok := p.e.o.Providers.Get(provider.KindStore, "local")
		if !ok {
			return nil, fault.New(fault.Unimplemented, "this build has no local datastore")
		}
		options, fields := pr.Body.Declare()
		for _, f := range fields.List {
			if target, ok := f.Target().(*string); ok && f.Name == "path" {
				*target = dir
			}
		}
		driver, err := pr.OpenStore(ctx, provider.Env{Name: dir, Clock: p.e.o.Clock, Budget: p.budget, Log: p.e.o.Log, Redactor: p.e.o.Redactor}, options)
		if err != nil {
			return nil, &fault.Error{Op: "open", Resource: dir, Class: fault.ClassOf(err), Err: err}
		}
		return store.New(dir, "local", driver, store.Options{Clock: p.e.o.Clock, Redactor: p.e.o.Redactor, Budget: p.budget, Stats: p.stats, Retry: p.e.o.Retry}), nil
	})
}
