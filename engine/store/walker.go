package store

import (
	"context"
	"sync"
	"time"
)

// Walker is Walk with a memory: it keeps the last few walks that have not come to their end, and goes on with one when
// it is asked for the page that follows. A directory of a million names is then read a few times, not once a page. A
// page whose walk is no longer kept is made anew from its token. It is safe for concurrent use.
type Walker struct {
	lister  DirLister
	pageMax int
	now     func() time.Time

	mu     sync.Mutex
	parked []parkedWalk // oldest first
}

// parkedWalk is a walk that stands at the page that q asks for.
type parkedWalk struct {
	q    Query
	walk *walk
	at   time.Time
}

// A walk is kept for parkTime, so that a listing taken up after a pause sees what changed since, and at most parkMax
// are kept, since each holds names.
const (
	parkTime = time.Minute
	parkMax  = 4
)

// NewWalker returns a walker over d whose pages hold at most pageMax entries and prefixes.
func NewWalker(d DirLister, pageMax int) *Walker {
	return &Walker{lister: d, pageMax: pageMax, now: time.Now}
}

// List returns the page of q, as Walk does.
func (w *Walker) List(ctx context.Context, q Query) (Page, error) {
	limit := pageLimit(q.Max, w.pageMax)
	q.Max = 0 // pages of one listing may differ in size
	k := w.take(q)
	if k == nil {
		var err error
		if k, err = newWalk(w.lister, q); err != nil {
			return Page{}, err
		}
	}
	p, err := k.page(ctx, limit)
	if err != nil {
		return Page{}, err // the walk may have lost names: the next try starts from the token
	}
	if p.Next != "" {
		q.Token = p.Next
		w.park(parkedWalk{q, k, w.now()})
	}
	return p, nil
}

func (w *Walker) take(q Query) *walk {
	if q.Token == "" {
		return nil // a new listing sees the store as it is now
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire()
	for i, p := range w.parked {
		if p.q == q {
			w.parked = append(w.parked[:i:i], w.parked[i+1:]...)
			return p.walk
		}
	}
	return nil
}

func (w *Walker) park(p parkedWalk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire()
	kept := w.parked[:0:0]
	for _, o := range w.parked {
		if o.q != p.q { // of two walks at the same place the newer is kept: it read later
			kept = append(kept, o)
		}
	}
	if len(kept) == parkMax {
		kept = kept[1:]
	}
	w.parked = append(kept, p)
}

func (w *Walker) expire() {
	for len(w.parked) > 0 && w.now().Sub(w.parked[0].at) > parkTime {
		w.parked = w.parked[1:]
	}
}
