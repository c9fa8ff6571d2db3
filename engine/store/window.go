package store

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// listTuning decides how far a listing runs ahead of its reader.
type listTuning struct {
	slow time.Duration // pages that come faster than this are asked for one after another
	each time.Duration // a page more is asked for at once for each such piece of the time that one takes
	most int           // pages asked for at once
	held int           // pages asked for or waiting for the reader
}

var defaultLists = listTuning{slow: 4 * time.Millisecond, each: time.Millisecond, most: 32, held: 48}

// SerialLister is a driver that can begin a listing behind a key only by reading what lies before it. Its listings are
// read one page after another; so are those of a DirLister.
type SerialLister interface{ ListsSerially() bool }

// listsAhead reports whether pages of a driver's listing can be asked for side by side.
func listsAhead(d Driver) bool {
	switch x := d.(type) {
	case *OverlayDriver:
		return listsAhead(x.base)
	case SerialLister:
		return !x.ListsSerially()
	case DirLister:
		return false
	}
	return true
}

// window lists in key order by many requests at once: it cuts what lies just ahead of the reader into ranges of about a
// page each. Where a cut is put decides about speed alone: the ranges lie end to end, and a range is listed until its end
// has been passed, however many pages that takes.
//
// It holds no goroutine but those of requests under way, so that a listing that nobody goes on with costs nothing.
type window struct {
	l      *Listing
	ctx    context.Context
	cancel context.CancelFunc
	t      listTuning
	wg     sync.WaitGroup
	ready  chan struct{} // something has arrived

	mu     sync.Mutex
	parts  []*listPart // in order, end to end; the first is the reader's
	width  int         // requests at once
	flying int
	held   int // pages that wait for the reader
	read   int // pages that the reader has taken
	left   int // entries that the reader still wants, as Listing.left
	page   time.Duration
	serial bool // ranges do not help here
	slows  int
	names  survey
}

// listPart is the range of keys greater than lo and not greater than hi.
type listPart struct {
	q      Query
	lo, hi string // hi "" means the end of the listing
	cursor string // the greatest key so far; lo at first
	tokens map[uint64]struct{}
	est    *estimate
	begun  bool // it has a page
	flying bool
	done   bool
	gone   bool // another one's page covered it
	pages  []Page
	err    error
}

// survey is a page of the names in a folder, which make good ends of ranges.
type survey struct {
	dir        string
	names      []string
	from, upto string // what it covers; upto "" means to the end
	flying     bool
	off        bool
}

// newWindow goes on where l stands, behind a page that est is of.
func newWindow(l *Listing, est *estimate) *window {
	w := &window{l: l, t: l.s.lists, ready: make(chan struct{}, 1), width: 2, read: 1, left: l.left, page: l.took}
	w.ctx, w.cancel = context.WithCancel(l.ctx)
	w.parts = []*listPart{{q: l.q, lo: l.last, cursor: l.last, tokens: l.tokens, est: est, begun: true}}
	return w
}

// stop ends all requests and waits for them.
func (w *window) stop() {
	w.cancel()
	w.wg.Wait()
}

// next returns the next page, io.EOF at the end.
func (w *window) next(ctx context.Context) (Page, error) {
	grown := false
	for {
		w.mu.Lock()
		w.left = w.l.left
		for len(w.parts) > 0 && w.parts[0].done && len(w.parts[0].pages) == 0 && w.parts[0].err == nil {
			w.parts[0] = nil
			w.parts = w.parts[1:]
		}
		if len(w.parts) == 0 {
			w.mu.Unlock()
			return Page{}, io.EOF
		}
		p := w.parts[0]
		if len(p.pages) > 0 {
			page := p.pages[0]
			p.pages[0] = Page{} // what was read is not to be held by what is left
			p.pages = p.pages[1:]
			w.held--
			w.read++
			w.schedule()
			w.mu.Unlock()
			return page, nil
		}
		if p.err != nil {
			w.mu.Unlock()
			return Page{}, p.err
		}
		if !grown { // the reader is faster than the pages come
			grown = true
			w.width = min(2*w.width, w.t.held)
		}
		w.schedule()
		w.mu.Unlock()
		select {
		case <-w.ready:
		case <-ctx.Done():
			return Page{}, w.l.s.wrap(ctx, w.l.call(), context.Cause(ctx))
		case <-w.ctx.Done():
			return Page{}, w.l.s.wrap(w.ctx, w.l.call(), context.Cause(w.ctx))
		}
	}
}

// room returns how many requests may be under way. Fast pages are not worth many, and a listing of few entries needs few.
func (w *window) room() int {
	most := min(w.t.most, max(w.l.s.o.Concurrency/2, 1), int(w.page/w.t.each), w.read+1)
	if w.left >= 0 {
		most = min(most, w.left/max(w.l.pageKeys, 1)+1)
	}
	w.width = max(min(w.width, most), 1)
	return w.width
}

// schedule begins what may be begun: the earliest first.
func (w *window) schedule() {
	if w.ctx.Err() != nil {
		return
	}
	room := w.room()
	for i := 0; i < len(w.parts) && w.flying < room; i++ {
		if i > 0 && w.flying+w.held >= min(2*room, w.t.held) {
			return
		}
		p := w.parts[i]
		if p.err != nil { // the reader will not get any further
			return
		}
		if !p.flying && !p.done {
			w.begin(i, room > 1)
		}
	}
}

// begin asks for the next page of range i, and cuts off what probably lies behind that page.
func (w *window) begin(i int, cut bool) {
	p := w.parts[i]
	if cut && !w.serial {
		if at := w.cut(i); at != "" {
			rest := &listPart{q: w.l.q, lo: at, hi: p.hi, cursor: at}
			rest.q.Token, rest.q.After = "", at
			p.hi = at
			w.parts = slices.Insert(w.parts, i+1, rest)
		}
	}
	p.flying = true
	w.flying++
	q := p.q
	w.wg.Go(func() {
		start, tries := time.Now(), 0
		var page Page
		err := w.l.s.do(w.ctx, w.l.call(), func(ctx context.Context) (err error) {
			tries++
			page, err = w.l.s.d.List(ctx, q)
			return err
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flying--
		p.flying = false
		if tries > 1 { // the service has had enough
			w.width = max(w.width/2, 1)
		} else if err == nil && !p.begun && time.Since(start) > 8*w.page+time.Second {
			if w.slows++; w.slows > 1 { // it seems to read what lies before
				w.serial = true
			}
		} else if err == nil {
			w.page = (7*w.page + time.Since(start)) / 8
		}
		if !p.gone {
			w.arrive(p, page, err)
		}
		w.schedule()
		w.wake()
	})
}

func (w *window) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// cut returns where the next page of range i will probably end, "" where that lies outside of the range.
func (w *window) cut(i int) string {
	p := w.parts[i]
	est := p.est
	for j := i; est == nil && j > 0; j-- { // of the page nearest before
		est = w.parts[j-1].est
	}
	if est == nil && len(w.parts) > 0 {
		est = w.l.est
	}
	if est == nil {
		return ""
	}
	at := w.byName(est, p.cursor)
	if at == "" {
		at = est.after(p.cursor)
	}
	if at <= p.cursor || p.hi != "" && at >= p.hi || w.l.q.Before != "" && at >= w.l.q.Before || len(at) > 1000 || !strings.HasPrefix(at, w.l.q.Prefix) {
		return ""
	}
	return at
}

// arrive takes the answer to a range's request.
func (w *window) arrive(p *listPart, page Page, err error) {
	if err == nil {
		err = w.check(p, &page)
	}
	if err != nil {
		p.err = err
		return
	}
	first := !p.begun
	p.begun = true
	n := len(page.Entries)
	last := p.cursor
	if n > 0 {
		last = page.Entries[n-1].Key
		p.est = estimateOf(page.Entries, w.l.q.Prefix)
	} else if first && page.Next != "" { // a service that begins at the start, whatever it is asked, gives such pages
		w.serial = true
	}
	w.cover(p, last, page.Next == "")
	if p.hi != "" && last >= p.hi {
		p.done = true
		if cut, found := slices.BinarySearchFunc(page.Entries, p.hi, func(e Entry, hi string) int { return strings.Compare(e.Key, hi) }); found {
			page.Entries = page.Entries[:cut+1]
		} else {
			page.Entries = page.Entries[:cut]
		}
	}
	if page.Next == "" {
		p.done = true
	}
	p.cursor, p.q.Token = last, page.Next
	if len(page.Entries) > 0 {
		p.pages = append(p.pages, Page{Entries: page.Entries})
		w.held++
	}
}

// cover takes the ranges behind p that a page up to last, or to the end of the listing, has answered too, where they
// have no page of their own yet: the cuts were too close together.
func (w *window) cover(p *listPart, last string, end bool) {
	i := slices.Index(w.parts, p) + 1
	for i < len(w.parts) && p.hi != "" && (end || last > p.hi) {
		next := w.parts[i]
		switch {
		case next.begun:
			return
		case end || next.hi != "" && last >= next.hi:
			p.hi = next.hi
			next.gone = true
			if next.flying {
				w.width = max(w.width-1, 2)
			}
			w.parts = slices.Delete(w.parts, i, i+1)
		case next.flying:
			return
		default: // it begins later
			p.hi, next.lo, next.cursor, next.q.After = last, last, last, last
		}
	}
}

// check refuses what a correct answer cannot hold. It sets Next to "" where all that follows is not wanted.
func (w *window) check(p *listPart, page *Page) error {
	bad := func(format string, args ...any) error {
		return w.l.s.wrap(w.ctx, w.l.call(), fault.New(fault.DataLoss, format, args...))
	}
	if err := sound(*page, p.q); err != nil {
		return bad("%w", err)
	}
	last := p.cursor
	for i := range page.Entries {
		key := page.Entries[i].Key
		if err := inOrder(key, last, w.l.q.Prefix); err != nil {
			return bad("%w", err)
		}
		last = key
	}
	if len(page.Prefixes) > 0 {
		return bad("the listing holds the folder %q, which was not asked for", page.Prefixes[0])
	}
	if page.Next != "" {
		if p.tokens == nil {
			p.tokens = map[uint64]struct{}{}
		}
		h := maphash.String(w.l.seed, page.Next)
		if _, again := p.tokens[h]; again || page.Next == p.q.Token {
			return bad("%w", errTokenAgain)
		}
		p.tokens[h] = struct{}{}
	}
	if before := w.l.q.Before; before != "" && last >= before {
		page.Next, page.Truncated = "", false
	}
	return nil
}

// inOrder checks that a key of an ordered listing may follow last.
func inOrder(key, last, prefix string) error {
	switch {
	case !strings.HasPrefix(key, prefix):
		return fmt.Errorf("the listing holds the key %q, which does not start with %q", key, prefix)
	case last == "" || key > last:
		return nil
	case key == last:
		return fmt.Errorf("the listing holds the key %q twice", key)
	}
	return fmt.Errorf("the listing holds the key %q after %q, against its order", key, last)
}
