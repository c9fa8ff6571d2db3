package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// ListOptions say what to list.
type ListOptions struct {
	Pattern       string    // glob over whole keys: * within a segment, ** across; "" means all
	Prefix        string    // literal
	OneLevel      bool      // roll up what lies below the next "/": Listing yields such prefixes as entries with Size -1 and a Key that ends with "/"
	Since         time.Time // only objects modified at or after
	After, Before string
	Limit         int
}

// Listing yields entries in batches. It is used by one goroutine at a time.
type Listing struct {
	s    *Store
	ctx  context.Context
	o    ListOptions
	pat  pattern
	q    Query
	err  error // sticky
	done bool
	left int // entries still wanted; -1 without bound

	started bool
	last    string // greatest key or prefix so far, with the store's prefix
	seed    maphash.Seed
	tokens  map[uint64]struct{}
	recent  [2]map[uint64]struct{} // keys of this page and the one before, where there is no order to check
	buf     []Entry

	took     time.Duration // of the last page
	pageKeys int           // of the last page
	est      *estimate     // of the last page, where it would help
	ahead    *window       // nil while pages are asked for one after another
}

// List returns the matching objects, in key order where Caps.Order says so. An invalid pattern is the first Next's
// error; nothing is sent then.
func (s *Store) List(ctx context.Context, o ListOptions) *Listing {
	l := &Listing{s: s, ctx: ctx, o: o, left: -1}
	pat, err := compilePattern(o.Pattern)
	if err != nil {
		l.err = s.wrap(ctx, l.call(), err)
		return l
	}
	l.pat = pat
	if o.Limit > 0 {
		l.left = o.Limit
	}
	prefix := o.Prefix
	switch {
	case strings.HasPrefix(pat.prefix, prefix):
		prefix = pat.prefix
	case !strings.HasPrefix(prefix, pat.prefix) || pat.literal:
		l.done = true // no key can have both
	}
	if strings.IndexByte(o.Prefix, 0) >= 0 {
		l.err = s.wrap(ctx, l.call(), fault.New(fault.InvalidArgument, "the prefix holds a NUL byte"))
	}
	l.q = Query{Prefix: s.full(prefix)}
	if o.OneLevel {
		l.q.Delimiter = "/"
	}
	if o.After != "" {
		l.q.After = s.full(o.After)
	}
	if o.Before != "" {
		l.q.Before = s.full(o.Before)
	}
	return l
}

// call names the literal start of what is listed as its key.
func (l *Listing) call() Call {
	return Call{Op: "list", Key: strings.TrimPrefix(l.q.Prefix, l.s.o.Prefix), Retryable: true}
}

// Next returns the next entries, at least one, valid until the next call; (nil, io.EOF) at the end. Any other error
// means that the listing is incomplete.
func (l *Listing) Next(ctx context.Context) ([]Entry, error) {
	for {
		switch {
		case l.err != nil:
			return nil, l.err
		case l.done || l.left == 0:
			l.stop()
			l.buf = nil
			return nil, io.EOF
		case l.ctx.Err() != nil:
			l.stop()
			l.err = l.s.wrap(l.ctx, l.call(), context.Cause(l.ctx))
			return nil, l.err
		}
		var err error
		if l.pat.literal {
			err = l.one(ctx)
		} else {
			err = l.page(ctx)
		}
		if err != nil {
			if ctx.Err() == nil { // a cancelled call may be made again
				l.stop()
				l.err = err
			}
			return nil, err
		}
		if len(l.buf) > 0 {
			l.s.o.Stats.Listed.Add(int64(len(l.buf)))
			return l.buf, nil
		}
	}
}

// one answers a pattern that is a key: one stat instead of a listing.
func (l *Listing) one(ctx context.Context) error {
	key := l.pat.prefix
	l.buf = l.buf[:0]
	if l.o.After != "" && key <= l.o.After || l.o.Before != "" && key >= l.o.Before {
		l.done = true
		return nil
	}
	e, err := l.s.Stat(ctx, key, Cond{})
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	l.done = true
	if err == nil && (l.o.Since.IsZero() || !e.Modified.Before(l.o.Since)) {
		l.buf = append(l.buf, e)
	}
	return nil
}

// page fetches a page and keeps what matches. A listing begins with one request after another. Once its reader wants
// more than the first page, and pages take long, it runs ahead of the reader.
func (l *Listing) page(ctx context.Context) error {
	if l.ahead == nil && l.est != nil {
		l.ahead = newWindow(l, l.est)
	}
	if l.ahead == nil {
		return l.onePage(ctx)
	}
	p, err := l.ahead.next(ctx)
	if err == io.EOF {
		l.done, l.buf = true, l.buf[:0]
		return nil
	}
	if err != nil {
		return err
	}
	if err := l.filter(p); err != nil {
		return l.bad(ctx, err)
	}
	return nil
}

func (l *Listing) bad(ctx context.Context, err error) error {
	return l.s.wrap(ctx, l.call(), fault.New(fault.DataLoss, "%w", err))
}

var errTokenAgain = errors.New("the listing gave the same continuation token twice and would never end")

// sound refuses a page that is no answer to q.
func sound(p Page, q Query) error {
	if q.Max > 0 && len(p.Entries)+len(p.Prefixes) > q.Max {
		return fmt.Errorf("the listing gave %d entries where at most %d were asked", len(p.Entries)+len(p.Prefixes), q.Max)
	}
	if p.Truncated && p.Next == "" {
		return errors.New("the listing says that more follows, but not how to go on")
	}
	return nil
}

// onePage asks for the page behind the one before.
func (l *Listing) onePage(ctx context.Context) error {
	q := l.q
	if !l.started && l.left > 0 && l.pat.match == nil && l.o.Since.IsZero() {
		q.Max = min(l.left, 1000) // later pages keep it: a token is for the query it came from, with all else unchanged
	}
	var p Page
	start := time.Now()
	err := l.s.do(ctx, l.call(), func(ctx context.Context) (err error) {
		p, err = l.s.d.List(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	l.took = time.Since(start)
	if err := sound(p, q); err != nil {
		return l.bad(ctx, err)
	}
	l.q.Max = q.Max
	if err := l.filter(p); err != nil {
		return l.bad(ctx, err)
	}
	l.started = true
	ordered := l.s.caps.Order == OrderByKey
	if ordered && l.q.Before != "" && l.last >= l.q.Before {
		p.Next = "" // a driver that knows no upper bound need not go on
	}
	if p.Next == "" {
		l.done = true
		return nil
	}
	if l.tokens == nil {
		l.seed, l.tokens = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	h := maphash.String(l.seed, p.Next)
	if _, again := l.tokens[h]; again || p.Next == l.q.Token {
		return l.bad(ctx, errTokenAgain)
	}
	l.tokens[h] = struct{}{}
	l.q.Token = p.Next
	l.pageKeys = len(p.Entries)
	if t := l.s.lists; ordered && l.q.Delimiter == "" && l.took >= t.slow && min(t.most, l.s.o.Concurrency) > 1 && listsAhead(l.s.d) {
		l.est = estimateOf(p.Entries, l.q.Prefix)
	}
	return nil
}

// stop ends what was asked for ahead.
func (l *Listing) stop() {
	if l.ahead != nil {
		l.ahead.stop()
	}
}

// filter checks the entries of a page and keeps those that match in l.buf, prefixes merged in by key.
func (l *Listing) filter(p Page) error {
	own := len(l.s.o.Prefix)
	ordered := l.s.caps.Order == OrderByKey
	if !ordered {
		l.turn()
	}
	if cap(l.buf) < len(p.Entries)+len(p.Prefixes) {
		l.buf = make([]Entry, 0, len(p.Entries)+len(p.Prefixes))
	}
	l.buf = l.buf[:0]
	i, j := 0, 0
	for i < len(p.Entries) || j < len(p.Prefixes) {
		if l.left == 0 {
			return nil
		}
		var e *Entry
		var key string
		if j == len(p.Prefixes) || i < len(p.Entries) && p.Entries[i].Key < p.Prefixes[j] {
			e = &p.Entries[i]
			key = e.Key
			i++
		} else {
			key = p.Prefixes[j]
			j++
		}
		if err := l.check(key, e == nil, ordered); err != nil {
			return err
		}
		if !l.wanted(key[own:], e) {
			continue
		}
		if e != nil {
			l.buf = append(l.buf, *e)
			l.buf[len(l.buf)-1].Key = key[own:]
		} else {
			l.buf = append(l.buf, Entry{Key: key[own:], Size: -1})
		}
		if l.left > 0 {
			l.left--
		}
	}
	return nil
}

// check refuses what a correct listing cannot hold.
func (l *Listing) check(key string, prefix, ordered bool) error {
	if prefix && !strings.HasSuffix(key, "/") && strings.HasPrefix(key, l.q.Prefix) {
		return fmt.Errorf("the listing holds the folder %q, which does not end with a slash", key)
	}
	last := l.last
	if !ordered {
		last = ""
	}
	if err := inOrder(key, last, l.q.Prefix); err != nil {
		return err
	}
	if ordered {
		l.last = key
		return nil
	}
	h := maphash.String(l.seed, key)
	for _, m := range l.recent {
		if _, twice := m[h]; twice {
			return fmt.Errorf("the listing holds the key %q twice", key)
		}
	}
	l.recent[0][h] = struct{}{}
	return nil
}

// turn starts a page where only the keys of two pages are remembered.
func (l *Listing) turn() {
	if l.recent[0] == nil {
		if l.tokens == nil {
			l.seed, l.tokens = maphash.MakeSeed(), map[uint64]struct{}{}
		}
		l.recent = [2]map[uint64]struct{}{{}, {}}
		return
	}
	l.recent[0], l.recent[1] = l.recent[1], l.recent[0]
	clear(l.recent[0])
}

// wanted applies the filters. The key that is the store's own prefix, a folder's marker, has no name in the store.
func (l *Listing) wanted(key string, e *Entry) bool {
	if key == "" {
		return false
	}
	if e == nil {
		return l.pat.match == nil || l.pat.match(key) || l.pat.match(key[:len(key)-1])
	}
	if l.o.After != "" && key <= l.o.After || l.o.Before != "" && key >= l.o.Before {
		return false
	}
	if l.pat.match != nil && !l.pat.match(key) {
		return false
	}
	return l.o.Since.IsZero() || !e.Modified.Before(l.o.Since)
}

// Each calls fn with every entry until the end, an error of the listing or an error of fn, which it returns.
func (l *Listing) Each(ctx context.Context, fn func(Entry) error) error {
	defer l.Close()
	for {
		batch, err := l.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range batch {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

// Close stops the listing and what was asked for ahead of its reader.
func (l *Listing) Close() error {
	l.stop()
	l.done, l.buf = true, nil
	return nil
}
