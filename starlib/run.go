package starlib

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

// Run is the scope that a thread of a script executes in. The entry script has one; each item of parallel.map has its
// own below it, so that an item's failure, its handles and its cancellation stay its own. Host functions find theirs
// in Call.Run. It is safe for concurrent use.
type Run struct {
	Ctx     context.Context // ends when the scope is cancelled or a limit is reached; its cause says why
	Host    Host
	Limits  Limits
	Indices []int // the positions of the enclosing parallel items, outermost first; do not modify

	execution *execution
	mu        sync.Mutex
	cause     error       // of a failure that an iterator could not return
	failed    atomic.Bool // there is a cause: Err is asked after every call of a function
	threads   []*starlark.Thread
	stops     []func() bool
	open      []*tracked
	ended     bool
}

// execution is what all scopes of one execution share.
type execution struct {
	cancel  context.CancelCauseFunc
	meter   *meter
	out     *printer
	loader  *loader
	program *Program
	cover   *Coverage // nil: nothing is counted
	shell   *Shell    // of a statement; nil for scripts
	clock   clock.Clock
	outside atomic.Int64 // threads in a call that reaches a store or topic
}

type tracked struct{ io.Closer }

// runKey is the thread-local name of the scope. It is set before execution begins, never later.
const runKey = "dsrun.run"

// scope is what a thread knows of itself.
type scope struct {
	run     *Run
	outside bool // its innermost call of a function reaches out; only its own thread uses it
}

// runOf returns the scope of a thread, or nil for a thread that NewThread did not make.
func runOf(thread *starlark.Thread) *Run {
	if s, ok := thread.Local(runKey).(*scope); ok {
		return s.run
	}
	return nil
}

// NewThread returns a thread of the scope, with the limits of the run. It is cancelled when Ctx ends.
func (r *Run) NewThread(name string) *starlark.Thread {
	t := &starlark.Thread{Name: name, Print: r.execution.out.print}
	if r.execution.loader != nil {
		t.Load = r.execution.loader.load
	}
	t.SetLocal(runKey, &scope{run: r})
	r.execution.meter.watch(t, r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.threads = append(r.threads, t)
	r.stops = append(r.stops, context.AfterFunc(r.Ctx, func() { t.Cancel(cancelText(context.Cause(r.Ctx))) }))
	return t
}

// fork returns a scope below r for one parallel item.
func (r *Run) fork(ctx context.Context, index int) *Run {
	return &Run{Ctx: ctx, Host: r.Host, Limits: r.Limits, Indices: append(slices.Clip(r.Indices), index), execution: r.execution}
}

// Charge asks for n bytes before they are allocated. Its error, of code limit, says that the memory limit would be
// exceeded; the run is over then, and the error cannot be caught.
func (r *Run) Charge(n int64) error {
	if r == nil {
		return nil
	}
	return r.execution.meter.charge(r, n)
}

// Fail remembers err as the cause of a failure that cannot be returned where it happens (an iterator's Next) and stops
// the scope's threads, so that the script does not go on with half of the data. The first cause stands.
func (r *Run) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil {
		r.cause = err
		r.failed.Store(true)
	}
	for _, t := range r.threads {
		t.Cancel(cancelText(err))
	}
}

// Err returns why the scope must not go on: the cause of the context's end, else the cause given to Fail, else nil.
// Go code that has consumed an iterator or called a function of the script asks it; Each and Call do so.
func (r *Run) Err() error {
	if r == nil {
		return nil
	}
	if r.Ctx.Err() != nil {
		return context.Cause(r.Ctx)
	}
	if !r.failed.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// stop ends the whole run because of a limit: nothing can catch err.
func (r *Run) stop(err error) {
	r.execution.cancel(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.threads {
		t.Cancel(cancelText(err))
	}
}

// Track makes sure that c is closed when the scope ends, however it ends. untrack is for what was closed before.
func (r *Run) Track(c io.Closer) (untrack func()) {
	t := &tracked{c}
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		_ = c.Close()
		return func() {}
	}
	r.open = append(r.open, t)
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if i := slices.Index(r.open, t); i >= 0 {
			r.open = slices.Delete(r.open, i, i+1)
		}
	}
}

// end closes what is still open, last opened first, and lets go of the threads. It returns the errors of closing.
func (r *Run) end() error {
	r.mu.Lock()
	open, stops := r.open, r.stops
	r.open, r.stops, r.ended = nil, nil, true
	r.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	var errs []error
	for _, t := range slices.Backward(open) {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// Call calls a function of the script from Go. Unlike starlark.Call it reports a failure that an iterator met during
// the call although the function returned, and it contains panics.
func (r *Run) Call(thread *starlark.Thread, fn starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, &PanicError{Where: nameOf(fn), Value: p, Stack: debug.Stack()}
		}
	}()
	v, err = starlark.Call(thread, fn, args, kwargs)
	if err == nil {
		if err = r.Err(); err != nil {
			v = nil
		}
	}
	return v, err
}

func nameOf(fn starlark.Value) string {
	if c, ok := fn.(starlark.Callable); ok {
		return c.Name()
	}
	return fn.Type()
}

// cancelText is the reason given to Thread.Cancel. What is reported in the end is the cause itself.
func cancelText(cause error) string {
	if cause == nil {
		return "cancelled"
	}
	return bound(cause.Error(), 1000)
}

// stopError is a limit of the run that was reached. Neither catch nor on_error="collect" holds it back.
type stopError struct {
	text  string
	cause *fault.Error
}

func (e *stopError) Error() string { return e.text }
func (e *stopError) Unwrap() error { return e.cause }

// Source is an iterable that can say that it failed. Go code consumes iterables with Each, never with Iterate alone.
type Source interface {
	starlark.Iterable
	// EachErr calls fn with every element until fn or the source fails.
	EachErr(thread *starlark.Thread, fn func(starlark.Value) error) error
}

// Scoped is an iterable that reports its failures to a scope. Iterate receives no thread, so a loop asks for the
// iterable of its own scope first: a stream that one thread made and another consumes stops the consumer.
type Scoped interface {
	starlark.Iterable
	// In returns the same elements; an iterator of the result calls r.Fail when it fails, and uses r.Ctx.
	In(r *Run) starlark.Iterable
}

// Each calls fn with every element of it and returns the first error: fn's, or the failure of the iterable itself,
// which a plain iterator cannot tell from its end. Side effects that must not happen on half of the data belong after
// it has returned nil.
func Each(thread *starlark.Thread, it starlark.Iterable, fn func(starlark.Value) error) error {
	if s, ok := it.(Source); ok {
		return s.EachErr(thread, fn)
	}
	if s, ok := it.(Scoped); ok {
		it = s.In(runOf(thread))
	}
	iter := it.Iterate()
	defer iter.Done()
	var v starlark.Value
	for iter.Next(&v) {
		if err := fn(v); err != nil {
			return err
		}
	}
	return runOf(thread).Err()
}
