package adlsgen2

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := readable(key, c.Version); err != nil {
		return store.Entry{}, err
	}
	return d.Client.Stat(ctx, getter, key, c)
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := readable(key, o.Version); err != nil {
		return store.Object{}, err
	}
	x, err := d.Client.Get(ctx, getter, key, o)
	if code := d.Classify(err).Code; code == fault.InvalidArgument || code == fault.FailedPrecondition {
		// The service refuses to read a directory, which to a reader is no object.
		if _, e := d.Client.Stat(ctx, getter, key, store.Cond{}); d.Classify(e).Code == fault.NotFound {
			return store.Object{}, e
		}
	}
	return x, err
}

func readable(key, version string) error {
	if version != "" {
		return fault.New(fault.FailedPrecondition, "the service keeps no versions of files")
	}
	return checkKey(key)
}
