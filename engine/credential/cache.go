package credential

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// pause is how long a failed early refresh waits before the next.
const pause = 10 * time.Second

// Cached returns a source that keeps each value of s, by audience, until four fifths of its life have passed or a caller
// says that it was refused (Want.Refresh). However many callers wait, one fetch is under way for an audience. When a
// refresh fails while the old value is still valid, callers without Want.Refresh get the old one. The redactor knows a
// value's secrets before anyone receives it. A nil clock is the machine's.
func Cached(s Source, c clock.Clock, r *secret.Redactor) Source {
	if c == nil {
		c = clock.Real
	}
	return &cached{source: s, clock: c, redactor: r, entries: map[string]*entry{}}
}

type cached struct {
	source   Source
	clock    clock.Clock
	redactor *secret.Redactor
	mu       sync.Mutex
	entries  map[string]*entry
}

// entry is what is known for one audience.
type entry struct {
	value   Value
	have    bool
	refresh time.Time // when to get a new one; zero: never
	call    *call     // the fetch under way
}

// call is one fetch. It goes on while anyone waits for it.
type call struct {
	done    chan struct{} // closed when value and err are set
	value   Value
	err     error
	waiting int
	cancel  context.CancelFunc
}

// Resolve implements Source.
func (c *cached) Resolve(ctx context.Context, w Want) (Value, error) {
	if err := ctx.Err(); err != nil {
		return Value{}, context.Cause(ctx)
	}
	c.mu.Lock()
	e := c.entries[w.Audience]
	if e == nil {
		e = &entry{}
		c.entries[w.Audience] = e
	}
	now := c.clock.Now()
	if e.have && !w.Refresh && (e.refresh.IsZero() || now.Before(e.refresh)) {
		v := e.value.clone()
		c.mu.Unlock()
		return v, nil
	}
	k := e.call
	if k == nil {
		k = c.begin(ctx, e, w)
	}
	k.waiting++
	c.mu.Unlock()

	select {
	case <-k.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-k.done:
	default: // ctx ended first
		if k.waiting--; k.waiting == 0 {
			k.cancel()
			if e.call == k {
				e.call = nil // the next caller must not wait for a fetch that is given up
			}
		}
		return Value{}, context.Cause(ctx)
	}
	if k.err == nil {
		return k.value.clone(), nil
	}
	if !w.Refresh && e.have && e.value.valid(c.clock.Now()) {
		return e.value.clone(), nil
	}
	return Value{}, k.err
}

// begin starts a fetch; c.mu is held. The fetch has the values of the first caller's context, but not its end: others
// may wait for it too.
func (c *cached) begin(ctx context.Context, e *entry, w Want) *call {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &call{done: make(chan struct{}), cancel: cancel}
	e.call = k
	go func() {
		defer cancel()
		v, err := c.fetch(ctx, w)
		c.mu.Lock()
		defer c.mu.Unlock()
		k.value, k.err = v, err
		now := c.clock.Now()
		if e.call == k {
			e.call = nil
		}
		switch {
		case err == nil && ctx.Err() == nil:
			e.value, e.have, e.refresh = v, true, time.Time{}
			if !v.Expires.IsZero() {
				e.refresh = now.Add(v.Expires.Sub(now) * 4 / 5)
			}
		case err != nil && e.have && e.value.valid(now):
			// Soon again, but not for every call, and not after the end of the old value.
			if next := now.Add(pause); e.value.Expires.IsZero() || next.Before(e.value.Expires) {
				e.refresh = next
			} else {
				e.refresh = e.value.Expires
			}
		}
		close(k.done)
	}()
	return k
}

// fetch asks the source; a panic of it ends the call, not the process.
func (c *cached) fetch(ctx context.Context, w Want) (v Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "%w", c.redactor.Error(fmt.Errorf("the credential source panicked: %v", p)))
		}
	}()
	v, err = c.source.Resolve(ctx, w)
	if err != nil {
		return Value{}, c.redactor.Error(err)
	}
	learn(c.redactor, v.Fields)
	if !v.valid(c.clock.Now()) {
		return Value{}, fault.New(fault.Unauthenticated, "the credential that was given has expired at %s", v.Expires.UTC().Format(time.RFC3339))
	}
	return v, nil
}

// Explain implements Source, and adds when the cached value expires.
func (c *cached) Explain(ctx context.Context) []Step {
	steps := c.source.Explain(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	var until time.Time
	for _, e := range c.entries {
		if e.have && !e.value.Expires.IsZero() && (until.IsZero() || e.value.Expires.Before(until)) {
			until = e.value.Expires
		}
	}
	for i := range steps {
		if steps[i].Used && steps[i].Until.IsZero() {
			steps[i].Until = until
		}
	}
	return steps
}

func (v Value) valid(now time.Time) bool { return v.Expires.IsZero() || now.Before(v.Expires) }

func (v Value) clone() Value { v.Fields = maps.Clone(v.Fields); return v }
