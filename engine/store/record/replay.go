package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Replay is a recording that answers.
type Replay struct {
	root   *os.Root
	stores []string
}

// Open opens a recording. It owns root.
func Open(root *os.Root) (*Replay, error) {
	var x index
	b, err := root.ReadFile(indexName)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Hinted(fault.InvalidArgument, "Make one: dsrun run SCRIPT --record DIR.", "the folder holds no recording")
	}
	if err == nil {
		if jerr := json.Unmarshal(b, &x); jerr != nil || x.Version == 0 {
			err = fault.New(fault.InvalidArgument, "%s is no recording", indexName)
		} else if x.Version != version {
			err = fault.Hinted(fault.InvalidArgument, "Record the run anew.", "the recording is of version %d, this program reads version %d", x.Version, version)
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Replay{root, x.Stores}, nil
}

// Close frees the folder.
func (r *Replay) Close() error { return r.root.Close() }

// Driver returns a driver that answers for a datastore. Nothing can be changed through it: an overlay takes changes.
func (r *Replay) Driver(name string) (store.Driver, error) {
	if !slices.Contains(r.stores, name) {
		return &player{name: name, root: r.root, k: file{}.known()}, nil // any call says that it was not recorded
	}
	b, err := r.root.ReadFile(name + ".json")
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fault.New(fault.DataLoss, "the recording of datastore %q cannot be read: %w", name, err)
	}
	p := &player{name: name, root: r.root, k: f.known()}
	p.keys = sortedKeys(p.k.objects)
	return p, nil
}

// player answers with what was recorded of one datastore.
type player struct {
	name string
	root *os.Root
	k    *known
	keys []string // of the objects, sorted
}

// Caps returns the recorded facts. Listings are in key order, whatever the datastore's own order is.
func (p *player) Caps() store.Caps {
	c := p.k.caps
	c.Order, c.Part = store.OrderByKey, store.PartLimits{}
	return c
}

// missing is the error of a call that was not recorded.
func (p *player) missing(format string, args ...any) error {
	e := fault.Hinted(fault.Unimplemented, "Record the run again: dsrun run SCRIPT --record DIR.", "not recorded: "+format, args...)
	return e
}

// failure returns the recorded failure of a call.
func (p *player) failure(call string) error {
	if f, ok := p.k.failed[call]; ok {
		e := fault.New(f.Code, "%s (as recorded)", f.Message)
		e.Class.NoRetry = true
		return e
	}
	return nil
}

// find returns what is known of a key.
func (p *player) find(call, key, ifMatch, version string) (*object, error) {
	o, ok := p.k.objects[key]
	if !ok {
		if p.k.absent[key] || p.gone(key) {
			return nil, fault.New(fault.NotFound, "no such object")
		}
		if err := p.failure(call + " " + key); err != nil {
			return nil, err
		}
		return nil, p.missing("%s of %q in datastore %q", call, fault.Printable(key), p.name)
	}
	if ifMatch != "" && ifMatch != o.ETag || version != "" && version != o.Version {
		return nil, fault.New(fault.FailedPrecondition, "the object is in another state")
	}
	return o, nil
}

// gone reports whether a listing shows that there is no such key.
func (p *player) gone(key string) bool {
	if _, ok := p.k.listed.covered(key); ok {
		return true
	}
	dir := key[:strings.LastIndexByte(key, '/')+1]
	if l := p.k.levels[dir]; l != nil {
		_, ok := l.Listed.covered(key)
		return ok
	}
	return false
}

// Stat implements store.Driver.
func (p *player) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	o, err := p.find("stat", key, c.IfMatch, c.Version)
	if err != nil {
		return store.Entry{}, err
	}
	return o.entry(), ctx.Err()
}

// Get implements store.Driver.
func (p *player) Get(ctx context.Context, key string, g store.GetOptions) (store.Object, error) {
	o, err := p.find("get", key, g.IfMatch, g.Version)
	if err != nil {
		return store.Object{}, err
	}
	if o.Size < 0 {
		return store.Object{}, p.missing("the content of %q in datastore %q", fault.Printable(key), p.name)
	}
	r := store.Range{Off: 0, Len: o.Size}
	if g.Range != nil {
		if r.Off = g.Range.Off; r.Off < 0 {
			r.Off = max(0, o.Size+r.Off)
		}
		if r.Off > o.Size {
			return store.Object{}, fault.New(fault.InvalidArgument, "a range from byte %d of %d", r.Off, o.Size)
		}
		r.Len = o.Size - r.Off
		if g.Range.Off >= 0 && g.Range.Len >= 0 {
			r.Len = min(r.Len, g.Range.Len)
		}
	}
	if o.Withheld {
		return store.Object{}, p.missing("the content of %q in datastore %q, since it holds a secret", fault.Printable(key), p.name)
	}
	to, ok := o.Ranges.covered(number(r.Off))
	if r.Len > 0 && (!ok || to < number(r.Off+r.Len)) {
		if err := p.failure("get " + key); err != nil && len(o.Ranges) == 0 {
			return store.Object{}, err
		}
		return store.Object{}, p.missing("bytes %d to %d of %q in datastore %q", r.Off, r.Off+r.Len-1, fault.Printable(key), p.name)
	}
	obj := store.Object{Entry: o.entry(), Range: r, Total: o.Size, Body: io.NopCloser(strings.NewReader(""))}
	if r.Len == 0 {
		return obj, nil
	}
	f, err := p.root.Open(p.name + "/" + contentName(key))
	if err != nil {
		return store.Object{}, err
	}
	if st, err := f.Stat(); err != nil || st.Size() < r.Off+r.Len {
		_ = f.Close()
		return store.Object{}, errors.Join(fault.New(fault.DataLoss, "the recorded content of %q is cut short", fault.Printable(key)), err)
	}
	obj.Body = &section{io.NewSectionReader(f, r.Off, r.Len), f, ctx}
	return obj, nil
}

type section struct {
	io.Reader
	io.Closer
	ctx context.Context
}

func (s *section) Read(b []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	return s.Reader.Read(b)
}

// defaultPage is the size of a page where a query does not say.
const defaultPage = 1000

// List implements store.Driver. The token is the first key of the next page.
func (p *player) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Page{}, err
	}
	from, to := bounds(q)
	if q.Token != "" {
		from = q.Token
	}
	n := q.Max
	if n <= 0 {
		n = defaultPage
	}
	var page store.Page
	var folders []string
	var lv *level
	if q.Delimiter != "" {
		if lv = p.k.levels[q.Prefix]; lv != nil {
			folders = lv.Folders
		}
	}
	i, _ := slices.BinarySearch(p.keys, from)
	if f := inside(from, q.Prefix); f != "" && q.Delimiter != "" { // a folder that begins before and may go on after
		if i < len(p.keys) && strings.HasPrefix(p.keys[i], f) || lv != nil && from <= lv.Beyond[f] {
			page.Prefixes = append(page.Prefixes, f)
		} else if err := p.covers(q, nil, from, endOf(f)); err != nil {
			return store.Page{}, err
		}
		if from = endOf(f); from == "" {
			return page, nil
		}
		i, _ = slices.BinarySearch(p.keys, from)
	}
	j, _ := slices.BinarySearch(folders, from)
	at := from // up to here the page tells all
	for len(page.Entries)+len(page.Prefixes) < n {
		key, folder := "", ""
		if i < len(p.keys) {
			key = p.keys[i]
		}
		if q.Delimiter != "" && key != "" && strings.HasPrefix(key, q.Prefix) {
			folder = rolled(key, q.Prefix)
		}
		if j < len(folders) && (key == "" || folders[j] <= key) {
			folder, key = folders[j], folders[j]
		}
		if key == "" || to != "" && key >= to || !strings.HasPrefix(key, q.Prefix) {
			return page, p.covers(q, lv, at, to)
		}
		next := key + "\x00"
		if folder != "" {
			next = endOf(folder)
		}
		if err := p.covers(q, lv, at, min(key, next)); err != nil {
			return store.Page{}, err
		}
		if folder != "" {
			page.Prefixes = append(page.Prefixes, folder)
			for j < len(folders) && folders[j] <= folder {
				j++
			}
			for i < len(p.keys) && strings.HasPrefix(p.keys[i], folder) {
				i++
			}
		} else {
			page.Entries = append(page.Entries, listedEntry(p.k.objects[key]))
			i++
		}
		at = next
		if at == "" {
			return page, nil
		}
	}
	if to == "" || at < to {
		page.Next = at
	}
	return page, nil
}

// listedEntry is an object as listings show it.
func listedEntry(o *object) store.Entry {
	e := o.entry()
	e.Attrs = nil
	return e
}

// covers fails unless the recording tells of every key in [from, to).
func (p *player) covers(q store.Query, lv *level, from, to string) error {
	for to == "" || from < to {
		end, ok := p.k.listed.covered(from)
		if !ok && lv != nil {
			end, ok = lv.Listed.covered(from)
		}
		if !ok {
			if err := p.failure(listCall(q)); err != nil {
				return err
			}
			what := fmt.Sprintf("the listing of %q", fault.Printable(q.Prefix))
			if from > q.Prefix {
				what += fmt.Sprintf(" from %q on", fault.Printable(from))
			}
			return p.missing("%s in datastore %q", what, p.name)
		}
		if end == "" {
			return nil
		}
		from = end
	}
	return nil
}

func (p *player) readOnly() error {
	return fault.New(fault.PermissionDenied, "a recording cannot be changed")
}

// Put implements store.Driver.
func (p *player) Put(context.Context, string, store.Body, store.PutOptions) (store.Entry, error) {
	return store.Entry{}, p.readOnly()
}

// Delete implements store.Driver.
func (p *player) Delete(context.Context, string, store.Cond) error { return p.readOnly() }

// Classify implements store.Driver.
func (p *player) Classify(err error) fault.Class { return fault.ClassOf(err) }

// Close implements store.Driver.
func (p *player) Close() error { return nil }

// URI implements store.Locator.
func (p *player) URI(key string) string {
	if p.k.uri == "" {
		return ""
	}
	return p.k.uri + key
}

// Check implements store.Checker.
func (p *player) Check(ctx context.Context) error { return context.Cause(ctx) }
