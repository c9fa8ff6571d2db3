package memory

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// maxBatch is the most keys of one DeleteBatch, as in S3.
const maxBatch = 1000

// self finds the driver inside a type that embeds it.
func (d *Driver) self() *Driver { return d }

// family returns src as a driver of this package, or an Unimplemented error.
func family(src store.Driver) (*Driver, error) {
	if s, ok := src.(interface{ self() *Driver }); ok {
		return s.self(), nil
	}
	return nil, fault.New(fault.Unimplemented, "the source is not in memory")
}

// CopyFrom implements store.Copier. The bytes are shared, not copied, but count for both stores.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	from, err := family(src)
	if err != nil {
		return store.Entry{}, err
	}
	if err := d.ready(ctx, dstKey); err != nil {
		return store.Entry{}, err
	}
	x, err := from.find(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
	if err != nil {
		return store.Entry{}, err
	}
	put := o.Put
	if o.KeepAttrs {
		put.Attrs = *x.entry.Attrs
	}
	if !d.space.take(x.entry.Size) {
		return store.Entry{}, d.space.full()
	}
	return d.insert(dstKey, x.blob, put)
}

// DeleteBatch implements store.BatchDeleter.
func (d *Driver) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	if len(keys) > maxBatch {
		return nil, fault.New(fault.InvalidArgument, "%d keys in one batch: the most is %d", len(keys), maxBatch)
	}
	failed := map[string]error{}
	for _, k := range keys {
		if err := d.Delete(ctx, k, store.Cond{}); err != nil {
			failed[k] = err
		}
	}
	return failed, nil
}

// MaxDeleteBatch implements store.BatchDeleter.
func (d *Driver) MaxDeleteBatch() int { return maxBatch }
