package starlib

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxWorkers bounds the threads of one parallel.map.
const maxWorkers = 256

var fnParallelMap = Declare(Func{
	Name: "parallel.map",
	Doc: "Calls fn with each item, several at a time, and returns the results in the order of the items. " +
		"The function, the globals it sees and the items become immutable. " +
		"With on_error=\"fail\" the first failure ends the others and is raised; with \"collect\" a failed item's result is its error, as catch returns it.",
	Returns: "list",
	Example: `
def double(x):
    return x * 2

parallel.map(double, [1, 2, 3])  # -> [2, 4, 6]
[type(x) for x in parallel.map(lambda x: 1 // x, [0, 1], on_error = "collect")]  # -> ["error", "int"]
`}, declareParallel(func(c *Call, j *job) (starlark.Value, error) {
	return starlark.NewList(j.results), nil
}))

var fnParallelEach = Declare(Func{
	Name:    "parallel.each",
	Doc:     "Calls fn with each item as parallel.map does, for what it does instead of what it returns. The result is the list of errors, empty unless on_error is \"collect\".",
	Returns: "list[error]",
	Example: `
parallel.each(lambda x: None, [1, 2, 3])  # -> []
`}, declareParallel(func(c *Call, j *job) (starlark.Value, error) {
	var errs []starlark.Value
	for _, r := range j.results {
		if e, ok := r.(*ErrorValue); ok {
			errs = append(errs, e)
		}
	}
	return starlark.NewList(errs), nil
}))

var parallelModule = NewModule("parallel", "Work on several items at a time.", nil, fnParallelMap, fnParallelEach)

func declareParallel(result func(*Call, *job) (starlark.Value, error)) func(p *Params) Impl {
	return func(p *Params) Impl {
		fn := p.Callable("fn", "A function of one item.")
		items := p.Iterable("items", "The items; all are read before the first call.")
		workers := p.Int("workers", "How many calls run at a time, at most 256.").Default(8)
		onError := p.OneOf("on_error", "Whether a failure ends the whole.", "fail", "collect").Default("fail")
		return func(c *Call) (starlark.Value, error) {
			n := workers.Get(c)
			if n < 1 || n > maxWorkers {
				return nil, c.Errorf("for parameter workers: got %d, want 1 to %d", n, maxWorkers)
			}
			j := &job{fn: fn.Get(c), collect: onError.Get(c) == "collect"}
			err := Each(c.Thread, items.Get(c), func(v starlark.Value) error {
				j.items = append(j.items, v)
				return c.Run.Charge(32)
			})
			if err != nil {
				return nil, err
			}
			if err := j.run(c, int(n)); err != nil {
				return nil, err
			}
			return result(c, j)
		}
	}
}

// job is one parallel.map.
type job struct {
	fn      starlark.Callable
	items   []starlark.Value
	results []starlark.Value
	collect bool

	next   atomic.Int64
	mu     sync.Mutex
	failed error // of the lowest item that failed by itself
	at     int
}

func (j *job) run(c *Call, workers int) error {
	shared := append([]starlark.Value{j.fn}, j.items...)
	if fn, ok := j.fn.(*starlark.Function); ok {
		shared = append(shared, stringDictValues(fn.Globals())...)
	}
	if err := freeze(c.Run, shared...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(c.Run.Ctx)
	defer cancel(nil)
	j.results = make([]starlark.Value, len(j.items))
	var wg sync.WaitGroup
	for range min(workers, len(j.items)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(j.next.Add(1)) - 1
				if i >= len(j.items) {
					return
				}
				if err := j.one(c, ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.Run.Err(); err != nil {
		return err
	}
	return j.failed
}

// one runs item i and keeps its result. Its error ends the job.
func (j *job) one(c *Call, ctx context.Context, i int) error {
	scope := c.Run.fork(ctx, i)
	v, err := scope.Call(scope.NewThread(fmt.Sprintf("item %d", i)), j.fn, starlark.Tuple{j.items[i]}, nil)
	if _, other := scope.behind(err).(*itemError); other || err != nil && ctx.Err() != nil && cancelled(err) {
		_ = scope.end()
		return err // a consequence of what ended the job
	}
	if err != nil {
		err = &itemError{i: i, item: itemText(j.items[i]), frames: err, cause: scope.behind(err)}
	}
	if cerr := scope.end(); err == nil && cerr != nil {
		err = &itemError{i: i, item: itemText(j.items[i]), frames: cerr, cause: cerr}
	}
	switch {
	case err == nil:
		j.results[i] = v
		return nil
	case j.collect && !uncatchable(err):
		j.results[i] = newErrorValue(err.(*itemError).cause)
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil || i < j.at {
		j.failed, j.at = err, i
	}
	return err
}

// itemError says which item failed. Its chain holds both the failure and the frames of its thread.
type itemError struct {
	i      int
	item   string
	frames error // what the thread returned
	cause  error // the failure, which is not the same when the thread was cancelled for it
}

func (e *itemError) Error() string {
	return fmt.Sprintf("item %d%s: %s", e.i, e.item, e.cause.Error())
}

func (e *itemError) Unwrap() []error {
	if e.cause == e.frames {
		return []error{e.cause}
	}
	return []error{e.cause, e.frames}
}

// itemText shows short items.
func itemText(v starlark.Value) string {
	if n, err := textSize(v, 1000); err == nil && n <= 200 {
		return " (" + bound(fault.Printable(v.String()), 80) + ")"
	}
	return ""
}
