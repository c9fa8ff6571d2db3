package databricks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// stream is the bytes of a file or part, read while they are sent.
type stream struct {
	body store.Body
	size int64 // -1 unknown

	mu  sync.Mutex
	cur *sending
}

func newStream(b store.Body) *stream { return &stream{body: b, size: max(b.Size(), -1)} }

// again reports whether the bytes can be sent another time.
func (s *stream) again() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur == nil || s.body.Replayable()
}

func (s *stream) open(ctx context.Context) (io.ReadCloser, error) {
	src, err := s.body.Open(ctx)
	if err != nil {
		return nil, err
	}
	c := &sending{src: src, size: s.size}
	if s.size == 0 {
		if err := c.end(nil); err != nil {
			c.Close()
			return nil, err
		}
		c.done = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = c
	return c, nil
}

// failure returns why the source itself failed, or nil.
func (s *stream) failure() error {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// sent returns how many bytes were sent, or an error when the service answered before it had everything.
func (s *stream) sent() (int64, error) {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		return c.n, fault.New(fault.DataLoss, "the service reported success after %d bytes, before the end", c.n)
	}
	return c.n, nil
}

// sending is one sending of a stream. When the source fails, ends early or runs over, reading ends with an error before
// the last byte, so that the request breaks off and nothing is stored.
type sending struct {
	src  io.ReadCloser
	size int64

	mu     sync.Mutex
	n      int64
	err    error
	done   bool
	closed bool
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	n, err, done, closed := s.n, s.err, s.done, s.closed
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case done:
		return 0, io.EOF
	case closed:
		return 0, errors.New("the request has ended")
	}
	if s.size >= 0 {
		p = p[:min(int64(len(p)), s.size-n)]
	}
	k, err := s.src.Read(p)
	total, last := n+int64(k), false
	switch {
	case err != nil && err != io.EOF:
		return 0, s.fail(err)
	case s.size >= 0 && total == s.size:
		if err := s.end(err); err != nil {
			return 0, s.fail(err)
		}
		last = true
	case err == io.EOF && s.size >= 0:
		return 0, s.fail(fault.New(fault.DataLoss, "the source ended after %d of %d bytes", total, s.size))
	case err == io.EOF:
		if e := s.src.Close(); e != nil { // a source may find only at its end that it was damaged
			return 0, s.fail(e)
		}
		last = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.done = total, last
	if last && k == 0 {
		return 0, io.EOF
	}
	return k, nil
}

func (s *sending) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.closed {
		s.err = err
	}
	return err
}

// end makes sure that the source ends here.
func (s *sending) end(err error) error {
	var one [1]byte
	for range 100 {
		if err == io.EOF {
			return s.src.Close() // a source may find only at its end that it was damaged
		}
		if err != nil {
			return err
		}
		var n int
		if n, err = s.src.Read(one[:]); n > 0 {
			return fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.size)
		}
	}
	return io.ErrNoProgress
}

// Close implements io.Closer. It may come while Read is under way, and ends it.
func (s *sending) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	return s.src.Close()
}

// held is a body in memory.
type held []byte

func (b held) Size() int64       { return int64(len(b)) }
func (b held) Replayable() bool  { return true }
func (b held) reader() io.Reader { return bytes.NewReader(b) }
func (b held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(b.reader()), nil
}
