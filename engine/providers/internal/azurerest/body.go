package azurerest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"

	"github.com/minio/crc64nvme"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// CRC is the CRC-64 that the services know, the one of NVMe, in their byte order and in base64.
func CRC(data []byte) string {
	h := crc64nvme.New()
	h.Write(data)
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, h.Sum64()))
}

// MD5 is the MD5 of data in base64.
func MD5(data []byte) string {
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Sum reads an MD5 in base64; what is none gives nil.
func Sum(text string) []store.Sum {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != md5.Size {
		return nil
	}
	return []store.Sum{{Algo: "md5", Value: b}}
}

// Source reads a body and sees that it has its size.
type Source struct {
	Ctx  context.Context
	Src  io.Reader
	Size int64     // -1 unknown
	Hash hash.Hash // of all that was read; nil for none
	N    int64     // bytes read

	Ended bool
}

// Fill reads until p is full or the source has ended well, which is no error.
func (s *Source) Fill(p []byte) (n int, err error) {
	for n < len(p) && !s.Ended {
		k, err := s.Src.Read(p[n:])
		if s.Hash != nil {
			s.Hash.Write(p[n : n+k])
		}
		n, s.N = n+k, s.N+int64(k)
		switch {
		case s.Ctx.Err() != nil:
			return n, context.Cause(s.Ctx)
		case s.Size >= 0 && s.N > s.Size:
			return n, fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.Size)
		case err == io.EOF && s.N < s.Size:
			return n, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", s.N, s.Size)
		case err == io.EOF:
			s.Ended = true
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// End reads on to the end of the source, where nothing more may come: a source may find only there that it was damaged.
func (s *Source) End() error {
	var one [1]byte
	n, err := s.Fill(one[:])
	if err == nil && n > 0 {
		err = fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.N-1)
	}
	return err
}

// MaxRangeSum is the length of a range up to which the services give an MD5 of it.
const MaxRangeSum = 4 << 20

// Getter is what Get needs to know of a service.
type Getter struct {
	Request func(method, key string, c store.Cond) *Request
	Entry   func(resp *http.Response, key string) (store.Entry, error)
	// RangeSum names the header with the MD5 of the bytes of a range.
	RangeSum string
}

// Stat describes an object.
func (c *Client) Stat(ctx context.Context, g Getter, key string, cond store.Cond) (store.Entry, error) {
	resp, err := c.Do(ctx, g.Request("HEAD", key, cond))
	if err != nil {
		return store.Entry{}, err
	}
	Drain(resp)
	e, err := g.Entry(resp, key)
	if err == nil && e.Size < 0 {
		err = NotAzure(resp, "it has no length")
	}
	if err == nil {
		err = holds(e, cond)
	}
	return e, err
}

// holds checks a condition: a service may not know it, and what answers in place of the service would ignore it.
func holds(e store.Entry, c store.Cond) error {
	if c.IfMatch != "" && e.ETag != c.IfMatch {
		return fault.New(fault.FailedPrecondition, "the object has the ETag %s, not %s", e.ETag, c.IfMatch)
	}
	if c.Version != "" && e.Version != c.Version {
		return fault.New(fault.FailedPrecondition, "the reply is of version %q, not of %q", e.Version, c.Version)
	}
	return nil
}

// Get opens an object or a range of it.
func (c *Client) Get(ctx context.Context, g Getter, key string, o store.GetOptions) (store.Object, error) {
	cond := store.Cond{IfMatch: o.IfMatch, Version: o.Version}
	if o.Range != nil {
		rg := *o.Range
		if rg.Off < 0 { // the services have no ranges from the end
			e, err := c.Stat(ctx, g, key, cond)
			if err != nil {
				return store.Object{}, err
			}
			rg = store.Range{Off: max(e.Size+rg.Off, 0), Len: -1}
			cond.IfMatch = e.ETag
		}
		switch {
		case rg.Len == 0:
			return c.nothing(ctx, g, key, cond, rg)
		case rg.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", rg.Len)
		case rg.Off+rg.Len < 0:
			rg.Len = -1
		}
		o.Range = &rg
	}
	r := g.Request("GET", key, cond)
	if rg := o.Range; rg != nil && rg.Len == -1 {
		r.Set("Range", fmt.Sprintf("bytes=%d-", rg.Off))
	} else if rg != nil {
		r.Set("Range", fmt.Sprintf("bytes=%d-%d", rg.Off, rg.Off+rg.Len-1))
		if rg.Len <= MaxRangeSum {
			r.Set("X-Ms-Range-Get-Content-Md5", "true")
		}
	}
	resp, err := c.Do(ctx, r)
	if err != nil {
		if o.Range != nil && StatusOf(err) == http.StatusRequestedRangeNotSatisfiable {
			return c.nothing(ctx, g, key, cond, *o.Range)
		}
		return store.Object{}, err
	}
	x, err := opened(ctx, g, resp, key, o.Range)
	if err == nil {
		err = holds(x.Entry, cond)
	}
	if err != nil {
		resp.Body.Close()
		return store.Object{}, err
	}
	return x, nil
}

// nothing answers a range without bytes: it begins at the end, or nowhere.
func (c *Client) nothing(ctx context.Context, g Getter, key string, cond store.Cond, r store.Range) (store.Object, error) {
	e, err := c.Stat(ctx, g, key, cond)
	switch {
	case err != nil:
		return store.Object{}, err
	case r.Off > e.Size:
		return store.Object{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the object", r.Off, e.Size)
	case r.Off < e.Size && r.Len != 0:
		return store.Object{}, fault.New(fault.Unavailable, "the service says that there are no bytes from %d, and that the object has %d", r.Off, e.Size)
	}
	e.Sums = nil
	return store.Object{Body: http.NoBody, Entry: e, Range: store.Range{Off: r.Off}, Total: e.Size}, nil
}

// opened checks the head of a reply with an object's bytes.
func opened(ctx context.Context, g Getter, resp *http.Response, key string, r *store.Range) (store.Object, error) {
	e, err := g.Entry(resp, key)
	if err != nil {
		return store.Object{}, err
	}
	if resp.ContentLength < 0 {
		return store.Object{}, fault.New(fault.DataLoss, "the reply does not say how many bytes it has, so that a part could pass for the whole")
	}
	b := &received{ctx: ctx, src: resp.Body, size: resp.ContentLength}
	x := store.Object{Entry: e, Range: store.Range{Off: 0, Len: e.Size}, Total: e.Size, Body: b}
	if r == nil {
		if resp.StatusCode != http.StatusOK {
			return x, fault.New(fault.DataLoss, "asked for the whole object, got a reply of status %d", resp.StatusCode)
		}
		if len(e.Sums) > 0 {
			b.sum, b.hash = e.Sums[0].Value, md5.New()
		}
		return x, nil
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength == 0 { // there is no part of an empty object
		if r.Off > 0 {
			return x, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the 0 bytes of the object", r.Off)
		}
		return x, nil
	}
	off, n, total, ok := transfer.ContentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || !ok {
		return x, fault.New(fault.DataLoss, "asked for a range, got a reply of status %d with Content-Range %q", resp.StatusCode, resp.Header.Get("Content-Range"))
	}
	want := *r
	if want.Len < 0 || want.Len > total-want.Off {
		want.Len = total - want.Off
	}
	if got := (store.Range{Off: off, Len: n}); got != want || resp.ContentLength != n {
		return x, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d from %d with a length of %d", want.Len, want.Off, n, off, resp.ContentLength)
	}
	if sum := Sum(resp.Header.Get(g.RangeSum)); sum != nil && r.Len > 0 && r.Len <= MaxRangeSum {
		b.sum, b.hash = sum[0].Value, md5.New()
	}
	x.Range, x.Total, x.Entry.Size, x.Entry.Sums = want, total, total, nil
	return x, nil
}

// received is the body of a reply. It ends well only when it has its length and, where one is declared, its MD5.
type received struct {
	ctx     context.Context
	src     io.ReadCloser
	n, size int64
	sum     []byte
	hash    hash.Hash
}

func (b *received) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.n += int64(n)
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	switch {
	case b.n > b.size:
		return 0, fault.New(fault.DataLoss, "the reply runs over its %d bytes", b.size)
	case err == nil:
		return n, nil
	case b.ctx.Err() != nil && err != io.EOF:
		return n, context.Cause(b.ctx)
	case err != io.EOF || b.n < b.size:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, &NetError{fmt.Errorf("the reply broke off after %d of %d bytes: %w", b.n, b.size, err)}
	case b.hash != nil && !bytes.Equal(b.hash.Sum(nil), b.sum):
		return n, fault.New(fault.DataLoss, "the bytes have the MD5 %x, the service declared %x", b.hash.Sum(nil), b.sum)
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *received) Close() error { return b.src.Close() }

// Once opens a body so that it can be closed from several places, which all get the first result.
func Once(ctx context.Context, body store.Body) (io.ReadCloser, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &once{ReadCloser: src, close: sync.OnceValue(src.Close)}, nil
}

type once struct {
	io.ReadCloser
	close func() error
}

// Close implements io.Closer.
func (o *once) Close() error { return o.close() }
