package huggingface

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// found is what the hub says of a file, over the redirects that lead to its bytes.
type found struct {
	resp   *http.Response
	etag   string
	size   int64 // -1 unknown
	commit string
}

// note takes what a reply of the hub says of the file.
func (f *found) note(h http.Header) {
	if c := h.Get("X-Repo-Commit"); c != "" {
		f.commit = c
	}
	if t := h.Get("X-Linked-Etag"); t != "" {
		f.etag = unquoted(t)
	}
	if n, err := strconv.ParseInt(h.Get("X-Linked-Size"), 10, 64); err == nil && n >= 0 {
		f.size = n
	}
}

// unquoted returns an ETag as listings give it.
func unquoted(etag string) string {
	return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
}

// fetch asks for a file. A HEAD ends where the hub leads to another host; a GET goes there, without the token.
func (d *Driver) fetch(ctx context.Context, method, key string, header http.Header) (*found, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	p, err := d.pin(ctx)
	if err != nil {
		return nil, err
	}
	f := &found{size: -1}
	u := d.file(p.commit, key)
	for range maxHops + 1 {
		if f.resp, err = d.send(ctx, method, u, header); err != nil {
			return nil, err
		}
		own := d.own(u)
		if own {
			f.note(f.resp.Header)
		}
		if u, err = d.redirect(f.resp); err != nil {
			return nil, err
		}
		if u == nil && own && f.etag == "" {
			f.etag = unquoted(f.resp.Header.Get("Etag"))
		}
		if u == nil || method == "HEAD" && !d.own(u) {
			if err := f.check(p, u == nil); err != nil {
				f.resp.Body.Close()
				return nil, err
			}
			return f, nil
		}
	}
	return nil, tooManyHops()
}

// check makes sure that the reply is about the file as it is at the commit.
func (f *found) check(p *pin, last bool) error {
	switch {
	case f.etag == "":
		return notHub(f.resp, "it has no ETag")
	case f.commit != "" && f.commit != p.commit:
		return fault.New(fault.Unavailable, "asked for the file at the commit %s, got that of %s", p.commit, f.commit)
	case last && f.resp.Header.Get("Content-Encoding") != "":
		return fault.New(fault.DataLoss, "the reply was encoded on its way")
	}
	return nil
}

func (f *found) entry(key string, p *pin) store.Entry {
	return store.Entry{Key: key, Size: f.size, Modified: p.date, ETag: f.etag, Attrs: &store.Attributes{}, Sums: sums(f.etag)}
}

// sums is the checksum that an ETag is, where it is one of the bytes alone.
func sums(etag string) []store.Sum {
	if b, err := hex.DecodeString(etag); err == nil && len(b) == sha256.Size {
		return []store.Sum{{Algo: "sha256", Value: b}}
	}
	return nil
}

// hashOf returns the hash that gives the ETag of size bytes, and what it must give; nil when the ETag is no checksum.
func hashOf(etag string, size int64) (hash.Hash, []byte) {
	want, err := hex.DecodeString(etag)
	switch {
	case err != nil:
	case len(want) == sha256.Size:
		return sha256.New(), want
	case len(want) == sha1.Size: // git's id of a blob
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", size)
		return h, want
	}
	return nil, nil
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	f, err := d.fetch(ctx, "HEAD", key, nil)
	if err != nil {
		return store.Entry{}, absent(err)
	}
	drain(f.resp)
	if f.size < 0 && f.resp.StatusCode == http.StatusOK {
		f.size = f.resp.ContentLength
	}
	if f.size < 0 {
		return store.Entry{}, notHub(f.resp, "it has no length")
	}
	p, err := d.pin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	return f.entry(key, p), holds(f.etag, c.IfMatch, c.Version)
}

// absent makes the plainest error of a file that is not there.
func absent(err error) error {
	if missing(err) {
		return fault.New(fault.NotFound, "there is no such file at this revision")
	}
	return err
}

// holds checks a condition. What the ETag names is the content, so that no bytes are needed to compare.
func holds(etag, match, version string) error {
	if version != "" {
		return fault.New(fault.FailedPrecondition, "files of the hub have no versions of their own")
	}
	if match != "" && unquoted(match) != etag {
		return fault.New(fault.FailedPrecondition, "the file has the ETag %s, not %s", etag, match)
	}
	return nil
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	header := http.Header{}
	if r := o.Range; r != nil {
		switch {
		case r.Off >= 0 && r.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
		case r.Off >= 0 && r.Len == 0:
			return d.nothing(ctx, key, o)
		case r.Off == math.MinInt64:
			header.Set("Range", "bytes=0-")
		case r.Off < 0:
			header.Set("Range", fmt.Sprintf("bytes=%d", r.Off))
		case r.Len < 0 || r.Off+r.Len < 0:
			header.Set("Range", fmt.Sprintf("bytes=%d-", r.Off))
		default:
			header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.Off, r.Off+r.Len-1))
		}
	}
	f, err := d.fetch(ctx, "GET", key, header)
	var reply *ReplyError
	if o.Range != nil && errors.As(err, &reply) && reply.Status == http.StatusRequestedRangeNotSatisfiable {
		return d.nothing(ctx, key, o)
	}
	if err != nil {
		return store.Object{}, absent(err)
	}
	x, err := d.opened(ctx, f, key, o)
	if err != nil {
		f.resp.Body.Close()
	}
	return x, err
}

// nothing answers a range without bytes: it begins at the end, or nowhere.
func (d *Driver) nothing(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	e, err := d.Stat(ctx, key, store.Cond{IfMatch: o.IfMatch, Version: o.Version})
	switch r := o.Range; {
	case err != nil:
		return store.Object{}, err
	case r.Off > e.Size:
		return store.Object{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the file", r.Off, e.Size)
	case r.Off < e.Size && r.Len != 0 && e.Size > 0:
		return store.Object{}, fault.New(fault.Unavailable, "the hub says that there are no bytes from %d, and that the file has %d", r.Off, e.Size)
	}
	e.Sums = nil
	return store.Object{Body: http.NoBody, Entry: e, Range: store.Range{Off: max(o.Range.Off, 0)}, Total: e.Size}, nil
}

// opened checks the head of a reply with a file's bytes.
func (d *Driver) opened(ctx context.Context, f *found, key string, o store.GetOptions) (store.Object, error) {
	if err := holds(f.etag, o.IfMatch, o.Version); err != nil {
		return store.Object{}, err
	}
	p, err := d.pin(ctx)
	if err != nil {
		return store.Object{}, err
	}
	resp := f.resp
	b := &received{ctx: ctx, src: resp.Body, size: resp.ContentLength}
	x := store.Object{Body: b}
	if o.Range != nil && f.size == 0 { // servers answer for ranges of nothing as they like
		if o.Range.Off > 0 {
			return x, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the 0 bytes of the file", o.Range.Off)
		}
		resp.Body.Close()
		return store.Object{Entry: f.entry(key, p), Body: http.NoBody}, nil
	}
	if o.Range == nil {
		switch {
		case resp.StatusCode != http.StatusOK:
			return x, fault.New(fault.DataLoss, "asked for the whole file, got a reply of status %d", resp.StatusCode)
		case f.size < 0 && b.size < 0:
			return x, fault.New(fault.DataLoss, "the reply does not say how many bytes it has, so that a part could pass for the whole")
		case f.size >= 0 && b.size >= 0 && f.size != b.size:
			return x, fault.New(fault.DataLoss, "the hub says that the file has %d bytes, the reply has %d", f.size, b.size)
		}
		b.size = max(b.size, f.size)
		f.size = b.size
		b.hash, b.sum = hashOf(f.etag, b.size)
		x.Entry, x.Range, x.Total = f.entry(key, p), store.Range{Off: 0, Len: b.size}, b.size
		return x, nil
	}
	off, n, total, ok := transfer.ContentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || !ok {
		return x, fault.New(fault.DataLoss, "asked for a range, got a reply of status %d with Content-Range %q", resp.StatusCode, resp.Header.Get("Content-Range"))
	}
	want := *o.Range
	if want.Off < 0 {
		want = store.Range{Off: total + max(want.Off, -total), Len: -1}
	}
	if want.Len < 0 || want.Len > total-want.Off {
		want.Len = total - want.Off
	}
	switch got := (store.Range{Off: off, Len: n}); {
	case got != want || b.size >= 0 && b.size != n:
		return x, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d from %d with a length of %d", want.Len, want.Off, n, off, resp.ContentLength)
	case f.size >= 0 && f.size != total:
		return x, fault.New(fault.DataLoss, "the hub says that the file has %d bytes, the reply says %d", f.size, total)
	}
	b.size, f.size = n, total
	if n == total {
		b.hash, b.sum = hashOf(f.etag, total)
	}
	x.Entry, x.Range, x.Total = f.entry(key, p), want, total
	x.Entry.Sums = nil
	return x, nil
}

// received is the body of a reply. It ends well only when it has its length and, for a whole file, its checksum.
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
		return n, fault.New(fault.DataLoss, "the bytes have the checksum %x, the hub declared %x", b.hash.Sum(nil), b.sum)
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *received) Close() error { return b.src.Close() }
