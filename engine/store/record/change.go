package record

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// change notes the state of keys that the run is about to change, where it is not known yet: a replayed run asks for it
// when it makes the same change.
func (d *Driver) change(ctx context.Context, keys ...string) {
	for _, key := range keys {
		d.mu.Lock()
		o := d.known.objects[key]
		known := d.written[key] || d.known.absent[key] || o != nil
		d.mu.Unlock()
		if !known {
			_, _ = d.Stat(ctx, key, store.Cond{})
		}
		d.mu.Lock()
		d.written[key] = true
		d.mu.Unlock()
	}
}

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, b store.Body, o store.PutOptions) (store.Entry, error) {
	d.change(ctx, key)
	return d.Driver.Put(ctx, key, b, o)
}

// Delete implements store.Driver.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	d.change(ctx, key)
	return d.Driver.Delete(ctx, key, c)
}

var errNot = fault.New(fault.Unimplemented, "the datastore does not offer it")

// CopyFrom implements store.Copier.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	cp, ok := d.Driver.(store.Copier)
	if !ok {
		return store.Entry{}, errNot
	}
	d.change(ctx, dstKey)
	if from, ok := src.(*Driver); ok {
		_, _ = from.Stat(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion}) // with its attributes
		src = from.Driver
	}
	return cp.CopyFrom(ctx, src, srcKey, dstKey, o)
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	mp, ok := d.Driver.(store.Multiparter)
	if !ok {
		return nil, errNot
	}
	d.change(ctx, key)
	return unwrapped(mp.Begin(ctx, key, o, size))
}

// unwrapped returns an upload whose parts can be copied from a store that is recorded too.
func unwrapped(u store.Upload, err error) (store.Upload, error) {
	if pc, ok := u.(store.PartCopier); ok && err == nil {
		return &partCopier{u, pc}, nil
	}
	return u, err
}

type partCopier struct {
	store.Upload
	base store.PartCopier
}

// CopyPart implements store.PartCopier.
func (c *partCopier) CopyPart(ctx context.Context, n int, src store.Driver, srcKey string, r store.Range, o store.CopyOptions) (store.Part, error) {
	if from, ok := src.(*Driver); ok {
		src = from.Driver
	}
	return c.base.CopyPart(ctx, n, src, srcKey, r, o)
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	if mp, ok := d.Driver.(store.Multiparter); ok {
		return unwrapped(mp.Resume(ctx, state))
	}
	return nil, errNot
}

// DeleteBatch implements store.BatchDeleter.
func (d *Driver) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	b, ok := d.Driver.(store.BatchDeleter)
	if !ok {
		return nil, errNot
	}
	d.change(ctx, keys...)
	return b.DeleteBatch(ctx, keys)
}

// MaxDeleteBatch implements store.BatchDeleter.
func (d *Driver) MaxDeleteBatch() int {
	if b, ok := d.Driver.(store.BatchDeleter); ok {
		return b.MaxDeleteBatch()
	}
	return 0
}

// SignURL implements store.Signer. URLs are not recorded: they hold signatures.
func (d *Driver) SignURL(ctx context.Context, key string, o store.SignOptions) (string, error) {
	if s, ok := d.Driver.(store.Signer); ok {
		return s.SignURL(ctx, key, o)
	}
	return "", errNot
}

// URI implements store.Locator.
func (d *Driver) URI(key string) string {
	if l, ok := d.Driver.(store.Locator); ok {
		return l.URI(key)
	}
	return ""
}

// Home implements store.Homer.
func (d *Driver) Home() string {
	if h, ok := d.Driver.(store.Homer); ok {
		return h.Home()
	}
	return ""
}

// Check implements store.Checker.
func (d *Driver) Check(ctx context.Context) error {
	if c, ok := d.Driver.(store.Checker); ok {
		return c.Check(ctx)
	}
	_, err := d.Driver.List(ctx, store.Query{Max: 1})
	return err
}
