package azurefiles

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := readable(key, c.Version); err != nil {
		return store.Entry{}, err
	}
	e, err := d.Client.Stat(ctx, getter, key, c)
	if err != nil {
		return store.Entry{}, absent(err)
	}
	return e, d.same(ctx, key)
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := readable(key, o.Version); err != nil {
		return store.Object{}, err
	}
	x, err := d.Client.Get(ctx, getter, key, o)
	if err != nil {
		return store.Object{}, absent(err)
	}
	if err := d.same(ctx, key); err != nil {
		x.Body.Close()
		return store.Object{}, err
	}
	return x, nil
}

// same fails unless the key that the service found is spelled like this.
func (d *Driver) same(ctx context.Context, key string) error {
	ok, err := d.spelled(ctx, key)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "there is no file of this spelling; one whose name differs in case exists, or did a moment ago")
	}
	return err
}

// absent tells a reader that a directory is no object.
func absent(err error) error {
	if azurerest.Is(err, "ResourceTypeMismatch") {
		return fault.New(fault.NotFound, "there is a directory of this name, and no file")
	}
	return err
}

func readable(key, version string) error {
	if version != "" {
		return fault.New(fault.FailedPrecondition, "the service keeps no versions of files")
	}
	return checkKey(key)
}
