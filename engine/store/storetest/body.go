package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// source is a body that counts how it is used.
type source struct {
	size           int64
	replay         bool
	opened, closed atomic.Int32
	open           func(ctx context.Context) (io.ReadCloser, error)
}

// Size, Replayable and Open implement store.Body.
func (s *source) Size() int64      { return s.size }
func (s *source) Replayable() bool { return s.replay }
func (s *source) Open(ctx context.Context) (io.ReadCloser, error) {
	s.opened.Add(1)
	rc, err := s.open(ctx)
	if err != nil {
		s.closed.Add(1)
		return nil, err
	}
	return &counted{ReadCloser: rc, s: s}, nil
}

// settled fails when the source was read twice although it cannot be, or was left open.
func (s *source) settled(t testing.TB, what string) {
	t.Helper()
	if n := s.opened.Load(); n > 1 && !s.replay {
		t.Errorf("%s: a source that can be read once was opened %d times: its second reading would store other bytes", what, n)
	}
	for range 50 {
		if s.opened.Load() == s.closed.Load() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s: the source was opened %d times and closed %d times: files stay open", what, s.opened.Load(), s.closed.Load())
}

type counted struct {
	io.ReadCloser
	s    *source
	done atomic.Bool
}

func (c *counted) Close() error {
	if c.done.CompareAndSwap(false, true) {
		c.s.closed.Add(1)
	}
	return c.ReadCloser.Close()
}

// Bytes is a body of b that can be read again.
func Bytes(b []byte) store.Body { return bytesOf(b) }

func bytesOf(b []byte) *source {
	return &source{size: int64(len(b)), replay: true, open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// stream is a body of b that is read once, with its size unknown unless told.
func stream(b []byte, size int64) *source {
	s := bytesOf(b)
	s.size, s.replay = size, false
	return s
}

// errSource is what a failing source returns.
var errSource = errors.New("the source's disk failed")

// failing returns after good bytes of content with err instead of the rest. With err io.EOF it ends short of size.
func failing(content []byte, good int, size int64, err error) *source {
	return &source{size: size, open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[:good]), errReader{err})), nil
	}}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// slow yields content in pieces with a pause before each, until ctx ends or it is closed.
func slow(content []byte, size int64, piece int, pause time.Duration) *source {
	return &source{size: size, open: func(ctx context.Context) (io.ReadCloser, error) {
		return &slowReader{ctx: ctx, rest: content, piece: piece, pause: pause, gone: make(chan struct{})}, nil
	}}
}

type slowReader struct {
	ctx    context.Context
	rest   []byte
	piece  int
	pause  time.Duration
	gone   chan struct{}
	closed atomic.Bool
}

func (r *slowReader) Read(p []byte) (int, error) {
	timer := time.NewTimer(r.pause)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	case <-r.gone:
		return 0, errors.New("read of a closed source")
	case <-timer.C:
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[:min(r.piece, len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

func (r *slowReader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		close(r.gone)
	}
	return nil
}

// pattern is endless content in which every 8 bytes differ, so that a shifted, repeated or mixed piece shows.
type pattern uint64

func (p pattern) word(i int64) uint64 { // splitmix64 of the seed and the place
	z := uint64(p)*0x9E3779B97F4A7C15 + uint64(i)*0xD1B54A32D192ED03
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// fill writes the bytes from off into b.
func (p pattern) fill(b []byte, off int64) {
	var w [8]byte
	for len(b) > 0 {
		binary.LittleEndian.PutUint64(w[:], p.word(off/8))
		n := copy(b, w[off%8:])
		b, off = b[n:], off+int64(n)
	}
}

// bytes returns the first n bytes.
func (p pattern) bytes(n int) []byte {
	b := make([]byte, n)
	p.fill(b, 0)
	return b
}

// body returns n bytes from off as a body that holds none of them.
func (p pattern) body(off, n int64) *source {
	return &source{size: n, replay: true, open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(&patternReader{p: p, off: off, end: off + n}), nil
	}}
}

type patternReader struct {
	p        pattern
	off, end int64
}

func (r *patternReader) Read(b []byte) (int, error) {
	if r.off == r.end {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.end-r.off)]
	r.p.fill(b, r.off)
	r.off += int64(len(b))
	return len(b), nil
}

// compare reads r and returns an error unless it yields exactly n bytes of the pattern from off.
func (p pattern) compare(r io.Reader, off, n int64) error {
	got, want := make([]byte, 256<<10), make([]byte, 256<<10)
	for end := off + n; ; {
		k, err := r.Read(got)
		if off+int64(k) > end {
			return fmt.Errorf("more than the %d bytes that were stored", n)
		}
		p.fill(want[:k], off)
		if !bytes.Equal(got[:k], want[:k]) {
			return fmt.Errorf("other bytes than were stored, near offset %d", off)
		}
		off += int64(k)
		switch {
		case err == io.EOF && off < end:
			return fmt.Errorf("a clean end %d bytes short", end-off)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// put stores content or ends the test.
func put(t testing.TB, d store.Driver, key string, content []byte) store.Entry {
	t.Helper()
	e, err := d.Put(t.Context(), key, Bytes(content), store.PutOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return e
}

// get reads a whole object or a range.
func get(ctx context.Context, d store.Driver, key string, o store.GetOptions) ([]byte, store.Object, error) {
	x, err := d.Get(ctx, key, o)
	if err != nil {
		return nil, x, err
	}
	b, err := io.ReadAll(x.Body)
	if cerr := x.Body.Close(); err == nil {
		err = cerr
	}
	return b, x, err
}

// holds fails unless key has exactly this content.
func holds(t testing.TB, d store.Driver, key string, want []byte, what string) {
	t.Helper()
	got, _, err := get(t.Context(), d, key, store.GetOptions{})
	switch {
	case err != nil:
		t.Errorf("%s: %q cannot be read: %v", what, key, err)
	case !bytes.Equal(got, want):
		t.Errorf("%s: %q holds %s, want %s", what, key, brief(got), brief(want))
	}
}

// absent fails when key exists.
func absent(t testing.TB, d store.Driver, key, what string) {
	t.Helper()
	e, err := d.Stat(t.Context(), key, store.Cond{})
	if err == nil {
		t.Errorf("%s: %q exists with %d bytes", what, key, e.Size)
		return
	}
	wantCode(t, d, err, what+": stat of an absent key", fault.NotFound)
}

func brief(b []byte) string {
	if len(b) <= 40 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes %q...", len(b), b[:16])
}
