// Package memory keeps objects in this process. It is the reference for what a store driver does: every ability of the
// contract is there, so that tests and dry runs of scripts meet no special case.
package memory

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxKey  = 1024 // bytes, as in the object stores that it stands for
	maxPart = 10_000
	maxPage = 1000
)

// Options are the attributes of `datastore "memory"`.
type Options struct {
	Fixtures string // folder of the initial objects
	MaxSize  int64  // bytes of all objects and parts together
}

// Fields declares the attributes.
func (o *Options) Fields(f *schema.Fields) {
	o.MaxSize = 1 << 30
	f.Path(&o.Fixtures, "fixtures", "Folder whose files are the objects that the store begins with; it is only read.").Eg(`"testdata/objects"`)
	f.Size(&o.MaxSize, "max_size", "Most bytes that all objects may hold together.").Default(`"1GiB"`).Validate(func() error {
		if o.MaxSize <= 0 {
			return fmt.Errorf("max_size must be more than 0 bytes, such as \"1GiB\"")
		}
		return nil
	})
}

// Provider declares `datastore "memory"`.
func Provider() provider.Provider {
	return provider.Store("memory", "Objects in the memory of this process, gone when it ends.", open)
}

func open(ctx context.Context, env provider.Env, o *Options) (store.Driver, error) {
	d := New(env.Name, o.MaxSize, env.Clock)
	if o.Fixtures != "" {
		if err := d.load(ctx, o.Fixtures); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Driver is a handle on objects in memory. It implements every optional interface of a store but Signer and DirLister.
type Driver struct {
	name   string
	clock  clock.Clock
	closed atomic.Bool
	*data
}

// data is what handles share.
type data struct {
	mu      sync.RWMutex
	objects ordered
	uploads map[string]*pending
	version int64 // of the last change
	space   space
}

// object is immutable once it is in the map.
type object struct {
	key   string
	blob  *blob
	entry store.Entry // with Attrs and Sums
}

// New returns a driver of its own empty store. Name stands in URIs; maxSize bounds the bytes of all objects and parts; a
// nil clock is the real one.
func New(name string, maxSize int64, c clock.Clock) *Driver {
	if c == nil {
		c = clock.Real
	}
	return &Driver{name: name, clock: c, data: &data{uploads: map[string]*pending{}, space: space{max: maxSize}}}
}

// Handle returns another driver on the same objects; each is closed for itself.
func (d *Driver) Handle() *Driver { return &Driver{name: d.name, clock: d.clock, data: d.data} }

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{
		Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: 1, Max: d.space.max, Count: maxPart},
		MaxKey: maxKey, MaxSize: d.space.max, Sums: []string{"crc32c", "sha256"},
	}
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	x, err := d.find(ctx, key, c)
	if err != nil {
		return store.Entry{}, err
	}
	return x.whole(), nil
}

// Get implements store.Driver. The body is the object as it stands now, whatever happens to it afterwards.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	x, err := d.find(ctx, key, store.Cond{IfMatch: o.IfMatch, Version: o.Version})
	if err != nil {
		return store.Object{}, err
	}
	r, err := within(o.Range, x.entry.Size)
	if err != nil {
		return store.Object{}, err
	}
	body := &blobReader{ctx: ctx, b: x.blob.slice(r.Off, r.Len)}
	return store.Object{Body: body, Entry: x.whole(), Range: r, Total: x.entry.Size}, nil
}

// within resolves a range against the size of an object. A range may begin at its end, where it is empty, not beyond.
func within(r *store.Range, size int64) (store.Range, error) {
	switch {
	case r == nil:
		return store.Range{Off: 0, Len: size}, nil
	case r.Off < 0:
		n := min(-r.Off, size)
		if r.Off == -r.Off { // the least int64 has no negative
			n = size
		}
		return store.Range{Off: size - n, Len: n}, nil
	case r.Len < -1:
		return store.Range{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
	case r.Off > size:
		return store.Range{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the object", r.Off, size)
	case r.Len == -1:
		return store.Range{Off: r.Off, Len: size - r.Off}, nil
	}
	return store.Range{Off: r.Off, Len: min(r.Len, size-r.Off)}, nil
}

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.ready(ctx, key); err != nil {
		return store.Entry{}, err
	}
	d.mu.RLock()
	err := allows(d.objects.get(key), o)
	d.mu.RUnlock()
	if err != nil { // before any byte is read; insert asks again
		return store.Entry{}, err
	}
	b, err := d.space.readBody(ctx, body)
	if err != nil {
		return store.Entry{}, err
	}
	return d.insert(key, b, o)
}

// insert makes b the content of key when o allows it, and gives b's room back when not.
func (d *Driver) insert(key string, b *blob, o store.PutOptions) (store.Entry, error) {
	sums, etag := b.sums()
	attrs := copyAttrs(o.Attrs)
	x := &object{key: key, blob: b, entry: store.Entry{Key: key, Size: b.size(), Modified: d.clock.Now().UTC(), ETag: etag, Attrs: &attrs, Sums: sums}}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := allows(d.objects.get(key), o); err != nil {
		d.space.give(b.size())
		return store.Entry{}, err
	}
	d.version++
	x.entry.Version = fmt.Sprint(d.version)
	if old := d.objects.put(x); old != nil {
		d.space.give(old.entry.Size)
	}
	return x.whole(), nil
}

// allows reports whether the conditions of a put hold for the object as it stands, which may be nil.
func allows(x *object, o store.PutOptions) error {
	switch {
	case o.IfAbsent && x != nil:
		return fault.New(fault.AlreadyExists, "the object exists")
	case o.IfMatch != "" && (x == nil || x.entry.ETag != o.IfMatch):
		return errChanged
	}
	return nil
}

var errChanged = fault.New(fault.FailedPrecondition, "the object is not the one that the condition names")

// Delete implements store.Driver.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.ready(ctx, key); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.objects.get(key)
	if !holds(c, x) {
		return errChanged
	}
	if x != nil {
		d.objects.delete(key)
		d.space.give(x.entry.Size)
	}
	return nil
}

// Classify implements store.Driver. Errors of this package carry their class.
func (d *Driver) Classify(err error) fault.Class { return fault.ClassOf(err) }

// Close implements store.Driver. The objects are freed with the last handle.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// Check implements store.Checker.
func (d *Driver) Check(ctx context.Context) error { return d.usable(ctx) }

// URI implements store.Locator.
func (d *Driver) URI(key string) string { return "memory://" + d.name + "/" + key }

func (d *Driver) usable(ctx context.Context) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	return context.Cause(ctx)
}

// ready reports whether a call on key can go ahead.
func (d *Driver) ready(ctx context.Context, key string) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "an empty key")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "a key of %d bytes: the most is %d", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "a key that is not UTF-8")
	}
	return nil
}

func (d *Driver) find(ctx context.Context, key string, c store.Cond) (*object, error) {
	if err := d.ready(ctx, key); err != nil {
		return nil, err
	}
	d.mu.RLock()
	x := d.objects.get(key)
	d.mu.RUnlock()
	switch {
	case x == nil:
		return nil, fault.New(fault.NotFound, "no such object")
	case !holds(c, x):
		return nil, errChanged
	}
	return x, nil
}

// holds reports whether a condition is true of the object, which may be nil. Only the current version is kept.
func holds(c store.Cond, x *object) bool {
	if c == (store.Cond{}) {
		return true
	}
	return x != nil && (c.IfMatch == "" || c.IfMatch == x.entry.ETag) && (c.Version == "" || c.Version == x.entry.Version)
}

// whole returns the entry with attributes that the caller may change.
func (x *object) whole() store.Entry {
	e := x.entry
	attrs := copyAttrs(*e.Attrs)
	e.Attrs = &attrs
	return e
}

func copyAttrs(a store.Attributes) store.Attributes {
	user := make(map[string]string, len(a.User))
	for k, v := range a.User {
		user[strings.ToLower(k)] = v // header names have no case on any wire
	}
	a.User = user
	return a
}

// space counts the bytes held.
type space struct {
	max  int64
	used atomic.Int64
}

func (s *space) fits(n int64) bool { return n <= s.max-s.used.Load() }

// take reserves n bytes.
func (s *space) take(n int64) bool {
	if s.used.Add(n) > s.max {
		s.used.Add(-n)
		return false
	}
	return true
}

func (s *space) give(n int64) { s.used.Add(-n) }

func (s *space) full() error {
	e := fault.Hinted(fault.ResourceExhausted, "Raise max_size of the datastore, or delete objects.", "the store's %d bytes are used up", s.max)
	e.Class.NoRetry = true
	return e
}
