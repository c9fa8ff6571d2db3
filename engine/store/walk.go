package store

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// DirOpener is a DirLister that can go on in a directory without reading it anew. A Walker prefers it.
type DirOpener interface {
	DirLister
	// OpenDir starts to read directory dir at the smallest name that is not less than from.
	OpenDir(ctx context.Context, dir, from string) (DirCursor, error)
}

// DirCursor reads one directory in ascending byte order of names, where a directory's name ends with "/". It holds
// memory only, no descriptor and no connection: a listing that nobody goes on with leaves nothing open.
type DirCursor interface {
	// Next returns at least one and at most max names, or io.EOF when there are no more.
	Next(ctx context.Context, max int) ([]DirEntry, error)
}

// Walk returns the page of q in the tree below d, with at most pageMax entries and prefixes: Driver.List of a store
// that can list only one directory at a time. Over all pages the keys ascend in byte order, the order of a flat store:
// "a.b" comes before "a/b", since a directory sorts as its name with "/". Only directories that can hold a wanted key
// are read. A directory that cannot be read is an error; one that vanished holds nothing, except the top one, "".
//
// With the delimiter a directory is a prefix without a look into it, so that an empty one is listed too.
//
// Walk keeps nothing between pages: a page costs the directories on the way to its first key. A Walker goes on where
// the page before ended.
func Walk(ctx context.Context, d DirLister, q Query, pageMax int) (Page, error) {
	w, err := newWalk(d, q)
	if err != nil {
		return Page{}, err
	}
	return w.page(ctx, pageLimit(q.Max, pageMax))
}

func pageLimit(asked, pageMax int) int {
	if asked > 0 && asked < pageMax {
		return asked
	}
	return pageMax
}

// walk is a listing under way: a stack of directories, the top one being read.
type walk struct {
	lister    DirLister
	delimited bool
	// The wanted keys are those in [from, to). to is "" when there is no upper bound.
	from, to string
	stack    []*level
	start    string // directory to begin in
	begun    bool
	it       walkItem // what item has returned
	ahead    bool     // it is not yet on a page
	full     int      // entries of the page before
}

// level is a directory being read.
type level struct {
	dir string
	cur DirCursor
	buf []DirEntry // the next names
}

// walkItem is what a page holds: an entry, or a prefix.
type walkItem struct {
	prefix string
	entry  Entry
}

// next returns the smallest string greater than every key of the item.
func (i *walkItem) next() string {
	if i.prefix != "" {
		return beyond(i.prefix)
	}
	return i.entry.Key + "\x00"
}

// beyond returns the smallest string greater than all strings with the given prefix, "" when there is none.
func beyond(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

func newWalk(d DirLister, q Query) (*walk, error) {
	if q.Delimiter != "" && q.Delimiter != "/" {
		return nil, fault.New(fault.InvalidArgument, "delimiter %q: only %q is possible", q.Delimiter, "/")
	}
	w := &walk{lister: d, delimited: q.Delimiter != "", from: q.Prefix, to: beyond(q.Prefix)}
	w.start = q.Prefix[:strings.LastIndexByte(q.Prefix, '/')+1]
	if q.After != "" {
		w.from = max(w.from, q.After+"\x00")
	}
	if q.Before != "" && (w.to == "" || q.Before < w.to) {
		w.to = q.Before
	}
	if q.Token != "" {
		low, err := base64.RawURLEncoding.DecodeString(q.Token)
		if err != nil {
			return nil, fault.New(fault.InvalidArgument, "the page token %q is not one of this store", q.Token)
		}
		w.from = max(w.from, string(low))
	}
	return w, nil
}

// page fills one page. It looks one item ahead so that the last page is known as such.
func (w *walk) page(ctx context.Context, limit int) (Page, error) {
	var p Page
	var last walkItem // only what next needs
	for n := 0; ; n++ {
		it, err := w.item(ctx, limit-n+1)
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return Page{}, err
		}
		if n == limit {
			w.ahead, w.full = true, len(p.Entries)
			p.Next = base64.RawURLEncoding.EncodeToString([]byte(last.next()))
			return p, nil
		}
		if it.prefix != "" {
			p.Prefixes = append(p.Prefixes, it.prefix)
		} else {
			if p.Entries == nil { // most often as many as on the page before
				p.Entries = make([]Entry, 0, min(limit, max(w.full, 16)))
			}
			p.Entries = append(p.Entries, it.entry)
		}
		last.prefix, last.entry.Key = it.prefix, it.entry.Key
	}
}

// item returns the next item, valid until the next call, and io.EOF at the end. want is a guess of how many the caller
// will ask for.
func (w *walk) item(ctx context.Context, want int) (*walkItem, error) {
	if w.ahead {
		w.ahead = false
		return &w.it, nil
	}
	if !w.begun {
		w.begun = true
		if err := w.descend(ctx); err != nil {
			return nil, err
		}
	}
	for len(w.stack) > 0 {
		l := w.stack[len(w.stack)-1]
		if len(l.buf) == 0 {
			if err := w.fill(ctx, l, want); err == io.EOF {
				w.stack = w.stack[:len(w.stack)-1]
				continue
			} else if err != nil {
				return nil, err
			}
		}
		e := &l.buf[0]
		l.buf = l.buf[1:]
		key := e.Entry.Key // most listers know it
		if len(key) != len(l.dir)+len(e.Name) || key[:len(l.dir)] != l.dir || key[len(l.dir):] != e.Name {
			key = l.dir + e.Name
		}
		switch {
		case w.to != "" && key >= w.to: // all that follows is greater still
			w.stack = nil
			return nil, io.EOF
		case !e.Dir && key < w.from:
		case !e.Dir:
			w.it.prefix, w.it.entry = "", e.Entry
			w.it.entry.Key = key
			return &w.it, nil
		case w.delimited && w.whole(key):
			w.it = walkItem{prefix: key}
			return &w.it, nil
		case w.delimited:
			some, err := w.holds(ctx, key)
			if err != nil {
				return nil, err
			}
			if some {
				w.it = walkItem{prefix: key}
				return &w.it, nil
			}
		default:
			if err := w.push(ctx, key, ""); err != nil {
				return nil, err
			}
		}
	}
	return nil, io.EOF
}

// whole reports whether every key below directory dir is within the bounds.
func (w *walk) whole(dir string) bool {
	return dir >= w.from && (w.to == "" || beyond(dir) <= w.to)
}

// holds reports whether directory dir, which the bounds cut, holds a wanted key.
func (w *walk) holds(ctx context.Context, dir string) (bool, error) {
	sub := &walk{lister: w.lister, from: max(w.from, dir), to: w.to, start: dir}
	_, err := sub.item(ctx, 1)
	if err == io.EOF {
		return false, nil
	}
	return err == nil, err
}

// descend opens the directories on the way to the lower bound, each just behind the next: a resumed walk reads no name
// that it has passed, and needs none of the names on the way to exist still.
func (w *walk) descend(ctx context.Context) error {
	if w.to != "" && w.from >= w.to {
		return nil
	}
	dir := w.start
	for {
		rest, inside := strings.CutPrefix(w.from, dir)
		if !inside {
			return nil // the bound lies beyond all of dir
		}
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return w.push(ctx, dir, rest)
		}
		if w.delimited {
			return w.push(ctx, dir, rest[:slash+1])
		}
		sub := dir + rest[:slash+1]
		if err := w.push(ctx, dir, beyond(rest[:slash+1])); err != nil {
			return err
		}
		dir = sub
	}
}

// push makes dir the directory being read, from the given name on. One that vanished is left out.
func (w *walk) push(ctx context.Context, dir, from string) error {
	var cur DirCursor = &pagedCursor{lister: w.lister, dir: dir, from: from}
	if o, ok := w.lister.(DirOpener); ok {
		var err error
		if cur, err = o.OpenDir(ctx, dir, from); err != nil {
			return w.unlessGone(ctx, dir, err)
		}
	}
	w.stack = append(w.stack, &level{dir: dir, cur: cur})
	return nil
}

// fill reads more names of l; io.EOF when there are none.
func (w *walk) fill(ctx context.Context, l *level, want int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	buf, err := l.cur.Next(ctx, max(want, 16))
	if err != nil {
		if err == io.EOF {
			return err
		}
		if err = w.unlessGone(ctx, l.dir, err); err == nil {
			err = io.EOF
		}
		return err
	}
	l.buf = buf
	return nil
}

// unlessGone returns nil when err says that directory dir is not there, since it then holds nothing, and err otherwise.
// Where the listing begins below the top, a top that is gone must not look like an empty store.
func (w *walk) unlessGone(ctx context.Context, dir string, err error) error {
	classify := fault.ClassOf
	if c, ok := w.lister.(interface{ Classify(error) fault.Class }); ok {
		classify = c.Classify
	}
	if dir == "" || classify(err).Code != fault.NotFound {
		return err
	}
	if dir == w.start {
		_, err := w.lister.ListDir(ctx, "", "", 1)
		return err
	}
	return nil
}

// pagedCursor reads a directory by repeated ListDir. It asks for more each time, so that a directory whose listing
// always starts at the top is read a few times, not once a page.
type pagedCursor struct {
	lister    DirLister
	dir, from string
	after     string
	max       int
	rest      []DirEntry
	begun     bool
	end       bool
}

// maxNames is how many names of one directory are held at most, unless the lister gives more at once.
const maxNames = 1 << 15

func (c *pagedCursor) Next(ctx context.Context, max int) ([]DirEntry, error) {
	for len(c.rest) == 0 {
		if c.end {
			return nil, io.EOF
		}
		if err := c.read(ctx, max); err != nil {
			return nil, err
		}
	}
	n := min(max, len(c.rest))
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out, nil
}

func (c *pagedCursor) read(ctx context.Context, want int) error {
	if !c.begun && c.from != "" {
		// Names not less than from are among those greater than from without its last byte.
		c.after = c.from[:len(c.from)-1]
	}
	c.max = min(max(want, 2*c.max, 16), maxNames)
	list, err := c.lister.ListDir(ctx, c.dir, c.after, c.max)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b DirEntry) int { return strings.Compare(a.Name, b.Name) })
	c.end = len(list) < c.max
	first := !c.begun
	c.begun = true
	for i, e := range list {
		if err := checkName(c.dir, e); err != nil {
			return err
		}
		if i > 0 && list[i-1].Name == e.Name {
			return fault.New(fault.DataLoss, "the listing of directory %q holds the name %q twice", c.dir, e.Name)
		}
	}
	low := c.from
	if !first { // a lister may give names again, but must go on
		low = max(low, c.after+"\x00")
		if !c.end && list[len(list)-1].Name <= c.after {
			return fault.New(fault.DataLoss, "the listing of directory %q does not go on after %q", c.dir, c.after)
		}
	}
	if len(list) > 0 {
		c.after = list[len(list)-1].Name
	}
	skip, _ := slices.BinarySearchFunc(list, low, func(e DirEntry, low string) int { return strings.Compare(e.Name, low) })
	c.rest = list[skip:]
	return nil
}

// checkName refuses a name that is not one of a single level.
func checkName(dir string, e DirEntry) error {
	base := e.Name
	if e.Dir {
		var ok bool
		if base, ok = strings.CutSuffix(e.Name, "/"); !ok {
			return fault.New(fault.Internal, "the listing of directory %q gives directory %q without %q", dir, e.Name, "/")
		}
	}
	if strings.Contains(base, "/") {
		return fault.New(fault.DataLoss, "the listing of directory %q holds the name %q of another level", dir, e.Name)
	}
	return nil
}
