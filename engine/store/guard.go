package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// guard is the body that a driver gets to see. It keeps a source that fails, ends early or runs over from ever looking
// complete, whatever the driver or its SDK make of the failure, and it remembers what happened.
type guard struct {
	body Body
	s    *Store
	prog Progress
	idle func(error) // ends the try when the driver takes no byte for a while; nil does not
	own  bool        // the portable layer reads, not a driver: the bytes are counted when they go on

	mu     sync.Mutex
	opened bool
	n      int64 // bytes handed out by the latest opening
	done   bool  // the latest opening was handed out to its end
	err    error // why the latest opening failed
}

func (s *Store) guard(ctx context.Context, b Body) *guard {
	return &guard{body: b, s: s, prog: progressOf(ctx)}
}

func (g *guard) Size() int64      { return max(g.body.Size(), -1) }
func (g *guard) Replayable() bool { return g.body.Replayable() }

func (g *guard) Open(ctx context.Context) (io.ReadCloser, error) {
	var rc io.ReadCloser
	err := contain(func() (err error) { rc, err = g.body.Open(ctx); return err })
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n > 0 && !g.own {
		g.prog.Bytes(0, -g.n)
	}
	g.opened, g.done, g.n, g.err = true, false, 0, nil
	if err != nil {
		g.err = sourceError(err)
		return nil, g.err
	}
	r := &guardReader{g: g, src: rc, size: g.Size()}
	if g.idle != nil {
		r.watch = time.AfterFunc(g.s.o.IdleTimeout, func() { g.idle(idleError("the store took no byte", g.s.o.IdleTimeout)) })
	}
	return r, nil
}

// try starts another try of the driver's call.
func (g *guard) try(idle func(error)) {
	g.mu.Lock()
	g.idle = idle
	g.mu.Unlock()
}

// verdict says what a try has come to: err is the driver's word, stored the size that the service reports, -1 unknown.
func (g *guard) verdict(err error, stored int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err != nil:
		return &finalError{g.err}
	case err != nil && g.opened && !g.body.Replayable():
		return &finalError{err}
	case err != nil:
		return err
	case !g.done && g.Size() != 0:
		return fault.New(fault.DataLoss, "the driver reported success after %d bytes, before the source had ended", g.n)
	case stored >= 0 && stored != g.n:
		return fault.New(fault.DataLoss, "the service holds %d bytes of the %d sent", stored, g.n)
	}
	return nil
}

// sent returns the bytes of the complete opening.
func (g *guard) sent() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// sourceError gives a failure of a source its class; it is not the driver's to explain.
func sourceError(err error) error {
	var fe *fault.Error
	if errors.As(err, &fe) {
		return err
	}
	c := fault.Plain(err)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		c.Code = fault.DataLoss
	}
	return &fault.Error{Class: c, Err: fmt.Errorf("source: %w", err)}
}

func idleError(what string, d time.Duration) error {
	return &fault.Error{Class: fault.Class{Code: fault.DeadlineExceeded}, Err: fmt.Errorf("%s for %v", what, d)}
}

// guardReader is one opening of a guard. Read is called by one goroutine at a time.
type guardReader struct {
	g     *guard
	src   io.ReadCloser
	size  int64
	n     int64
	watch *time.Timer
	err   error
}

func (r *guardReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.watch != nil {
		r.watch.Stop()
	}
	n, err := r.read(p)
	r.g.mu.Lock()
	r.n += int64(n)
	r.g.n = r.n
	switch {
	case err == io.EOF:
		r.g.done = true
	case err != nil:
		r.g.err = sourceError(err)
		err = r.g.err
	case r.n == r.size: // probed: the source ends here, and a driver that knows the size asks no more
		r.g.done = true
	}
	r.g.mu.Unlock()
	r.err = err
	if n > 0 && !r.g.own {
		r.g.s.o.Stats.BytesWritten.Add(int64(n))
		r.g.prog.Bytes(0, int64(n))
	}
	if r.watch != nil && err == nil && r.n != r.size {
		r.watch.Reset(r.g.s.o.IdleTimeout)
	}
	return n, err
}

// read reads and checks the size. The last bytes are held back until the source has been seen to end: a driver that
// knows the size would commit as soon as it has them.
func (r *guardReader) read(p []byte) (n int, err error) {
	err = contain(func() (err error) { n, err = r.src.Read(p); return err })
	if n < 0 || n > len(p) {
		return 0, fault.New(fault.Internal, "the source reports %d bytes for a buffer of %d", n, len(p))
	}
	if r.size < 0 {
		if err == io.EOF {
			if serr := r.settled(); serr != nil {
				return 0, serr
			}
		}
		return n, err
	}
	switch total := r.n + int64(n); {
	case total > r.size:
		return 0, fault.New(fault.DataLoss, "the source runs over its declared size of %d bytes", r.size)
	case err == io.EOF && total < r.size:
		return 0, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", total, r.size)
	case err == nil && n > 0 && total == r.size:
		if err := atEnd(r.src); err != nil {
			if errors.Is(err, errMore) {
				err = fault.New(fault.DataLoss, "the source runs over its declared size of %d bytes", r.size)
			}
			return 0, err
		}
	case err != nil && err != io.EOF:
		return 0, err
	}
	if r.n+int64(n) == r.size && n > 0 {
		if serr := r.settled(); serr != nil {
			return 0, serr
		}
	}
	return n, err
}

func (r *guardReader) settled() error {
	if b, ok := r.g.body.(settled); ok {
		return b.Settled()
	}
	return nil
}

var errMore = errors.New("more bytes follow")

// atEnd returns nil when src has ended, errMore when it has not.
func atEnd(src io.Reader) error {
	var one [1]byte
	for range 100 {
		var n int
		err := contain(func() (err error) { n, err = src.Read(one[:]); return err })
		switch {
		case n > 0:
			return errMore
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (r *guardReader) Close() error {
	if r.watch != nil {
		r.watch.Stop()
	}
	return contain(r.src.Close)
}
