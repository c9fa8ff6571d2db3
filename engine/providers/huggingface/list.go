package huggingface

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	pageMax = 5000
	// flatPages is how many pages of a recursive listing are read of a folder. One that ends by then is sorted and given as
	// it is, with all that is below it; a larger one is read level by level, each folder in it in the same way. The hub
	// gives a thousand names a page, folders first, in no order that it promises.
	flatPages = 4
	// maxNames bounds the names of one folder; the hub allows ten thousand files.
	maxNames = 1 << 20
)

// pin is the commit at which the repository is read.
type pin struct {
	commit string
	date   time.Time
}

// pin returns the commit that the revision named when it was first asked for.
func (d *Driver) pin(ctx context.Context) (*pin, error) {
	d.mu.Lock()
	p := d.pinned
	d.mu.Unlock()
	if p != nil {
		if d.closed.Load() {
			return nil, fault.New(fault.FailedPrecondition, "the store is closed")
		}
		return p, context.Cause(ctx)
	}
	u := d.api("commits", strings.ReplaceAll(escape(d.o.Revision), "/", "%2F"))
	u.RawQuery = "limit=1"
	var list []struct {
		ID   string    `json:"id"`
		Date time.Time `json:"date"`
	}
	if _, err := d.json(ctx, u, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list[0].ID) != 40 || strings.Trim(list[0].ID, "0123456789abcdef") != "" {
		return nil, fault.New(fault.Unavailable, "the hub does not say which commit the revision %s is", d.o.Revision)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pinned == nil { // two first calls at once stand at one commit all the same
		d.pinned = &pin{commit: list[0].ID, date: list[0].Date.UTC()}
	}
	return d.pinned, nil
}

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if _, err := d.pin(ctx); err != nil {
		return store.Page{}, err
	}
	if q.Delimiter != "" {
		return d.level.List(ctx, q)
	}
	return d.flat.List(ctx, q)
}

// item is an entry of a tree.
type item struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size *int64 `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size *int64 `json:"size"`
	} `json:"lfs"`
}

// entry describes a file. The time of a file's own last commit would take twenty times the requests, so that it is that
// of the commit which is read: no file is younger.
func (p *pin) entry(x *item) (store.Entry, error) {
	e := store.Entry{Key: x.Path, Modified: p.date, ETag: x.OID}
	size := x.Size
	if x.LFS != nil {
		size, e.ETag = x.LFS.Size, x.LFS.OID
	}
	if size == nil || *size < 0 || e.ETag == "" {
		return e, fault.New(fault.DataLoss, "the listing has a file %q without a size or an id", x.Path)
	}
	e.Size, e.Sums = *size, sums(e.ETag)
	return e, nil
}

// names reads a page of a folder, "" or a key that ends with "/". Names are relative to it.
func (d *Driver) names(ctx context.Context, dir string, recursive bool, query string) (list []store.DirEntry, next string, err error) {
	p, err := d.pin(ctx)
	if err != nil {
		return nil, "", err
	}
	if dir != "" && checkKey(strings.TrimSuffix(dir, "/")) != nil { // the hub would take it for another
		return nil, "", nil
	}
	u := d.api("tree", p.commit+strings.TrimSuffix("/"+escape(dir), "/"))
	if u.RawQuery = query; query == "" {
		u.RawQuery = fmt.Sprintf("recursive=%t&expand=false", recursive)
	}
	var items []item
	next, err = d.json(ctx, u, &items)
	if missing(err) && dir != "" {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if items == nil {
		return nil, "", fault.New(fault.Unavailable, "the page of the listing holds no list")
	}
	if next != "" && next == query {
		return nil, "", fault.New(fault.DataLoss, "the hub gives the same page of a listing again and again")
	}
	for i := range items {
		x := &items[i]
		if dir != "" && x.Path == dir[:len(dir)-1] { // a file has this name
			continue
		}
		name, ok := strings.CutPrefix(x.Path, dir)
		if !ok || name == "" || !recursive && strings.Contains(name, "/") {
			return nil, "", fault.New(fault.DataLoss, "the listing has a path %q that is not in the folder %q", x.Path, dir)
		}
		switch {
		case x.Type == "directory" && !recursive:
			list = append(list, store.DirEntry{Name: name + "/", Dir: true})
		case x.Type == "file":
			e, err := p.entry(x)
			if err != nil {
				return nil, "", err
			}
			list = append(list, store.DirEntry{Name: name, Entry: e})
		}
	}
	return list, next, nil
}

// all reads a folder, sorted; whole is false when that would take more pages than pages.
func (d *Driver) all(ctx context.Context, dir string, recursive bool, pages int) (out []store.DirEntry, whole bool, err error) {
	query := ""
	seen := map[string]bool{}
	for n := 0; n < pages; n++ {
		list, next, err := d.names(ctx, dir, recursive, query)
		if err != nil {
			return nil, false, err
		}
		out = append(out, list...)
		if next == "" {
			slices.SortFunc(out, func(a, b store.DirEntry) int { return strings.Compare(a.Name, b.Name) })
			for i := 1; i < len(out); i++ {
				if out[i].Name == out[i-1].Name {
					return nil, false, fault.New(fault.DataLoss, "the listing has the name %q twice", dir+out[i].Name)
				}
			}
			return out, true, nil
		}
		if seen[next] {
			return nil, false, fault.New(fault.DataLoss, "the hub gives the same page of a listing again and again")
		}
		if len(out) > maxNames {
			return nil, false, fault.New(fault.Limit, "the folder %q has more than %d names", dir, maxNames)
		}
		seen[next], query = true, next
	}
	return nil, false, nil
}

// level reads folders one by one.
type level struct{ d *Driver }

// ListDir implements store.DirLister.
func (l level) ListDir(ctx context.Context, dir, after string, _ int) ([]store.DirEntry, error) {
	list, _, err := l.d.all(ctx, dir, false, maxNames)
	return list[sort.Search(len(list), func(i int) bool { return list[i].Name > after }):], err
}

// OpenDir implements store.DirOpener.
func (l level) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	list, _, err := l.d.all(ctx, dir, false, maxNames)
	return cursor(list, from), err
}

// Classify tells a Walker which folders are gone.
func (l level) Classify(err error) fault.Class { return l.d.Classify(err) }

// flat reads folders with all that is below them, where that is little.
type flat struct{ d *Driver }

// ListDir implements store.DirLister.
func (l flat) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	return level(l).ListDir(ctx, dir, after, max)
}

// OpenDir implements store.DirOpener. The cursor's names may have slashes: it gives the files of folders below too.
func (l flat) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	list, whole, err := l.d.all(ctx, dir, true, flatPages)
	if err != nil || whole {
		return cursor(list, from), err
	}
	return level(l).OpenDir(ctx, dir, from)
}

// Classify tells a Walker which folders are gone.
func (l flat) Classify(err error) fault.Class { return l.d.Classify(err) }

// rest is what is left of a folder.
type rest []store.DirEntry

func cursor(list []store.DirEntry, from string) store.DirCursor {
	r := rest(list[sort.Search(len(list), func(i int) bool { return list[i].Name >= from }):])
	return &r
}

// Next implements store.DirCursor.
func (r *rest) Next(_ context.Context, max int) ([]store.DirEntry, error) {
	if len(*r) == 0 {
		return nil, io.EOF
	}
	n := min(max, len(*r))
	out := (*r)[:n]
	*r = (*r)[n:]
	return out, nil
}

// checkKey refuses what cannot be the path of a file in git, or what an address would take for another.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.Contains(key, "\x00"):
		return fault.New(fault.InvalidArgument, "the key has a NUL")
	}
	for _, s := range strings.Split(key, "/") {
		if s == "" || s == "." || s == ".." {
			return fault.New(fault.InvalidArgument, "git has no path with a segment %q", s)
		}
	}
	return nil
}
