package httpstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func cond(c store.Cond) http.Header {
	h := http.Header{}
	if c.IfMatch != "" {
		h.Set("If-Match", `"`+c.IfMatch+`"`)
	}
	if c.Version != "" {
		h.Set(headVersion, c.Version)
	}
	return h
}

func putHeader(o store.PutOptions) (http.Header, error) {
	h := cond(store.Cond{IfMatch: o.IfMatch})
	if o.IfAbsent {
		h.Set("If-None-Match", "*")
	}
	for k, v := range o.Attrs.User {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fault.New(fault.InvalidArgument, "metadata that is not UTF-8")
		}
	}
	h.Set(headAttrs, pack(o.Attrs))
	return h, nil
}

func rangeHeader(r store.Range) string {
	switch {
	case r.Off < 0:
		return fmt.Sprintf("bytes=%d", r.Off)
	case r.Len < 0:
		return fmt.Sprintf("bytes=%d-", r.Off)
	}
	return fmt.Sprintf("bytes=%d-%d", r.Off, r.Off+r.Len-1)
}

// described reads the entry of a reply. A reply without one comes from something between us and the store.
func described(resp *http.Response, key string) (store.Entry, error) {
	var e store.Entry
	if err := unpack(resp.Header.Get(headEntry), &e); err != nil || e.Key != key || e.ETag == "" || resp.Header.Get("ETag") != `"`+e.ETag+`"` {
		return e, fault.New(fault.Unavailable, "the reply does not come from the store")
	}
	return e, nil
}

// empty answers a range of no bytes.
func (d *Driver) empty(e store.Entry, r *store.Range, err error) (store.Object, error) {
	if err == nil && r.Off > e.Size {
		err = fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the object", r.Off, e.Size)
	}
	if err != nil {
		return store.Object{}, err
	}
	return store.Object{Body: http.NoBody, Entry: e, Range: store.Range{Off: min(max(r.Off, 0), e.Size)}, Total: e.Size}, nil
}

// opened checks the head of a reply with an object's bytes.
func opened(resp *http.Response, key string, o store.GetOptions) (store.Object, error) {
	e, err := described(resp, key)
	if err != nil {
		return store.Object{}, err
	}
	x := store.Object{Entry: e, Range: store.Range{Off: 0, Len: e.Size}, Total: e.Size}
	body := &received{src: resp.Body}
	if sum := sumOf(e.Sums); sum != nil {
		body.want, body.checked = binary.BigEndian.Uint32(sum), true
	}
	if r := o.Range; r != nil {
		var last, total int64
		if n, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &x.Range.Off, &last, &total); resp.StatusCode != http.StatusPartialContent || n != 3 || err != nil || total != e.Size {
			return x, fault.New(fault.DataLoss, "asked for a range, got status %d with Content-Range %q", resp.StatusCode, resp.Header.Get("Content-Range"))
		}
		x.Range.Len = last - x.Range.Off + 1
		off, n := r.Off, r.Len
		if off < 0 {
			off, n = max(e.Size+off, 0), -1
		}
		if n < 0 || n > e.Size-off {
			n = e.Size - off
		}
		if x.Range != (store.Range{Off: off, Len: n}) {
			return x, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d from %d", n, off, x.Range.Len, x.Range.Off)
		}
		want, err := strconv.ParseUint(resp.Header.Get(headBodyCRC), 10, 32)
		body.want, body.checked = uint32(want), err == nil
	}
	body.left = x.Range.Len
	x.Body = body
	return x, nil
}

func sumOf(sums []store.Sum) []byte {
	for _, s := range sums {
		if s.Algo == "crc32c" && len(s.Value) == 4 {
			return s.Value
		}
	}
	return nil
}

// received is a reply's body that ends well only when it is as long as declared and has its checksum.
type received struct {
	src     io.ReadCloser
	left    int64
	crc     uint32
	want    uint32
	checked bool
}

func (r *received) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if int64(n) > r.left {
		return 0, fault.New(fault.DataLoss, "the reply is longer than declared")
	}
	r.left -= int64(n)
	r.crc = crc32.Update(r.crc, castagnoli, p[:n])
	switch {
	case err == io.EOF && r.left > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF && r.checked && r.crc != r.want:
		err = fault.New(fault.DataLoss, "the bytes do not have their checksum")
	}
	return n, err
}

func (r *received) Close() error { return r.src.Close() }

// sent is the body of an upload. When its source fails, ends early or runs over, the request breaks off and the server
// stores nothing; cause then says why.
type sent struct {
	ctx     context.Context
	body    store.Body
	size    int64
	trailer http.Header

	mu   sync.Mutex
	src  io.ReadCloser
	n    int64
	crc  uint32
	err  error
	over bool // closed
}

func newSent(ctx context.Context, b store.Body) *sent {
	return &sent{ctx: ctx, body: b, size: b.Size(), trailer: http.Header{headCRC: nil}}
}

func (s *sent) Read(p []byte) (int, error) {
	s.mu.Lock()
	src, err := s.src, s.err
	if s.over {
		err = errors.New("the request has ended")
	}
	if src == nil && err == nil {
		if s.src, s.err = s.body.Open(s.ctx); s.err == nil {
			src = s.src
		}
		err = s.err
	}
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := src.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	switch {
	case s.size >= 0 && s.n > s.size:
		n, err = 0, fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.size)
	case err == io.EOF && s.n < s.size:
		err = fault.New(fault.DataLoss, "the source ended after %d of %d bytes", s.n, s.size)
	case err == io.EOF:
		s.trailer.Set(headCRC, fmt.Sprint(s.crc))
		return n, err
	}
	if err != nil && !s.over {
		s.err = err
	}
	return n, err
}

func (s *sent) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.src == nil {
		return nil
	}
	return s.src.Close()
}

// cause returns the source's failure instead of what the transport made of it.
func (s *sent) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return err
}

// proves fails unless the server holds just what was sent.
func (s *sent) proves(size int64, crc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size != s.n || crc == nil || binary.BigEndian.Uint32(crc) != s.crc {
		return fault.New(fault.DataLoss, "the store holds %d bytes with checksum %x, sent were %d with %08x", size, crc, s.n, s.crc)
	}
	return nil
}
