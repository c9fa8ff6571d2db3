package azureblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := checkKey(key); err != nil {
		return store.Entry{}, err
	}
	resp, err := d.do(ctx, reading("HEAD", key, c))
	if err != nil {
		return store.Entry{}, err
	}
	drain(resp)
	e, err := entryOf(resp, key)
	if err == nil && e.Size < 0 {
		err = notAzure(resp, "it has no length")
	}
	if err == nil {
		err = holds(e, c)
	}
	return e, err
}

func reading(method, key string, c store.Cond) *request {
	r := &request{action: "Get Blob", method: method, key: key}
	if method == "HEAD" {
		r.action = "Get Blob Properties"
	}
	if c.Version != "" {
		r.query = []string{"versionid", c.Version}
	}
	r.set("If-Match", c.IfMatch)
	return r
}

// holds checks a condition again: what answers in place of the service would ignore it.
func holds(e store.Entry, c store.Cond) error {
	if c.IfMatch != "" && e.ETag != c.IfMatch {
		return fault.New(fault.FailedPrecondition, "the object has the ETag %s, not %s", e.ETag, c.IfMatch)
	}
	if c.Version != "" && e.Version != c.Version {
		return fault.New(fault.FailedPrecondition, "the reply is of version %q, not of %q", e.Version, c.Version)
	}
	return nil
}

// maxRangeSum is the length of a range up to which the service gives an MD5 of it.
const maxRangeSum = 4 << 20

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := checkKey(key); err != nil {
		return store.Object{}, err
	}
	cond := store.Cond{IfMatch: o.IfMatch, Version: o.Version}
	r := reading("GET", key, cond)
	if o.Range != nil {
		rg := *o.Range
		if rg.Off < 0 { // the service has no ranges from the end
			e, err := d.Stat(ctx, key, cond)
			if err != nil {
				return store.Object{}, err
			}
			rg = store.Range{Off: max(e.Size+rg.Off, 0), Len: -1}
			r.set("If-Match", e.ETag)
		}
		switch {
		case rg.Len == 0:
			return d.nothing(ctx, key, cond, rg)
		case rg.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", rg.Len)
		case rg.Len == -1 || rg.Off+rg.Len < 0:
			rg.Len = -1
			r.set("Range", fmt.Sprintf("bytes=%d-", rg.Off))
		default:
			r.set("Range", fmt.Sprintf("bytes=%d-%d", rg.Off, rg.Off+rg.Len-1))
			if rg.Len <= maxRangeSum {
				r.set("X-Ms-Range-Get-Content-Md5", "true")
			}
		}
		o.Range = &rg
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		var reply *ReplyError
		if o.Range != nil && errors.As(err, &reply) && reply.Status == http.StatusRequestedRangeNotSatisfiable {
			return d.nothing(ctx, key, cond, *o.Range)
		}
		return store.Object{}, err
	}
	if o.Range != nil && o.Range.Off >= 0 && resp.StatusCode == http.StatusPartialContent && resp.ContentLength == 0 { // so does an emulator say that there is nothing
		drain(resp)
		return d.nothing(ctx, key, cond, *o.Range)
	}
	x, err := opened(ctx, resp, key, o.Range)
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
func (d *Driver) nothing(ctx context.Context, key string, c store.Cond, r store.Range) (store.Object, error) {
	e, err := d.Stat(ctx, key, c)
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
func opened(ctx context.Context, resp *http.Response, key string, r *store.Range) (store.Object, error) {
	e, err := entryOf(resp, key)
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
	if sum, err := base64.StdEncoding.DecodeString(resp.Header.Get("Content-Md5")); err == nil && len(sum) == 16 && r.Len > 0 && r.Len <= maxRangeSum {
		b.sum, b.hash = sum, md5.New()
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
