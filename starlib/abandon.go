package starlib

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"
)

// A built-in that computes (a sort of millions, a regular expression over a huge text) cannot be interrupted. When a run
// is cancelled or reaches a limit it is waited for, though not for long: then the run ends without it. Calls that reach
// a store or topic, which may have an upload to abort, are given more time.
const (
	computeGrace = time.Second
	outsideGrace = 10 * time.Second
	graceTick    = 20 * time.Millisecond
)

// effect says what a function does, for the wait when a run is cancelled.
type effect int

const (
	reachesOut effect = iota // a store, a topic, or whatever an embedding program's function does
	computes                 // nothing but its arguments
	passesOn                 // it calls others, whose own effect counts
)

var effects = map[string]effect{
	"json": computes, "re": computes, "hash": computes, "base64": computes, "csv": computes, "human": computes,
	"math": computes, "time": computes, "path": computes, "fmt": computes, "struct": computes, "help": computes,
	"match": computes, "row": computes, "agg": computes, "fail": computes,
	"assert": passesOn, "catch": passesOn, "parallel": passesOn, "stream": passesOn,
}

func effectOf(name string) effect {
	word, _, _ := strings.Cut(name, ".")
	return effects[word]
}

// enter notes that a thread begins a call, and returns what ends it.
func (f *Function) enter(r *Run, thread *starlark.Thread) (leave func()) {
	if f.effect == passesOn || r == nil {
		return nil
	}
	d, _ := thread.Local(runKey).(*scope)
	if d == nil || d.outside == (f.effect == reachesOut) {
		return nil
	}
	n, before := &r.execution.outside, d.outside
	set := func(outside bool) {
		d.outside = outside
		if outside {
			n.Add(1)
		} else {
			n.Add(-1)
		}
	}
	set(!before)
	return func() { set(before) }
}

// within runs fn and returns its error, or the cause of the context's end when fn does not return in time after it. fn
// goes on then until its built-in returns; its threads are cancelled, so that nothing of the script follows.
func within(ctx context.Context, outside *atomic.Int64, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	tick := time.NewTicker(graceTick)
	defer tick.Stop()
	for begin := time.Now(); ; {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		if waited := time.Since(begin); waited > outsideGrace || waited > computeGrace && outside.Load() <= 0 {
			return context.Cause(ctx)
		}
	}
}
