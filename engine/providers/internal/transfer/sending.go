package transfer

import (
	"context"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Stream is a large body that is read while it is sent, and hashed on the way.
type Stream struct {
	Body store.Body
	Size int64
	Algo string           // of the checksum, for store.Sum
	Hash func() hash.Hash // makes the hash of one sending

	mu  sync.Mutex
	cur *sending
}

// Again reports whether it can be sent once more.
func (s *Stream) Again() bool { return s.Body.Replayable() }

// Cause returns what the source itself failed with, else err.
func (s *Stream) Cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		if own := s.cur.failure(); own != nil {
			return own
		}
	}
	return err
}

// Sent returns the checksum of what was sent, or an error when the service answered before it had everything.
func (s *Stream) Sent() (store.Sum, error) {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	if c == nil {
		return store.Sum{}, fault.New(fault.DataLoss, "the service reported success without any of %d bytes", s.Size)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return store.Sum{}, c.err
	}
	if c.n < s.Size {
		return store.Sum{}, fault.New(fault.DataLoss, "the service reported success after %d of %d bytes", c.n, s.Size)
	}
	return store.Sum{Algo: s.Algo, Value: c.hash.Sum(nil)}, nil
}

// Open begins a sending.
func (s *Stream) Open(ctx context.Context) (io.ReadCloser, int64, error) {
	c := &sending{s: s, hash: s.Hash()}
	s.mu.Lock()
	s.cur = c
	s.mu.Unlock()
	src, err := s.Body.Open(ctx)
	if err != nil {
		c.err = err
		return nil, 0, err
	}
	c.src = src
	return c, s.Size, nil
}

// sending is one sending of a stream. When the source fails, ends early or runs over, reading ends with an error before
// the last byte, so that the request breaks off and nothing is stored.
type sending struct {
	s   *Stream
	src io.ReadCloser

	mu     sync.Mutex
	hash   hash.Hash
	n      int64
	err    error
	closed bool
}

func (c *sending) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

var errEnded = errors.New("the request has ended")

// Read implements io.Reader.
func (c *sending) Read(p []byte) (int, error) {
	c.mu.Lock()
	err, n, closed := c.err, c.n, c.closed
	c.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case n == c.s.Size:
		return 0, io.EOF
	case closed:
		return 0, errEnded
	}
	k, err := c.src.Read(p[:min(int64(len(p)), c.s.Size-n)])
	switch total := n + int64(k); {
	case err != nil && err != io.EOF:
		return 0, c.fail(err)
	case total == c.s.Size:
		if err := c.end(err); err != nil {
			return 0, c.fail(err)
		}
	case err == io.EOF:
		return 0, c.fail(Short(total, c.s.Size))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hash.Write(p[:k])
	c.n += int64(k)
	return k, nil
}

func (c *sending) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.closed {
		c.err = err
	}
	return err
}

// end makes sure that the source ends here.
func (c *sending) end(err error) error {
	var one [1]byte
	for range 100 {
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		if n, err = c.src.Read(one[:]); n > 0 {
			return Overrun(c.s.Size)
		}
	}
	return io.ErrNoProgress
}

// Close implements io.Closer. It may come while Read is under way, and ends it.
func (c *sending) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	return c.src.Close()
}
