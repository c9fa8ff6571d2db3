package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReadAll reads an object of at most max bytes; a larger one is a Limit error.
func (s *Store) ReadAll(ctx context.Context, key string, max int64) ([]byte, Entry, error) {
	r, err := s.Open(ctx, key, ReadOptions{})
	if err != nil {
		return nil, Entry{}, err
	}
	defer r.Close()
	tooLarge := func() error {
		return s.wrap(ctx, r.call, fault.Hinted(fault.Limit, "Read it as a stream, or raise the limit.", "the object is larger than the limit of %d bytes", max))
	}
	if r.Size() > max {
		return nil, r.entry, tooLarge()
	}
	var b bytes.Buffer
	if n := r.Size(); n > 0 {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r, max+1))
	switch {
	case err != nil:
		return nil, r.entry, err
	case n > max:
		return nil, r.entry, tooLarge()
	}
	return b.Bytes(), r.entry, nil
}

// copyBuffers are the pieces in which WriteTo moves bytes: larger ones than io.Copy's cost less system time.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

// WriteTo writes the rest of the object to w.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	size := 1 << 20
	if left := r.end - r.off; r.end >= 0 && left < 64<<10 {
		size = int(left) + 1
	}
	var buf []byte
	if size == 1<<20 {
		b := copyBuffers.Get().(*[]byte)
		defer copyBuffers.Put(b)
		buf = *b
	} else {
		buf = make([]byte, size)
	}
	for {
		n, err := r.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
			if m != n {
				return total, io.ErrShortWrite
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// ReaderAt returns random access to an object, pinned to e: once the object has changed, reads fail. Each ReadAt is one
// request, so that callers gather small ones. It is safe for concurrent use while ctx lasts.
func (s *Store) ReaderAt(ctx context.Context, e Entry) io.ReaderAt { return &readerAt{s, ctx, e} }

type readerAt struct {
	s   *Store
	ctx context.Context
	e   Entry
}

// Size returns the size of the object in bytes, -1 unknown.
func (r *readerAt) Size() int64 { return r.e.Size }

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	call := Call{Op: "get", Key: r.e.Key}
	if off < 0 {
		return 0, r.s.wrap(r.ctx, call, fault.New(fault.InvalidArgument, "negative offset %d", off))
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.e.Size < 0 {
		return 0, r.s.wrap(r.ctx, call, fault.New(fault.Unimplemented, "the size of the object is unknown, so that it cannot be read at random"))
	}
	if off >= r.e.Size {
		return 0, io.EOF
	}
	short := r.e.Size-off < int64(len(p))
	if short {
		p = p[:r.e.Size-off]
	}
	rd, err := r.s.openPinned(r.ctx, r.e, &Range{off, int64(len(p))})
	if err != nil {
		return 0, err
	}
	defer rd.Close()
	if compare(r.e, rd.entry) != same && rd.pin.IfMatch == "" && rd.pin.Version == "" {
		return 0, r.s.wrap(r.ctx, call, fault.New(fault.FailedPrecondition, "the store does not show whether the object is still the same"))
	}
	n, err := io.ReadFull(rd, p)
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		err = r.s.wrap(r.ctx, call, fault.New(fault.DataLoss, "the reply ended after %d of %d bytes", n, len(p)))
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}
