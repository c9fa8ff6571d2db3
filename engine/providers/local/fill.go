package local

import (
	"context"
	"errors"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// filling is a temp whose bytes come in any order.
type filling struct {
	t    *temp
	key  string
	size int64
	o    store.PutOptions
}

// Fill implements store.Filler.
func (d *Driver) Fill(ctx context.Context, key string, size int64, o store.PutOptions) (store.Filling, error) {
	if size < 0 {
		return nil, fault.New(fault.InvalidArgument, "a file of %d bytes", size)
	}
	name, h, err := d.writable(ctx, key, o)
	if err != nil {
		return nil, err
	}
	defer h.drop()
	t, err := d.newTemp(ctx, name, h.take())
	if err != nil {
		return nil, err
	}
	return &filling{t, key, size, o}, nil
}

// WriteAt implements io.WriterAt.
func (f *filling) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > f.size-int64(len(p)) {
		return 0, fault.New(fault.InvalidArgument, "%d bytes at %d of a file of %d", len(p), off, f.size)
	}
	return f.t.f.WriteAt(p, off)
}

// Commit implements store.Filling.
func (f *filling) Commit(ctx context.Context) (store.Entry, error) {
	is, err := f.t.f.Stat()
	if err == nil && is.Size() != f.size {
		err = fault.New(fault.DataLoss, "%d bytes were written of %d", is.Size(), f.size)
	}
	if err := errors.Join(err, context.Cause(ctx), f.t.d.did("write", f.t.hidden)); err != nil {
		return store.Entry{}, err
	}
	return f.t.commit(ctx, f.key, f.o)
}

// Abort implements store.Filling.
func (f *filling) Abort() error {
	f.t.drop()
	return nil
}
