package databricks

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Get implements store.Driver.
func (d *DBFS) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := refuseCond(store.Cond{IfMatch: o.IfMatch, Version: o.Version}, dbfsLacks["Pin"]); err != nil {
		return store.Object{}, err
	}
	f, err := d.file(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	size := *f.Size
	r := store.Range{Off: 0, Len: size}
	if o.Range != nil {
		switch {
		case o.Range.Off < 0:
			r.Off = size + max(o.Range.Off, -size)
		case o.Range.Off > size:
			return store.Object{}, beyond(*o.Range, size)
		case o.Range.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", o.Range.Len)
		default:
			r.Off = o.Range.Off
		}
		r.Len = size - r.Off
		if o.Range.Off >= 0 && o.Range.Len >= 0 {
			r.Len = min(r.Len, o.Range.Len)
		}
	}
	e := f.entry(key)
	e.Attrs = &store.Attributes{}
	x := store.Object{Body: http.NoBody, Entry: e, Range: r, Total: size}
	if r.Len > 0 {
		b := &blocks{d: d, path: d.path(key), was: f, at: r.Off, end: r.Off + r.Len}
		b.ctx, b.cancel = context.WithCancelCause(ctx)
		if err := b.fill(); err != nil { // a file that cannot be read is told at once
			b.Close()
			return store.Object{}, err
		}
		x.Body = b
	}
	return x, nil
}

// blocks reads a range of a file. Bytes are given out only after a look shows that the file was the same after they were
// read.
type blocks struct {
	d       *DBFS
	ctx     context.Context
	cancel  context.CancelCauseFunc
	path    string
	was     fileInfo
	at, end int64
	data    []byte
	err     error
	round   int
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	if cause := context.Cause(b.ctx); cause != nil {
		return 0, cause
	}
	if len(b.data) == 0 && b.err == nil {
		if b.at == b.end {
			b.err = io.EOF
		} else {
			b.err = b.fill()
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// fill reads the next blocks side by side: one at first, so that who reads a few bytes does not pay for megabytes.
func (b *blocks) fill() error {
	n := 1
	if b.round++; b.round > 1 {
		n = window
	}
	type piece struct {
		data []byte
		err  error
	}
	var out []chan piece
	for ; n > 0 && b.at < b.end; n-- {
		off, size := b.at, min(block, b.end-b.at)
		b.at += size
		ch := make(chan piece, 1)
		out = append(out, ch)
		go func() {
			data, err := b.d.read(b.ctx, b.path, off, size)
			ch <- piece{data, err}
		}()
	}
	var first error
	b.data = nil
	for _, ch := range out {
		p := <-ch
		if first == nil {
			first = p.err
		}
		b.data = append(b.data, p.data...)
	}
	if first == nil {
		var now fileInfo
		if now, first = b.d.status(b.ctx, b.path); first == nil && (now.Dir || !b.was.same(now)) || b.d.Classify(first).Code == fault.NotFound {
			first = fault.New(fault.FailedPrecondition, "the file was replaced while it was read")
		}
	}
	if first != nil {
		b.data = nil
		if cause := context.Cause(b.ctx); cause != nil {
			first = cause
		}
	}
	return first
}

// Close implements io.Closer.
func (b *blocks) Close() error {
	b.cancel(errors.New("the body was closed"))
	return nil
}

// read reads a block, all of it.
func (d *DBFS) read(ctx context.Context, path string, off, size int64) ([]byte, error) {
	var x struct {
		Read *int64 `json:"bytes_read"`
		Data string `json:"data"`
	}
	resp, err := d.ask(ctx, &x, "read", "path", path, "offset", strconv.FormatInt(off, 10), "length", strconv.FormatInt(size, 10))
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(x.Data)
	switch {
	case x.Read == nil || err != nil:
		return nil, notDatabricks(resp, "it holds no block")
	case int64(len(data)) != *x.Read || *x.Read != size:
		return nil, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d, which are said to be %d", size, off, len(data), *x.Read)
	}
	return data, nil
}
