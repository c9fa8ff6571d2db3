package rows

import (
	"context"
	"errors"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
)

// errClosed is what a source returns after Close.
var errClosed = fault.New(fault.FailedPrecondition, "the source is closed")

// Each calls fn with every batch of src and closes src. It returns the first error of src, fn or Close.
func Each(ctx context.Context, src Source, fn func(*Batch) error) (err error) {
	defer func() {
		if e := src.Close(); err == nil {
			err = e
		}
	}()
	for {
		b, err := src.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = fn(b)
		}
		if err != nil {
			return err
		}
	}
}

// FromBatches returns a source of the given batches.
func FromBatches(batches ...*Batch) Source { return &batchSource{batches: batches} }

type batchSource struct{ batches []*Batch }

func (s *batchSource) Next(ctx context.Context) (*Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.batches) == 0 {
		return nil, io.EOF
	}
	b := s.batches[0]
	s.batches = s.batches[1:]
	return b, nil
}

func (s *batchSource) Close() error { s.batches = nil; return nil }

// Map returns src with every batch changed by fn. Batches that become empty are passed over.
func Map(src Source, fn Transform) Source { return &mapSource{src: src, fn: fn} }

type mapSource struct {
	src Source
	fn  Transform
	err error
}

func (s *mapSource) Next(ctx context.Context) (*Batch, error) {
	for s.err == nil {
		b, err := s.src.Next(ctx)
		if err != nil {
			return nil, err
		}
		if b, s.err = s.fn(b); s.err == nil && b.N > 0 {
			return b, nil
		}
	}
	return nil, s.err
}

func (s *mapSource) Close() error { return s.src.Close() }

// ConcatSources returns the rows of one source after another. Each is opened by its function when the one before it has
// ended, and closed before the next is opened.
func ConcatSources(open ...func(ctx context.Context) (Source, error)) Source {
	return &concatSource{open: open}
}

type concatSource struct {
	open []func(ctx context.Context) (Source, error)
	src  Source
	rows int64
	err  error
}

func (s *concatSource) Next(ctx context.Context) (*Batch, error) {
	for s.err == nil {
		if s.src == nil {
			if len(s.open) == 0 {
				return nil, io.EOF
			}
			src, err := s.open[0](ctx)
			if err != nil {
				return nil, err
			}
			s.src, s.open = src, s.open[1:]
		}
		b, err := s.src.Next(ctx)
		if err == nil {
			if b.First != s.rows { // the rows are numbered anew; the batch may be someone else's too
				moved := *b
				moved.First = s.rows
				b = &moved
			}
			s.rows += int64(b.N)
			return b, nil
		}
		if err != io.EOF {
			return nil, err
		}
		s.err = s.src.Close()
		s.src = nil
	}
	return nil, s.err
}

func (s *concatSource) Close() error {
	s.open = nil
	if s.src == nil {
		return nil
	}
	err := s.src.Close()
	s.src, s.err = nil, errClosed
	return err
}

// Take returns the first n rows of src. It asks src for no batch beyond them.
func Take(src Source, n int64) Source { return &takeSource{src: src, left: n} }

type takeSource struct {
	src  Source
	left int64
}

func (s *takeSource) Next(ctx context.Context) (*Batch, error) {
	if s.left <= 0 {
		return nil, io.EOF
	}
	b, err := s.src.Next(ctx)
	if err != nil {
		return nil, err
	}
	if int64(b.N) > s.left {
		b = Slice(b, 0, int(s.left))
	}
	s.left -= int64(b.N)
	return b, nil
}

func (s *takeSource) Close() error { return s.src.Close() }

// Skip returns src without its first n rows.
func Skip(src Source, n int64) Source { return &skipSource{src: src, left: n} }

type skipSource struct {
	src  Source
	left int64
}

func (s *skipSource) Next(ctx context.Context) (*Batch, error) {
	for {
		b, err := s.src.Next(ctx)
		if err != nil || s.left == 0 {
			return b, err
		}
		if int64(b.N) <= s.left {
			s.left -= int64(b.N)
			continue
		}
		b = Slice(b, int(s.left), b.N)
		s.left = 0
		return b, nil
	}
}

func (s *skipSource) Close() error { return s.src.Close() }

// meter counts the memory of an operator that must hold rows.
type meter struct {
	op    string
	used  int64
	limit int64 // 0: none
}

func (m *meter) add(n int64) error {
	if m.used += n; m.limit > 0 && m.used > m.limit {
		return fault.Hinted(fault.Limit, "Select fewer columns or filter rows before this step, or raise memory_limit.",
			"%s needs more than %d bytes of memory", m.op, m.limit)
	}
	return nil
}

// collect reads all of src and closes it, counting the batches against m.
func collect(ctx context.Context, src Source, m *meter) ([]*Batch, error) {
	var out []*Batch
	err := Each(ctx, src, func(b *Batch) error {
		b = Compact(b)
		out = append(out, b)
		return m.add(b.Size())
	})
	return out, err
}

// lazySource runs an operator that reads its whole input at the first Next and then hands out a source of the result.
type lazySource struct {
	in     []Source // closed by Close when run has not closed them
	run    func(ctx context.Context) (Source, error)
	out    Source
	err    error
	closed bool
}

func (s *lazySource) Next(ctx context.Context) (*Batch, error) {
	if s.err == nil && s.out == nil {
		s.out, s.err = s.run(ctx)
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.out.Next(ctx)
}

func (s *lazySource) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, in := range s.in {
		errs = append(errs, in.Close())
	}
	if s.out != nil {
		errs = append(errs, s.out.Close())
		s.out = nil
	}
	s.err = errClosed
	return errors.Join(errs...)
}

// once is a source whose Close reaches the inner source only once.
type once struct {
	Source
	closed bool
}

func (o *once) Close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	return o.Source.Close()
}
