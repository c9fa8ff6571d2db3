package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

// memDriver is a store in memory whose every call can be made to fail.
type memDriver struct {
	caps Caps
	page int // entries of a page

	mu      sync.Mutex
	objects map[string]memObject
	seq     int
	now     time.Time

	// Faults, all optional. before is asked at the start of every call.
	before  func(op, key string, n int) error
	body    func(key string, off int64, r io.Reader) io.Reader
	served  func(o *Object)
	editing func(q Query, p *Page) error

	calls  sync.Map // op -> *atomic.Int64
	open   atomic.Int64
	closed atomic.Int64
}

type memObject struct {
	e    Entry
	data []byte
}

func newMem() *memDriver {
	return &memDriver{page: 1000, objects: map[string]memObject{}, now: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		caps: Caps{Order: OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true, Sums: []string{"crc32c"}}}
}

func (d *memDriver) count(op string) int64 {
	v, _ := d.calls.LoadOrStore(op, new(atomic.Int64))
	return v.(*atomic.Int64).Load()
}

func (d *memDriver) at(ctx context.Context, op, key string) error {
	v, _ := d.calls.LoadOrStore(op, new(atomic.Int64))
	n := v.(*atomic.Int64).Add(1)
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.before != nil {
		return d.before(op, key, int(n))
	}
	return nil
}

func (d *memDriver) set(key, data string) Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store(key, []byte(data), Attributes{})
}

func (d *memDriver) store(key string, data []byte, a Attributes) Entry {
	d.seq++
	d.now = d.now.Add(time.Second)
	e := Entry{Key: key, Size: int64(len(data)), Modified: d.now, ETag: "e" + strconv.Itoa(d.seq), Attrs: &a}
	if !a.Modified.IsZero() && d.caps.Modified {
		e.Modified = a.Modified
	}
	if slices.Contains(d.caps.Sums, "crc32c") {
		c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
		e.Sums = append(e.Sums, Sum{Algo: "crc32c", Value: []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)}})
	}
	if slices.Contains(d.caps.Sums, "md5") {
		m := md5.Sum(data)
		e.Sums = append(e.Sums, Sum{Algo: "md5", Value: m[:]})
	}
	d.objects[key] = memObject{e, data}
	return e
}

func (d *memDriver) keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.objects))
}

func (d *memDriver) get(key string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.objects[key]
	return string(o.data), ok
}

var (
	errNone    = errors.New("no such object")
	errCond    = errors.New("condition does not hold")
	errBusy    = errors.New("service busy")
	errReset   = errors.New("connection reset")
	errUnknown = errors.New("not possible here")
)

func (d *memDriver) Caps() Caps { return d.caps }

func (d *memDriver) Stat(ctx context.Context, key string, c Cond) (Entry, error) {
	if err := d.at(ctx, "stat", key); err != nil {
		return Entry{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(key, c.IfMatch)
}

func (d *memDriver) find(key, ifMatch string) (Entry, error) {
	o, ok := d.objects[key]
	switch {
	case !ok:
		return Entry{}, fmt.Errorf("%w: %s", errNone, key)
	case ifMatch != "" && ifMatch != o.e.ETag && d.caps.Pin:
		return Entry{}, errCond
	}
	return o.e, nil
}

func (d *memDriver) List(ctx context.Context, q Query) (Page, error) {
	if err := d.at(ctx, "list", q.Prefix); err != nil {
		return Page{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var p Page
	size := d.page
	if q.Max > 0 {
		size = min(size, q.Max)
	}
	rolled, last := "", strings.TrimPrefix(q.Token, "f")
	if len(last) < len(q.Token) { // f: a folder was last
		rolled = last
	} else {
		last = strings.TrimPrefix(last, "k")
	}
	for _, k := range slices.Sorted(maps.Keys(d.objects)) {
		if !strings.HasPrefix(k, q.Prefix) || k <= q.After || q.Before != "" && k >= q.Before || q.Token != "" && k <= last ||
			rolled != "" && strings.HasPrefix(k, rolled) {
			continue
		}
		if len(p.Entries)+len(p.Prefixes) == size {
			p.Truncated = true
			break
		}
		if i := strings.IndexByte(k[len(q.Prefix):], '/'); q.Delimiter != "" && i >= 0 {
			rolled = k[:len(q.Prefix)+i+1]
			p.Prefixes = append(p.Prefixes, rolled)
			p.Next = "f" + rolled
			continue
		}
		e := d.objects[k].e
		e.Attrs = nil
		p.Entries = append(p.Entries, e)
		p.Next = "k" + k
	}
	if !p.Truncated {
		p.Next = ""
	}
	if d.editing != nil {
		if err := d.editing(q, &p); err != nil {
			return Page{}, err
		}
	}
	return p, nil
}

func (d *memDriver) Get(ctx context.Context, key string, o GetOptions) (Object, error) {
	if err := d.at(ctx, "get", key); err != nil {
		return Object{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, err := d.find(key, o.IfMatch)
	if err != nil {
		return Object{}, err
	}
	data := d.objects[key].data
	r := Range{0, int64(len(data))}
	if o.Range != nil {
		if r.Off = o.Range.Off; r.Off < 0 {
			r.Off = max(0, int64(len(data))+r.Off)
		}
		if r.Off > int64(len(data)) {
			return Object{}, fault.New(fault.InvalidArgument, "range past the end")
		}
		r.Len = int64(len(data)) - r.Off
		if o.Range.Len >= 0 {
			r.Len = min(r.Len, o.Range.Len)
		}
	}
	var body io.Reader = bytes.NewReader(data[r.Off : r.Off+r.Len])
	if d.body != nil {
		body = d.body(key, r.Off, body)
	}
	d.open.Add(1)
	obj := Object{Body: &memBody{ctx: ctx, r: body, d: d}, Entry: e, Range: r, Total: int64(len(data))}
	if d.served != nil {
		d.served(&obj)
	}
	return obj, nil
}

type memBody struct {
	ctx  context.Context
	r    io.Reader
	d    *memDriver
	once sync.Once
}

func (b *memBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (b *memBody) Close() error {
	b.once.Do(func() { b.d.open.Add(-1) })
	return nil
}

func (d *memDriver) Put(ctx context.Context, key string, body Body, o PutOptions) (Entry, error) {
	if err := d.at(ctx, "put", key); err != nil {
		return Entry{}, err
	}
	data, err := readBody(ctx, body)
	if err != nil {
		return Entry{}, err
	}
	if err := d.at(ctx, "stored", key); err != nil { // a fault after the body was taken
		return Entry{}, err
	}
	return d.commit(key, data, o)
}

func readBody(ctx context.Context, body Body) ([]byte, error) {
	r, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	piece := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(piece)
		b.Write(piece[:n])
		if err == io.EOF || body.Size() >= 0 && int64(b.Len()) == body.Size() {
			return b.Bytes(), nil // as an HTTP client that sends Content-Length does: it does not look for more
		}
		if err != nil {
			return nil, err
		}
	}
}

func (d *memDriver) commit(key string, data []byte, o PutOptions) (Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.objects[key]
	if o.IfAbsent && ok || o.IfMatch != "" && (!ok || old.e.ETag != o.IfMatch) {
		return Entry{}, errCond
	}
	return d.store(key, data, o.Attrs), nil
}

func (d *memDriver) Delete(ctx context.Context, key string, c Cond) error {
	if err := d.at(ctx, "delete", key); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if o, ok := d.objects[key]; c.IfMatch != "" && (!ok || o.e.ETag != c.IfMatch) {
		return errCond
	}
	delete(d.objects, key)
	return nil
}

func (d *memDriver) Classify(err error) fault.Class {
	switch {
	case errors.Is(err, errNone):
		return fault.Class{Code: fault.NotFound}
	case errors.Is(err, errCond):
		return fault.Class{Code: fault.FailedPrecondition}
	case errors.Is(err, errBusy):
		return fault.Class{Code: fault.ResourceExhausted, RetryAfter: 2 * time.Second}
	case errors.Is(err, errReset):
		return fault.Class{Code: fault.Unavailable, MaybeApplied: true}
	case errors.Is(err, errUnknown):
		return fault.Class{Code: fault.Unimplemented}
	}
	return fault.ClassOf(err)
}

func (d *memDriver) Close() error {
	d.closed.Add(1)
	return nil
}

// small are sizes at which uploads go the ways of large ones quickly.
var small = tuning{head: 1 << 10, unknown: 8 << 10, known: 16 << 10, from: 16 << 10}

// newStore returns a store over d whose waits take no time.
func newStore(t testing.TB, d Driver, o Options) *Store {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	s := New("lake", "mem", d, o)
	s.tune = small
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func wantCode(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %q", err, code)
	}
}

// wantBytes compares without printing megabytes.
func wantBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		i := 0
		for i < len(got) && i < len(want) && got[i] == want[i] {
			i++
		}
		t.Fatalf("got %d bytes, want %d; they differ from byte %d", len(got), len(want), i)
	}
}

// pattern of n bytes that repeats nowhere near.
func testBytes(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
