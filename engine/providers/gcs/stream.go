package gcs

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// stream is a large body that is read while it is sent, and hashed on the way.
type stream struct {
	body store.Body
	size int64
	head []byte // goes before it, and tail after it: the frame of a body that has metadata too
	tail []byte

	mu  sync.Mutex
	cur *sending
}

func (s *stream) again() bool { return s.body.Replayable() }

func (s *stream) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		if own := s.cur.failure(); own != nil {
			return own
		}
	}
	return err
}

// sent returns the checksum of what was sent, or an error when the service answered before it had everything.
func (s *stream) sent() (store.Sum, error) {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	if c == nil {
		return store.Sum{}, fault.New(fault.DataLoss, "the service reported success without any of %d bytes", s.size)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return store.Sum{}, c.err
	}
	if c.n < s.size {
		return store.Sum{}, fault.New(fault.DataLoss, "the service reported success after %d of %d bytes", c.n, s.size)
	}
	return store.Sum{Algo: algoCRC32C, Value: c.hash.Sum(nil)}, nil
}

func (s *stream) open(ctx context.Context) (io.ReadCloser, int64, error) {
	c := &sending{s: s, hash: crc32.New(castagnoli)}
	s.mu.Lock()
	s.cur = c
	s.mu.Unlock()
	src, err := s.body.Open(ctx)
	if err != nil {
		c.err = err
		return nil, 0, err
	}
	c.src = src
	if s.head == nil {
		return c, s.size, nil
	}
	framed := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(s.head), c, bytes.NewReader(s.tail)), c}
	return framed, int64(len(s.head)+len(s.tail)) + s.size, nil
}

// sending is one sending of a stream. When the source fails, ends early or runs over, reading ends with an error before
// the last byte, so that the request breaks off and nothing is stored.
type sending struct {
	s   *stream
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
	case n == c.s.size:
		return 0, io.EOF
	case closed:
		return 0, errEnded
	}
	k, err := c.src.Read(p[:min(int64(len(p)), c.s.size-n)])
	switch total := n + int64(k); {
	case err != nil && err != io.EOF:
		return 0, c.fail(err)
	case total == c.s.size:
		if err := c.end(err); err != nil {
			return 0, c.fail(err)
		}
	case err == io.EOF:
		return 0, c.fail(short(total, c.s.size))
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
			return overrun(c.s.size)
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
