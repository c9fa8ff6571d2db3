package store

import (
	"context"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// refusedCopies is how many objects in a row a service may decline to copy itself before it is asked no more.
const refusedCopies = 3

// object copies one object and returns how many bytes passed through this process.
func (c *copier) object(ctx context.Context, e Entry, key string, replace bool) (Entry, int64, error) {
	call := Call{Op: "copy", Key: key, Write: true, Replace: replace, Size: e.Size}
	err := c.dst.checkKey(key)
	if err == nil {
		err = refusal(c.dst.o.Mode, call)
	}
	if err != nil {
		return Entry{}, 0, c.dst.wrap(ctx, call, err)
	}
	po := PutOptions{IfAbsent: !replace && c.dst.caps.IfAbsent}
	out, done, err := c.byService(ctx, call, e, po)
	if done {
		return out, 0, err
	}
	return c.byClient(ctx, call, e, po)
}

// byService lets the service copy, and reports whether it has answered for the object.
func (c *copier) byService(ctx context.Context, call Call, e Entry, po PutOptions) (Entry, bool, error) {
	cp, ok := c.dst.d.(Copier)
	if !ok || c.refused.Load() >= refusedCopies && !c.served.Load() {
		return Entry{}, false, nil
	}
	o := CopyOptions{Size: e.Size, Put: po, KeepAttrs: true}
	if c.src.caps.Pin {
		o.SrcIfMatch, o.SrcVersion = e.ETag, e.Version
	}
	call.Retryable = !po.IfAbsent
	var out Entry
	tries := 0
	// It is a read of the source, which the source's own layers may refuse.
	err := c.src.observe(ctx, Call{Op: "get", Key: e.Key, Retryable: true, Size: e.Size}, func(ctx context.Context) error {
		return c.dst.do(ctx, call, func(ctx context.Context) (err error) {
			tries++
			out, err = cp.CopyFrom(ctx, c.src.d, c.src.full(e.Key), c.dst.full(call.Key), o)
			if err != nil && c.dst.classify(err).Code == fault.AlreadyExists {
				return c.dst.conflict(err, po, tries)
			}
			return err
		})
	})
	switch {
	case fault.Is(err, fault.Unimplemented):
		c.refused.Add(1)
		return Entry{}, false, nil
	case err != nil:
		return Entry{}, true, err
	}
	c.served.Store(true)
	c.prog.Plan(0, -max(e.Size, 0)) // no byte of it comes this way
	if err := sameContent(e, out); err != nil {
		return Entry{}, true, c.dst.wrap(ctx, call, err)
	}
	if out.Size < 0 {
		out.Size = e.Size
	}
	out.Key = call.Key
	c.src.used(ActRead, e)
	c.dst.o.Stats.Copied.Add(1)
	c.dst.used(ActWrite, out)
	return out, true, nil
}

// byClient streams the object. A small one is opened first, since its reply carries the attributes; a large one goes up
// in parts, each from a range of its own.
func (c *copier) byClient(ctx context.Context, call Call, e Entry, po PutOptions) (Entry, int64, error) {
	call.Op = "put"
	_, parts := c.dst.d.(Multiparter)
	parts = parts && c.dst.caps.Part.Count > 0
	fill := !parts && c.fills(e)
	if (parts || fill) && e.Size > c.dst.tune.from {
		full, err := c.src.Stat(ctx, e.Key, c.src.pinned(e))
		if err != nil {
			return Entry{}, 0, err
		}
		if compare(e, full) == other {
			return Entry{}, 0, c.src.wrap(ctx, Call{Op: "get", Key: e.Key}, errChanged())
		}
		if fill && fillable(full) {
			return c.sendRanges(ctx, call, full, po)
		}
		return c.send(ctx, call, full, RangeBody(c.src, full), po)
	}
	r, err := c.src.openPinned(ctx, e, nil)
	if err != nil {
		return Entry{}, 0, err
	}
	full := r.Entry()
	if full.Attrs == nil && c.src.caps.Metadata && c.dst.caps.Metadata {
		st, err := c.src.Stat(ctx, e.Key, c.src.pinned(full))
		if err != nil {
			_ = r.Close()
			return Entry{}, 0, err
		}
		full.Attrs = st.Attrs
	}
	body := newOnceBody(RangeBody(c.src, full), r)
	defer body.Close()
	return c.send(ctx, call, full, body, po)
}

func (c *copier) send(ctx context.Context, call Call, e Entry, b Body, po PutOptions) (Entry, int64, error) {
	keepAttrs(e, &po)
	out, client, err := c.upload(ctx, call, e, b, po)
	if err != nil {
		return Entry{}, 0, err
	}
	if err := sameContent(e, out); err != nil {
		return Entry{}, 0, c.dst.wrap(ctx, call, err)
	}
	return out, client, nil
}

// keepAttrs makes the attributes of the source those of the target.
func keepAttrs(e Entry, po *PutOptions) {
	if e.Attrs != nil {
		po.Attrs = *e.Attrs
	}
	if po.Attrs.Modified.IsZero() {
		po.Attrs.Modified = e.Modified
	}
}

// pinned returns the condition that holds while an object is in the state that e describes.
func (s *Store) pinned(e Entry) Cond {
	if !s.caps.Pin {
		return Cond{}
	}
	return Cond{IfMatch: e.ETag, Version: e.Version}
}

// sameContent checks what the target reports of a copy against the source.
func sameContent(src, dst Entry) error {
	if src.Size >= 0 && dst.Size >= 0 && src.Size != dst.Size {
		return fault.New(fault.DataLoss, "the copy has %d bytes, the source %d", dst.Size, src.Size)
	}
	if equal, known := equalSums(src.Sums, dst.Sums); known && !equal {
		return fault.New(fault.DataLoss, "the copy has another checksum than the source")
	}
	return nil
}

// changed reports whether the source differs from the target, by size, then checksum or ETag where they can be
// compared, then time. What cannot be told counts as changed.
func (c *copier) changed(src, dst Entry) bool {
	if src.Size != dst.Size || src.Size < 0 {
		return true
	}
	if equal, known := equalSums(src.Sums, dst.Sums); known {
		return !equal
	}
	if c.src.kind == c.dst.kind && contentETag(src.ETag) && contentETag(dst.ETag) {
		return src.ETag != dst.ETag
	}
	was, is := dst.Modified, src.Modified
	if dst.Attrs != nil && !dst.Attrs.Modified.IsZero() {
		was = dst.Attrs.Modified
	}
	if src.Attrs != nil && !src.Attrs.Modified.IsZero() {
		is = src.Attrs.Modified
	}
	switch {
	case was.IsZero() || is.IsZero():
		return true
	case sameTime(was, is):
		return false
	case c.dst.caps.Modified && !c.dst.caps.Metadata:
		return true // a file system shows the source's own time: another one is another state
	}
	// Elsewhere a listing shows when the target was written: a source that has not been touched since is what was copied.
	return was.Before(is)
}

// contentETag reports whether an ETag is the MD5 of the bytes, as those of S3 and its kin are: only such mean the same
// in two stores.
func contentETag(etag string) bool {
	etag = strings.Trim(etag, `"`)
	if len(etag) != 32 {
		return false
	}
	for i := range len(etag) {
		if !strings.ContainsRune("0123456789abcdef", rune(etag[i]|0x20)) {
			return false
		}
	}
	return true
}
