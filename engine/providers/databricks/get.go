package databricks

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// opened checks the head of a reply with the bytes of a file.
func opened(ctx context.Context, resp *http.Response, key string, r *store.Range) (store.Object, error) {
	e, err := entryOf(resp, key)
	switch {
	case err != nil:
		return store.Object{}, err
	case resp.Header.Get("Content-Encoding") != "":
		return store.Object{}, fault.New(fault.DataLoss, "the reply was encoded on its way")
	case resp.ContentLength < 0:
		return store.Object{}, fault.New(fault.DataLoss, "the reply does not say how many bytes it has, so that a part could pass for the whole")
	}
	x := store.Object{Entry: e, Range: store.Range{Off: 0, Len: e.Size}, Total: e.Size, Body: &received{ctx: ctx, src: resp.Body, size: resp.ContentLength}}
	if r == nil {
		if resp.StatusCode != http.StatusOK {
			return x, fault.New(fault.DataLoss, "asked for the whole file, got a reply of status %d", resp.StatusCode)
		}
		return x, nil
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength == 0 { // there is no part of an empty file
		if r.Off > 0 {
			return x, beyond(*r, 0)
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
	x.Range, x.Total, x.Entry.Size = want, total, total
	return x, nil
}

// received is the body of a reply. It ends well only when it has its length.
type received struct {
	ctx     context.Context
	src     io.ReadCloser
	n, size int64
}

func (b *received) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.n += int64(n)
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
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *received) Close() error { return b.src.Close() }

// collect reads at least max names after a name, or all.
func collect(ctx context.Context, cur store.DirCursor, after string, max int) ([]store.DirEntry, error) {
	var out []store.DirEntry
	for len(out) < max {
		list, err := cur.Next(ctx, max-len(out)+1)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if e.Name > after {
				out = append(out, e)
			}
		}
	}
	return out, nil
}
