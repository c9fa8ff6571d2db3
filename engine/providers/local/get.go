package local

import (
	"context"
	"io"
	"os"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Get implements store.Driver. The body reads the file as it was opened: one that is replaced meanwhile is read to its
// end, one that is changed in place ends with an error.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := d.usable(ctx); err != nil {
		return store.Object{}, err
	}
	name, err := file(key)
	if err != nil {
		return store.Object{}, err
	}
	f, x, err := d.open(name)
	if err != nil {
		return store.Object{}, err
	}
	var r store.Range
	if err = x.meets(store.Cond{IfMatch: o.IfMatch, Version: o.Version}); err == nil {
		r, err = within(o.Range, x.size)
	}
	if err != nil {
		f.close()
		return store.Object{}, err
	}
	b := &body{ctx: ctx, f: f.file(), was: x, off: r.Off, end: r.Off + r.Len}
	return store.Object{Body: b, Entry: x.whole(key), Range: r, Total: x.size}, nil
}

// open opens the file name, or the one that the link name leads to within the folder. Its kind is looked at before,
// since opening a device may act on it, and again after.
func (d *Driver) open(name string) (f *sourceFile, x facts, err error) {
	h, base, err := d.parent(name)
	if err != nil {
		return nil, x, err
	}
	defer h.close()
	if x, err = h.stat(base); err != nil {
		return nil, x, err
	}
	if err = d.spelled(h, base); err != nil {
		return nil, x, err
	}
	link := x.kind == kindLink
	if link {
		x, err = d.target(name)
	}
	if err == nil {
		err = x.object(name)
	}
	if err != nil {
		return nil, x, err
	}
	if link {
		var file *os.File
		file, err = d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		f = &sourceFile{f: file}
	} else {
		f, err = h.openSource(base)
	}
	if err != nil {
		return nil, x, err
	}
	if x, err = f.facts(); err == nil {
		err = x.object(name)
	}
	if err != nil {
		f.close()
		return nil, x, err
	}
	return f, x, nil
}

// within resolves a range against the size of an object. A range may begin at its end, where it is empty, not beyond.
func within(r *store.Range, size int64) (store.Range, error) {
	switch {
	case r == nil:
		return store.Range{Off: 0, Len: size}, nil
	case r.Off < 0:
		n := size
		if -r.Off > 0 { // not so for the smallest number
			n = min(n, -r.Off)
		}
		return store.Range{Off: size - n, Len: n}, nil
	case r.Len < -1:
		return store.Range{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
	case r.Off > size:
		return store.Range{}, fault.New(fault.InvalidArgument, "the range cannot be satisfied: it begins at %d, beyond the %d bytes of the object", r.Off, size)
	case r.Len < 0:
		return store.Range{Off: r.Off, Len: size - r.Off}, nil
	}
	return store.Range{Off: r.Off, Len: min(r.Len, size-r.Off)}, nil
}

// body reads a part of an open file and, at its end, makes sure that the file has not changed.
type body struct {
	ctx      context.Context
	f        *os.File
	was      facts
	off, end int64
	sure     bool
}

func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.off == b.end {
		if err := b.unchanged(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := b.f.ReadAt(p[:min(int64(len(p)), b.end-b.off)], b.off)
	b.off += int64(n)
	switch {
	case b.off == b.end: // a reader that knows the length may never come back for the io.EOF
		return n, b.unchanged()
	case err == io.EOF:
		if err := b.unchanged(); err != nil {
			return n, err
		}
		return n, fault.New(fault.DataLoss, "the file ends at %d, before the %d bytes that it should have", b.off, b.end)
	}
	return n, err
}

func (b *body) unchanged() error {
	if b.sure {
		return nil
	}
	now, err := fileFacts(b.f)
	if err != nil {
		return err
	}
	if !b.was.same(now) {
		return fault.New(fault.FailedPrecondition, "the file was changed in place while it was read")
	}
	b.sure = true
	return nil
}

func (b *body) Close() error { return b.f.Close() }
