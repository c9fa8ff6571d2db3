package store

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
)

// seekAfter is the number of pages of the target that may lie between two source keys before the listing is begun anew
// further on.
const seekAfter = 3

// targets walks the target's listing beside the source's, both in key order.
type targets struct {
	c      *copier
	ctx    context.Context
	prefix string
	l      *ahead
	batch  []Entry
	i      int
	ended  bool
}

func (c *copier) newTargets(ctx context.Context) *targets {
	t := &targets{c: c, ctx: ctx, prefix: c.target(c.srcPrefix)}
	t.l = readAhead(ctx, c.dst.List(ctx, ListOptions{Prefix: t.prefix}))
	return t
}

// find returns the target of a key; keys must be asked in ascending order. What it passes by has no source.
func (t *targets) find(ctx context.Context, key string) (Entry, bool, error) {
	pages := 0
	for {
		for t.i < len(t.batch) {
			e := &t.batch[t.i]
			switch {
			case e.Key > key:
				return Entry{}, false, nil
			case e.Key == key:
				t.i++
				return *e, true, nil
			}
			if t.c.job.DeleteExtra {
				t.c.addExtra(e.Key)
			}
			t.i++
		}
		if t.ended {
			return Entry{}, false, nil
		}
		if pages++; pages > seekAfter && !t.c.job.DeleteExtra {
			return t.seek(ctx, key)
		}
		if err := t.more(); err != nil {
			return Entry{}, false, err
		}
	}
}

// seek asks for the one key and goes on listing after it.
func (t *targets) seek(ctx context.Context, key string) (Entry, bool, error) {
	t.l.close()
	t.batch, t.i = nil, 0
	t.l = readAhead(t.ctx, t.c.dst.List(t.ctx, ListOptions{Prefix: t.prefix, After: key}))
	e, err := t.c.dst.Stat(ctx, key, Cond{})
	if fault.Is(err, fault.NotFound) {
		return Entry{}, false, nil
	}
	return e, err == nil, err
}

func (t *targets) more() error {
	batch, err := t.l.next()
	t.batch, t.i = batch, 0
	if err == io.EOF {
		t.ended = true
		return nil
	}
	return err
}

// rest goes through the target to its end: what is left has no source, and the listing is proven to be whole.
func (t *targets) rest(ctx context.Context) error {
	for {
		for ; t.i < len(t.batch); t.i++ {
			t.c.addExtra(t.batch[t.i].Key)
		}
		if t.ended {
			return nil
		}
		if err := t.more(); err != nil {
			return err
		}
	}
}

func (t *targets) close() { t.l.close() }

// ahead fetches the next page of a listing while the one before is worked on. It holds three pages at most.
type ahead struct {
	pages  chan aheadPage
	free   chan []Entry
	cancel context.CancelFunc
	last   []Entry
	err    error
}

type aheadPage struct {
	entries []Entry
	err     error
}

// readAhead takes over a listing; close ends it.
func readAhead(ctx context.Context, l *Listing) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{pages: make(chan aheadPage), free: make(chan []Entry, 2), cancel: cancel}
	a.free <- nil
	a.free <- nil
	go func() {
		defer close(a.pages)
		defer l.Close()
		for {
			var buf []Entry
			select {
			case buf = <-a.free:
			case <-ctx.Done():
				return
			}
			batch, err := l.Next(ctx)
			select {
			case a.pages <- aheadPage{append(buf[:0], batch...), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

// next returns the next entries, valid until the next call, with the words of Listing.Next.
func (a *ahead) next() ([]Entry, error) {
	if a.err != nil {
		return nil, a.err
	}
	if a.last != nil {
		a.free <- a.last
		a.last = nil
	}
	p, ok := <-a.pages
	if !ok {
		p.err = context.Canceled
	}
	if p.err != nil {
		a.err = p.err
		return nil, p.err
	}
	a.last = p.entries
	return p.entries, nil
}

// close ends the fetching and waits for it.
func (a *ahead) close() {
	a.cancel()
	for range a.pages {
	}
}
