package gcs

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// generation reads an ETag or a version, which both are generations. One that is none matches no object.
func generation(s string) (int64, bool) {
	g, err := strconv.ParseInt(s, 10, 64)
	return g, err == nil && g > 0
}

func noMatch(etag string) error {
	return fault.New(fault.FailedPrecondition, "no object has the ETag %q: here they are generations", etag)
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := checkKey(key); err != nil {
		return store.Entry{}, err
	}
	return d.stat(ctx, key, c)
}

func (d *Driver) stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	r := d.metaRequest("storage.objects.get", "GET", objectPath(key))
	for _, x := range [][2]string{{"generation", c.Version}, {"ifGenerationMatch", c.IfMatch}} {
		if _, ok := generation(x[1]); !ok && x[1] != "" {
			return store.Entry{}, noMatch(x[1])
		}
		r.ask(x[0], x[1])
	}
	var x resource
	resp, err := d.json(ctx, r, &x)
	if err != nil {
		return store.Entry{}, err
	}
	e, ok := x.entry(true)
	if !ok || e.Key != key {
		return store.Entry{}, notGCS(resp, "it describes no object")
	}
	return e, holds(e, c)
}

// holds checks a condition again: a proxy that answers from its store would ignore it.
func holds(e store.Entry, c store.Cond) error {
	for _, want := range []string{c.IfMatch, c.Version} {
		if want != "" && e.Version != want {
			return fault.New(fault.FailedPrecondition, "the object has the generation %s, not %s", e.Version, want)
		}
	}
	return nil
}

// Get implements store.Driver. The XML API is asked, since its replies carry all attributes.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := checkKey(key); err != nil {
		return store.Object{}, err
	}
	cond := store.Cond{IfMatch: o.IfMatch, Version: o.Version}
	r := d.xmlRequest("storage.objects.get", "GET", key)
	for _, s := range []string{o.IfMatch, o.Version} {
		if _, ok := generation(s); !ok && s != "" {
			return store.Object{}, noMatch(s)
		}
	}
	r.ask("generation", o.Version)
	r.set("X-Goog-If-Generation-Match", o.IfMatch)
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
	e, err := d.stat(ctx, key, c)
	if err != nil {
		return store.Object{}, err
	}
	return transfer.NoBytes(e, r)
}

// entryOf describes an object by the head of a reply of the XML API.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	g, ok := generation(h.Get("X-Goog-Generation"))
	size, err := strconv.ParseInt(h.Get("X-Goog-Stored-Content-Length"), 10, 64)
	if !ok || err != nil || size < 0 {
		return store.Entry{}, notGCS(resp, "it has no generation or length")
	}
	v := strconv.FormatInt(g, 10)
	e := store.Entry{Key: key, Size: size, ETag: v, Version: v, Attrs: attrsOf(h), Sums: sumsOf(h)}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
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
	stored := resp.Header.Get("X-Goog-Stored-Content-Encoding")
	if sent := resp.Header.Get("Content-Encoding"); stored != "" && sent != stored && !(sent == "" && stored == "identity") {
		return store.Object{}, fault.New(fault.DataLoss, "the bytes come with the encoding %q, stored is %q", sent, stored)
	}
	b := &transfer.Received{Ctx: ctx, Src: resp.Body, Size: resp.ContentLength, Lost: func(err error) error { return &NetError{err} }}
	x := store.Object{Entry: e, Range: store.Range{Off: 0, Len: e.Size}, Total: e.Size, Body: b}
	if r == nil {
		if resp.StatusCode != http.StatusOK || resp.ContentLength != e.Size {
			return x, fault.New(fault.DataLoss, "asked for the whole object of %d bytes, got a reply of status %d with %d", e.Size, resp.StatusCode, resp.ContentLength)
		}
		if len(e.Sums) > 0 {
			b.Sum, b.Hash = e.Sums[0], newHash(e.Sums[0].Algo)
		}
		return x, nil
	}
	if resp.StatusCode == http.StatusOK && resp.ContentLength == 0 && e.Size == 0 { // there is no part of an empty object
		if r.Off > 0 {
			return x, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the 0 bytes of the object", r.Off)
		}
		return x, nil
	}
	off, n, total, ok := transfer.ContentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || !ok || total != e.Size {
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
	x.Range, x.Entry.Sums = want, nil
	return x, nil
}
