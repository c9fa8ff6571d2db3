package local

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// copyStep is how much is copied between two looks at the context.
const copyStep = 64 << 20

// CopyFrom implements store.Copier. The kernel copies from file to file (copy_file_range), on file systems that share
// blocks without moving a byte.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	from, ok := src.(*Driver)
	if !ok {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source is not a local folder")
	}
	name, h, err := d.writable(ctx, dstKey, o.Put)
	if err != nil {
		return store.Entry{}, err
	}
	defer h.drop()
	srcName, err := file(srcKey)
	if err != nil {
		return store.Entry{}, err
	}
	f, x, err := from.open(srcName)
	if err != nil {
		return store.Entry{}, err
	}
	defer f.close()
	if err := x.meets(store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion}); err != nil {
		return store.Entry{}, err
	}
	t, err := d.newTemp(ctx, name, h.take())
	if err != nil {
		return store.Entry{}, err
	}
	defer t.drop()
	for left := x.size; left > 0; {
		if err := context.Cause(ctx); err != nil {
			return store.Entry{}, err
		}
		n, err := f.copyTo(t.f, min(left, copyStep))
		if left -= n; err == io.EOF {
			return store.Entry{}, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", x.size-left, x.size)
		} else if err != nil {
			return store.Entry{}, err
		}
	}
	if now, err := f.facts(); err != nil {
		return store.Entry{}, err
	} else if !x.same(now) {
		return store.Entry{}, fault.New(fault.FailedPrecondition, "the source was changed in place while it was copied")
	}
	if err := d.did("write", t.hidden); err != nil {
		return store.Entry{}, err
	}
	put := o.Put
	if o.KeepAttrs {
		put.Attrs.Modified = x.mtime
	}
	return t.commit(ctx, dstKey, put)
}
