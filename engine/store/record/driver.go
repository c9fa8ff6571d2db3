package record

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Driver passes calls on and records what is answered. It has the optional interfaces through which a run changes or
// addresses objects; those that only make reading faster it lacks, so that every byte passes through Get.
type Driver struct {
	store.Driver
	name string
	rec  *Recording

	mu      sync.Mutex
	known   *known
	written map[string]bool   // what the run itself has changed is no answer any more
	chains  map[string]string // by token: where the page that it names begins
}

var (
	_ store.Copier       = (*Driver)(nil)
	_ store.Multiparter  = (*Driver)(nil)
	_ store.BatchDeleter = (*Driver)(nil)
	_ store.Signer       = (*Driver)(nil)
	_ store.Locator      = (*Driver)(nil)
	_ store.Checker      = (*Driver)(nil)
)

// Caps returns the facts of the base.
func (d *Driver) Caps() store.Caps {
	c := d.Driver.Caps()
	if _, ok := d.Driver.(store.Multiparter); !ok {
		c.Part = store.PartLimits{}
	}
	return c
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	e, err := d.Driver.Stat(ctx, key, c)
	d.answer("stat "+key, key, e, err)
	return e, err
}

// answer notes what a call said of a key.
func (d *Driver) answer(call, key string, e store.Entry, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.written[key] {
		return
	}
	if err == nil {
		e.Key = key
		d.see(e)
		return
	}
	class := d.Driver.Classify(err)
	switch class.Code {
	case fault.NotFound:
		if _, ok := d.known.objects[key]; !ok {
			d.known.absent[key] = true
		}
	case fault.Cancelled, fault.FailedPrecondition:
	default:
		d.fail(call, class.Code, err)
	}
}

func (d *Driver) see(e store.Entry) {
	if len(d.known.objects) >= maxObjects {
		d.rec.full.Store(true)
		return
	}
	d.known.see(e)
}

func (d *Driver) fail(call string, code fault.Code, err error) {
	if _, ok := d.known.failed[call]; !ok {
		d.known.failed[call] = failure{call, code, err.Error()}
	}
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	obj, err := d.Driver.Get(ctx, key, o)
	e := obj.Entry
	if e.Size < 0 || obj.Total >= 0 {
		e.Size = obj.Total
	}
	d.answer("get "+key, key, e, err)
	if err != nil {
		return obj, err
	}
	d.mu.Lock()
	known := d.known.objects[key]
	record := !d.written[key] && known != nil && known.is(e)
	d.mu.Unlock()
	if record {
		obj.Body = &body{ReadCloser: obj.Body, d: d, o: known, at: obj.Range.Off, from: obj.Range.Off, whole: o.Range == nil}
	}
	return obj, nil
}

// body writes what is read of an object to the recording.
type body struct {
	io.ReadCloser
	d        *Driver
	o        *object
	from, at int64
	whole    bool
	f        *os.File
	broken   bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.broken {
		b.broken = !b.keep(p[:n])
	}
	if err == io.EOF && b.whole && !b.broken {
		b.d.mu.Lock()
		if b.o.Size < 0 {
			b.o.Size = b.at
		}
		b.d.mu.Unlock()
	}
	return n, err
}

func (b *body) keep(p []byte) bool {
	if !b.d.rec.take(len(p)) {
		return false
	}
	if b.f == nil {
		root := b.d.rec.root
		if err := root.MkdirAll(b.d.name, 0o700); err != nil {
			return b.lost()
		}
		f, err := root.OpenFile(b.d.name+"/"+contentName(b.o.Key), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return b.lost()
		}
		b.f = f
	}
	if _, err := b.f.WriteAt(p, b.at); err != nil {
		return b.lost()
	}
	b.at += int64(len(p))
	return true
}

// lost gives the recording up: what it would tell is not all.
func (b *body) lost() bool {
	b.d.rec.full.Store(true)
	return false
}

func (b *body) Close() error {
	if b.f != nil {
		if err := b.f.Close(); err != nil {
			b.lost()
		}
		b.f = nil
	}
	if b.at > b.from || b.whole {
		b.d.mu.Lock()
		b.o.Ranges.add(number(b.from), number(b.at))
		b.from = b.at
		b.d.mu.Unlock()
	}
	return b.ReadCloser.Close()
}

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	d.mu.Lock()
	from, to := bounds(q)
	begun := true // all pages before this one were seen
	if q.Token != "" {
		from, begun = d.chains[chain(q)]
	}
	d.mu.Unlock()
	p, err := d.Driver.List(ctx, q)
	if err != nil {
		d.mu.Lock()
		if code := d.Driver.Classify(err).Code; code != fault.Cancelled {
			d.fail(listCall(q), code, err)
		}
		d.mu.Unlock()
		return p, err
	}
	folders, ferr := d.own(ctx, p.Prefixes)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range p.Entries {
		if !d.written[e.Key] {
			d.see(e)
		}
	}
	if !begun || p.Truncated || ferr != nil {
		return p, nil
	}
	if p.Next != "" {
		if d.Driver.Caps().Order == store.OrderByKey {
			to = after(p)
		}
		next := q
		next.Token = p.Next
		if to == "" || d.Driver.Caps().Order != store.OrderByKey {
			d.chains[chain(next)] = from
			d.folders(q, folders)
			return p, nil
		}
		d.chains[chain(next)] = to
	}
	if q.Delimiter == "" {
		d.known.listed.add(from, to)
		return p, nil
	}
	l := d.folders(q, folders)
	if f := inside(from, q.Prefix); f != "" {
		switch {
		case slices.Contains(folders, f):
			if l.Beyond == nil {
				l.Beyond = map[string]string{}
			}
			l.Beyond[f] = max(l.Beyond[f], from)
		case lessEnd(endOf(f), to):
			d.known.listed.add(from, endOf(f))
		default:
			d.known.listed.add(from, to)
		}
		if from = endOf(f); from == "" {
			return p, nil // nothing comes after the folder
		}
	}
	l.Listed.add(from, to)
	return p, nil
}

// folders notes folders of a level.
func (d *Driver) folders(q store.Query, list []string) *level {
	if q.Delimiter == "" {
		return nil
	}
	l := d.known.levels[q.Prefix]
	if l == nil {
		l = &level{Prefix: q.Prefix}
		d.known.levels[q.Prefix] = l
	}
	for _, f := range list {
		if i, ok := slices.BinarySearch(l.Folders, f); !ok {
			l.Folders = slices.Insert(l.Folders, i, f)
		}
	}
	return l
}

// chain names a page of a listing.
func chain(q store.Query) string {
	return strings.Join([]string{q.Prefix, q.Delimiter, q.After, q.Before, q.Token}, "\x00")
}

func listCall(q store.Query) string { return "list " + q.Prefix }

// after returns the first key that a page in key order does not tell of.
func after(p store.Page) string {
	to := ""
	for _, e := range p.Entries {
		to = max(to, e.Key+"\x00")
	}
	for _, f := range p.Prefixes {
		to = max(to, endOf(f))
	}
	return to
}

// own returns the folders that hold more than what the run itself has made.
func (d *Driver) own(ctx context.Context, folders []string) ([]string, error) {
	d.mu.Lock()
	made := maps.Clone(d.written)
	for key := range d.known.objects {
		delete(made, key) // it was there before
	}
	d.mu.Unlock()
	if len(made) == 0 {
		return folders, nil
	}
	var out []string
	for _, f := range folders {
		there := false
		for q := (store.Query{Prefix: f}); !there; {
			p, err := d.Driver.List(ctx, q)
			if err != nil {
				return nil, err
			}
			there = slices.ContainsFunc(p.Entries, func(e store.Entry) bool { return !made[e.Key] })
			if p.Next == "" {
				break
			}
			q.Token = p.Next
		}
		if there {
			out = append(out, f)
		}
	}
	return out, nil
}
