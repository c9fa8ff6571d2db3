package store

import (
	"bytes"
	"context"
	"io"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// writable is begin for what changes the store.
func (o *OverlayDriver) writable(ctx context.Context, key string) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	caps := o.base.Caps()
	if caps.ReadOnly {
		return overlayErr(fault.PermissionDenied, key, "the store cannot be written to")
	}
	if caps.MaxKey <= 0 {
		caps.MaxKey = defaultMaxKey
	}
	if key == "" || len(key) > caps.MaxKey {
		return fault.New(fault.InvalidArgument, "the key is %d bytes long, 1 to %d are allowed", len(key), caps.MaxKey)
	}
	return nil
}

// Put implements Driver: it keeps the body.
func (o *OverlayDriver) Put(ctx context.Context, key string, body Body, p PutOptions) (Entry, error) {
	if err := o.writable(ctx, key); err != nil {
		return Entry{}, err
	}
	data, err := o.keep(ctx, body)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Size: int64(len(data))}
	op := func(exists bool) Change {
		if exists {
			return Change{Op: "overwrite", Bytes: e.Size}
		}
		return Change{Op: "create", Bytes: e.Size}
	}
	return o.put(ctx, key, p, &overlayNode{entry: e, data: data}, op)
}

// keep reads a body within the bound.
func (o *OverlayDriver) keep(ctx context.Context, body Body) ([]byte, error) {
	rc, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	limit := o.MaxBytes
	if limit <= 0 {
		limit = OverlayBytes
	}
	o.mu.Lock()
	left := limit - o.held
	o.mu.Unlock()
	var b bytes.Buffer
	piece := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := rc.Read(piece)
		if int64(b.Len()+n) > left {
			return nil, fault.Hinted(fault.Limit, "Try it on fewer or smaller objects, or run it for real.",
				"a dry run keeps at most %d bytes of what is written", limit)
		}
		b.Write(piece[:n])
		size, have := body.Size(), int64(b.Len())
		switch {
		case size >= 0 && (have > size || err == io.EOF && have < size):
			return nil, fault.New(fault.DataLoss, "the source gave %d bytes of the %d it declared", have, size)
		case err == io.EOF:
			return b.Bytes(), nil
		case err != nil:
			return nil, err
		}
	}
}

// put lays a node over a key under the conditions of p.
func (o *OverlayDriver) put(ctx context.Context, key string, p PutOptions, n *overlayNode, step func(exists bool) Change) (Entry, error) {
	for {
		old, known := o.node(key)
		var was Entry
		exists := known && !old.gone
		if exists {
			was = old.entry
		}
		if known {
			n.base = old.base
		} else {
			e, err := o.base.Stat(ctx, key, Cond{})
			if err != nil && o.base.Classify(err).Code != fault.NotFound {
				return Entry{}, err
			}
			was, exists, n.base = e, err == nil, nil
			if exists {
				n.base = &e
			}
		}
		switch {
		case p.IfAbsent && exists:
			return Entry{}, overlayErr(fault.AlreadyExists, key, "the object exists")
		case p.IfMatch != "" && (!exists || was.ETag != p.IfMatch):
			return Entry{}, overlayErr(fault.FailedPrecondition, key, "the object is in another state")
		}
		o.mu.Lock()
		if now := o.nodes[key]; now != old {
			o.mu.Unlock()
			continue // another write came between
		}
		o.seq++
		attrs := p.Attrs
		attrs.User = maps.Clone(p.Attrs.User)
		n.entry.Key = key
		n.entry.ETag = "dry-run-" + strconv.Itoa(o.seq)
		n.entry.Modified = time.Now()
		if !attrs.Modified.IsZero() && o.base.Caps().Modified {
			n.entry.Modified = attrs.Modified
		}
		n.entry.Attrs = &attrs
		c := step(exists)
		c.Key = key
		o.plan = append(o.plan, c)
		o.lay(key, n)
		o.mu.Unlock()
		return n.entry, nil
	}
}

// lay puts a node in place; the lock is held.
func (o *OverlayDriver) lay(key string, n *overlayNode) {
	if old, ok := o.nodes[key]; ok {
		o.held -= int64(len(old.data))
	} else if len(o.keys) > 0 && key > o.keys[len(o.keys)-1] {
		o.keys = append(o.keys, key)
	} else {
		o.keys = nil
	}
	n.seq = overlaySeq.Add(1)
	o.held += int64(len(n.data))
	o.nodes[key] = n
}

// overlaySeq orders the changes of all overlays.
var overlaySeq atomic.Int64

// Delete implements Driver.
func (o *OverlayDriver) Delete(ctx context.Context, key string, c Cond) error {
	if err := o.writable(ctx, key); err != nil {
		return err
	}
	e, err := o.Stat(ctx, key, Cond{})
	if err != nil {
		if o.Classify(err).Code != fault.NotFound {
			return err
		}
		if c == (Cond{}) {
			return nil
		}
	}
	if err != nil || c.IfMatch != "" && c.IfMatch != e.ETag || c.Version != "" && c.Version != e.Version {
		return overlayErr(fault.FailedPrecondition, key, "the object is in another state")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.plan = append(o.plan, Change{Op: "delete", Key: key, Bytes: 0})
	gone := &overlayNode{gone: true, base: &e}
	if old, ok := o.nodes[key]; ok {
		gone.base = old.base
	}
	o.lay(key, gone)
	return nil
}

// CopyFrom implements Copier for any source: the copy is noted, and its bytes are read from the source only when they
// are asked for.
func (o *OverlayDriver) CopyFrom(ctx context.Context, src Driver, srcKey, dstKey string, c CopyOptions) (Entry, error) {
	if err := o.writable(ctx, dstKey); err != nil {
		return Entry{}, err
	}
	e, err := src.Stat(ctx, srcKey, Cond{IfMatch: c.SrcIfMatch, Version: c.SrcVersion})
	if err != nil {
		return Entry{}, fromSource(src, err)
	}
	n := &overlayNode{entry: Entry{Size: e.Size, Sums: e.Sums}, from: &overlaySource{d: src, key: srcKey, o: GetOptions{IfMatch: c.SrcIfMatch, Version: c.SrcVersion}, entry: e}}
	if sub, ok := src.(*OverlayDriver); ok { // a later write to the source must not show in the copy
		if sn, known := sub.node(srcKey); known {
			n.data, n.from = sn.data, sn.from
		}
	}
	p := c.Put
	if c.KeepAttrs {
		p.Attrs = Attributes{}
		if e.Attrs != nil {
			p.Attrs = *e.Attrs
		}
		if p.Attrs.Modified.IsZero() {
			p.Attrs.Modified = e.Modified
		}
	}
	from := srcKey
	if l, ok := src.(Locator); ok && l.URI(srcKey) != "" {
		from = l.URI(srcKey)
	}
	return o.put(ctx, dstKey, p, n, func(exists bool) Change {
		return Change{Op: "copy", Bytes: e.Size, From: from, Replaces: exists}
	})
}
