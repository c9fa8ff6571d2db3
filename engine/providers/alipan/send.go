package alipan

import (
	"context"
	"crypto/md5"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
)

// exact reads a source that must have size bytes. Where it fails, ends early or runs over, reading ends with an error
// before the last byte is given, so that a request breaks off.
type exact struct {
	src  io.Reader
	size int64
	n    int64
}

// Read implements io.Reader.
func (e *exact) Read(p []byte) (int, error) {
	if e.n == e.size && e.n > 0 {
		return 0, io.EOF
	}
	k, err := e.src.Read(p[:min(int64(len(p)), e.size-e.n)])
	switch total := e.n + int64(k); {
	case err != nil && err != io.EOF:
		return 0, err
	case total == e.size:
		if err := ends(e.src, err, e.size); err != nil {
			return 0, err
		}
		if e.n = total; total == 0 {
			return 0, io.EOF
		}
		return k, nil
	case err == io.EOF:
		return 0, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", total, e.size)
	}
	e.n += int64(k)
	return k, nil
}

// ends makes sure that a source ends after what was read with err.
func ends(src io.Reader, err error, size int64) error {
	var one [1]byte
	for range 100 {
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		if n, err = src.Read(one[:]); n > 0 {
			return fault.New(fault.DataLoss, "the source is longer than its %d bytes", size)
		}
	}
	return io.ErrNoProgress
}

// sending is the body of a request: size bytes of src, hashed on their way. The client may close it while it is read.
type sending struct {
	src   io.Reader
	close func() error // may be called while src is read
	size  int64
	whole hash.Hash // SHA-1 of all parts; nil for none

	mu     sync.Mutex
	md5    hash.Hash
	n      int64
	err    error
	closed bool
}

func newSending(src io.Reader, size int64, whole hash.Hash, closing func() error) *sending {
	return &sending{src: src, close: closing, size: size, whole: whole, md5: md5.New()}
}

var errEnded = errors.New("the request has ended")

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	n, err, closed := s.n, s.err, s.closed
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case n == s.size:
		return 0, io.EOF
	case closed:
		return 0, errEnded
	}
	k, err := s.src.Read(p[:min(int64(len(p)), s.size-n)])
	if err == io.EOF && n+int64(k) < s.size {
		err = fault.New(fault.DataLoss, "the source ended after %d of %d bytes", n+int64(k), s.size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && err != io.EOF {
		if !s.closed {
			s.err = err
		}
		return 0, err
	}
	s.md5.Write(p[:k])
	if s.whole != nil {
		s.whole.Write(p[:k])
	}
	s.n += int64(k)
	return k, nil
}

// Close implements io.Closer.
func (s *sending) Close() error {
	s.mu.Lock()
	done := s.closed
	s.closed = true
	s.mu.Unlock()
	if done || s.close == nil {
		return nil
	}
	return s.close()
}

// failure is why the source could not be read.
func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// sum is the MD5 of what was sent, which must be all.
func (s *sending) sum() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.n < s.size {
		return nil, fault.New(fault.DataLoss, "the storage reported success after %d of %d bytes", s.n, s.size)
	}
	return s.md5.Sum(nil), nil
}

// rest reads on to the end without a request, for the sum of a part that the storage has already.
func (s *sending) rest(ctx context.Context) error {
	s.mu.Lock()
	s.closed = false
	s.mu.Unlock()
	b := make([]byte, 64<<10)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := s.Read(b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
