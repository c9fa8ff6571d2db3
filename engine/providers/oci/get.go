package oci

import (
	"context"
	"errors"
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
	resp, err := d.do(ctx, d.read("HEAD", key, c))
	var reply *ReplyError
	if errors.As(err, &reply) && (reply.Status == http.StatusBadRequest || reply.Status == http.StatusUnauthorized || reply.Status == http.StatusForbidden) {
		// A HEAD has no body to say why. A GET of one byte has.
		r := d.read("GET", key, c)
		r.set("Range", "bytes=0-0")
		if why, e := d.do(ctx, r); e == nil {
			drain(why)
		} else if d.Classify(e).Code != fault.InvalidArgument {
			err = e
		}
	}
	if err != nil {
		return store.Entry{}, err
	}
	drain(resp)
	e, err := entryOf(resp, key)
	if err != nil {
		return store.Entry{}, err
	}
	if e.Size < 0 {
		return e, notOCI(resp, "it has no length")
	}
	return e, holds(e, c)
}

// read returns the request of an object.
func (d *Driver) read(method, key string, c store.Cond) *request {
	r := &request{action: "OBJECT_READ", method: method, path: objectPath("/o/", key)}
	if c.Version != "" {
		r.query = []string{"versionId", c.Version}
	}
	r.set("If-Match", c.IfMatch)
	return r
}

// holds checks a condition again: a proxy that answers from its store would ignore it.
func holds(e store.Entry, c store.Cond) error {
	if c.IfMatch != "" && e.ETag != c.IfMatch {
		return fault.New(fault.FailedPrecondition, "the object has the ETag %s, not %s", e.ETag, c.IfMatch)
	}
	if c.Version != "" && e.Version != c.Version {
		return fault.New(fault.FailedPrecondition, "the reply is of version %q, not of %q", e.Version, c.Version)
	}
	return nil
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := checkKey(key); err != nil {
		return store.Object{}, err
	}
	cond := store.Cond{IfMatch: o.IfMatch, Version: o.Version}
	r := d.read("GET", key, cond)
	if o.Range != nil {
		text, err := transfer.RangeText(*o.Range)
		if err != nil {
			return store.Object{}, err
		}
		if text == "" {
			return d.nothing(ctx, key, cond, *o.Range)
		}
		r.set("Range", text)
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		var reply *ReplyError
		if o.Range != nil && errors.As(err, &reply) && reply.Status == http.StatusRequestedRangeNotSatisfiable {
			return d.nothing(ctx, key, cond, *o.Range)
		}
		return store.Object{}, err
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

// nothing answers a range without bytes, which the protocol has no word for: it begins at the end, or nowhere.
func (d *Driver) nothing(ctx context.Context, key string, c store.Cond, r store.Range) (store.Object, error) {
	e, err := d.Stat(ctx, key, c)
	if err != nil {
		return store.Object{}, err
	}
	return transfer.NoBytes(e, r)
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
	b := &transfer.Received{Ctx: ctx, Src: resp.Body, Size: resp.ContentLength, Lost: func(err error) error { return &NetError{err} }}
	x := store.Object{Entry: e, Range: store.Range{Off: 0, Len: e.Size}, Total: e.Size, Body: b}
	if r == nil {
		if resp.StatusCode != http.StatusOK {
			return x, fault.New(fault.DataLoss, "asked for the whole object, got a reply of status %d", resp.StatusCode)
		}
		if s, ok := wholeSum(e.Sums); ok {
			b.Sum, b.Hash = s, newHash(s.Algo)
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
	want := store.Range{Off: r.Off, Len: r.Len}
	if r.Off < 0 {
		want = store.Range{Off: max(total+r.Off, 0), Len: -1}
	}
	if want.Len < 0 || want.Len > total-want.Off {
		want.Len = total - want.Off
	}
	if got := (store.Range{Off: off, Len: n}); got != want || resp.ContentLength != n {
		return x, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d from %d with a length of %d", want.Len, want.Off, n, off, resp.ContentLength)
	}
	x.Range, x.Total, x.Entry.Size, x.Entry.Sums = want, total, total, nil
	return x, nil
}
