package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/fault"
)

// OverlayBytes is the default bound of what an overlay keeps of written bodies.
const OverlayBytes = 256 << 20

// OverlayDriver is a dry run over another driver: nothing is changed there, but reads and listings show what would be.
// It implements Copier, Locator and Checker besides Driver, and none of the other optional interfaces, so that each
// change passes through it.
type OverlayDriver struct {
	base Driver
	// MaxBytes bounds the written bodies that are kept; 0 means OverlayBytes. Set it before the first use.
	MaxBytes int64

	mu    sync.Mutex
	nodes map[string]*overlayNode
	keys  []string // of nodes, sorted; nil when it must be made anew
	seq   int
	held  int64
	plan  []Change
	ended bool // closed
}

// begin refuses calls whose context has ended, and those after Close.
func (o *OverlayDriver) begin(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return errClosed
	}
	return nil
}

// overlayNode is what a dry run made of a key.
type overlayNode struct {
	gone  bool
	entry Entry
	data  []byte
	from  *overlaySource // of a copy, which is read only when it is asked for
	base  *Entry         // what the base holds; nil: nothing
	seq   int64          // of the last change, over all overlays of the process
}

type overlaySource struct {
	d     Driver
	key   string
	o     GetOptions
	entry Entry // as the source described it
}

// Change is one step of what would be done.
type Change struct {
	Op       string // "create", "overwrite", "delete" or "copy"
	Key      string // with the store's prefix, as the driver sees it
	Bytes    int64  // stored by the step; -1 unknown
	From     string // of a copy: the source's address, else its key
	Replaces bool   // of a copy: an object exists
}

// Overlay returns a dry run over base. Closing it closes base.
func Overlay(base Driver) *OverlayDriver {
	return &OverlayDriver{base: base, nodes: map[string]*overlayNode{}}
}

// Plan returns the steps so far, in the order they were made.
func (o *OverlayDriver) Plan() []Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.plan)
}

// Base returns the driver below.
func (o *OverlayDriver) Base() Driver { return o.base }

// Caps returns the facts of the base, without parts: bodies are kept whole. A base that does not list in key order is
// listed without a promise of order, since new keys come last.
func (o *OverlayDriver) Caps() Caps {
	c := o.base.Caps()
	c.Part = PartLimits{}
	if c.Order != OrderByKey {
		c.Order = OrderNone
	}
	return c
}

// overlayErr is an answer of the overlay itself.
func overlayErr(code fault.Code, key, text string) error {
	return fault.New(code, "%s: %q", text, fault.Printable(key))
}

// node returns what the dry run made of a key.
func (o *OverlayDriver) node(key string) (*overlayNode, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, ok := o.nodes[key]
	return n, ok
}

// Stat implements Driver.
func (o *OverlayDriver) Stat(ctx context.Context, key string, c Cond) (Entry, error) {
	if err := o.begin(ctx); err != nil {
		return Entry{}, err
	}
	n, ok := o.node(key)
	if !ok {
		return o.base.Stat(ctx, key, c)
	}
	if err := n.check(key, c.IfMatch, c.Version); err != nil {
		return Entry{}, err
	}
	return n.entry, nil
}

// check answers for a key that the overlay knows.
func (n *overlayNode) check(key, ifMatch, version string) error {
	switch {
	case n.gone:
		return overlayErr(fault.NotFound, key, "no such object")
	case ifMatch != "" && ifMatch != n.entry.ETag, version != "" && version != n.entry.Version:
		return overlayErr(fault.FailedPrecondition, key, "the object is in another state")
	}
	return nil
}

// Get implements Driver.
func (o *OverlayDriver) Get(ctx context.Context, key string, g GetOptions) (Object, error) {
	if err := o.begin(ctx); err != nil {
		return Object{}, err
	}
	n, ok := o.node(key)
	if !ok {
		return o.base.Get(ctx, key, g)
	}
	if err := n.check(key, g.IfMatch, g.Version); err != nil {
		return Object{}, err
	}
	if n.from != nil {
		src := n.from.o
		src.Range = g.Range
		obj, err := n.from.d.Get(ctx, n.from.key, src)
		if err != nil {
			return Object{}, fromSource(n.from.d, err)
		}
		size := obj.Entry.Size
		sums := obj.Entry.Sums
		obj.Entry = n.entry
		obj.Entry.Size, obj.Entry.Sums = size, sums
		obj.Body = &sourceBody{obj.Body, n.from.d}
		return obj, nil
	}
	size := int64(len(n.data))
	r := Range{0, size}
	if g.Range != nil {
		r.Off = g.Range.Off
		if r.Off < 0 {
			r.Off = max(0, size+r.Off)
		}
		if r.Off > size {
			return Object{}, overlayErr(fault.InvalidArgument, key, fmt.Sprintf("a range from byte %d of %d", r.Off, size))
		}
		r.Len = size - r.Off
		if g.Range.Off >= 0 && g.Range.Len >= 0 {
			r.Len = min(r.Len, g.Range.Len)
		}
	}
	return Object{Body: &heldBody{r: bytes.NewReader(n.data[r.Off : r.Off+r.Len]), ctx: ctx}, Entry: n.entry, Range: r, Total: size}, nil
}

// heldBody reads bytes in memory until it is closed or its context ends.
type heldBody struct {
	r      *bytes.Reader
	ctx    context.Context
	closed atomic.Bool
}

func (b *heldBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, fs.ErrClosed
	}
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (b *heldBody) Close() error { b.closed.Store(true); return nil }

// fromSource classifies an error of a copy's source, which the base does not know.
func fromSource(d Driver, err error) error {
	return &fault.Error{Class: d.Classify(err), Err: err}
}

type sourceBody struct {
	io.ReadCloser
	d Driver
}

func (b *sourceBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fromSource(b.d, err)
	}
	return n, err
}

// URI implements Locator with the base's address, or "" where it has none, which Store takes for none.
func (o *OverlayDriver) URI(key string) string {
	if l, ok := o.base.(Locator); ok {
		return l.URI(key)
	}
	return ""
}

// HoldsURI implements URIHolder with the base's word.
func (o *OverlayDriver) HoldsURI(ctx context.Context, uri string) error {
	if h, ok := o.base.(URIHolder); ok {
		return h.HoldsURI(ctx, uri)
	}
	return nil
}

// Check implements Checker.
func (o *OverlayDriver) Check(ctx context.Context) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	if c, ok := o.base.(Checker); ok {
		return c.Check(ctx)
	}
	_, err := o.base.List(ctx, Query{Max: 1})
	return err
}

// Classify implements Driver.
func (o *OverlayDriver) Classify(err error) fault.Class {
	var fe *fault.Error
	if errors.As(err, &fe) {
		return fe.Class
	}
	return o.base.Classify(err)
}

// Close implements Driver. What was written is dropped; Plan still answers.
func (o *OverlayDriver) Close() error {
	o.mu.Lock()
	o.ended = true
	o.nodes, o.keys, o.held = map[string]*overlayNode{}, nil, 0
	o.mu.Unlock()
	return o.base.Close()
}

// sorted returns the overlay's keys in order; the lock is held. The slice is only appended to afterwards.
func (o *OverlayDriver) sorted() []string {
	if o.keys == nil {
		o.keys = slices.Sorted(maps.Keys(o.nodes))
	}
	return o.keys
}

// within returns the entries and rolled-up prefixes that the overlay adds to a listing in (after, upto], in key order,
// at most n of them; upto "" means to the end.
func (o *OverlayDriver) within(q Query, after, upto string, n int) (entries []Entry, prefixes []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := o.sorted()
	start := max(q.Prefix, q.After, after)
	i, _ := slices.BinarySearch(keys, start)
	rolled := ""
	for ; i < len(keys) && len(entries)+len(prefixes) < n; i++ {
		k := keys[i]
		if !strings.HasPrefix(k, q.Prefix) || q.Before != "" && k >= q.Before || upto != "" && k > upto && !strings.HasPrefix(k, upto) {
			break
		}
		if k <= q.After || k <= after || o.nodes[k].gone {
			continue
		}
		if j := strings.Index(k[len(q.Prefix):], "/"); q.Delimiter != "" && j >= 0 {
			if p := k[:len(q.Prefix)+j+1]; p != rolled && p > after && (upto == "" || p <= upto) {
				rolled = p
				prefixes = append(prefixes, p)
			}
			continue
		}
		if upto != "" && k > upto {
			break
		}
		e := o.nodes[k].entry
		e.Attrs = nil
		entries = append(entries, e)
	}
	return entries, prefixes
}
