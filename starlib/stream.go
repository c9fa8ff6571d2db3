package starlib

import (
	"errors"
	"fmt"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

// Stream is a lazy sequence: a plan, and the run that it belongs to. It never changes, and each loop over it runs the
// plan anew. Elements are rows, objects or plain values.
type Stream struct {
	run  *Run
	plan *Plan
}

var (
	_ starlark.Iterable = (*Stream)(nil)
	_ starlark.HasAttrs = (*Stream)(nil)
)

func newStream(run *Run, p *Plan) *Stream { return &Stream{run: run, plan: p} }

// TextSize bounds the length of String.
func (s *Stream) TextSize() int64 { return 4000 }

// Plan returns the stream as data.
func (s *Stream) Plan() *Plan { return s.plan }

func (*Stream) Type() string          { return "stream" }
func (*Stream) Truth() starlark.Bool  { return true }
func (*Stream) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: stream") }

// String names the source and the steps: stream(raw.read("*.csv").filter().sort()).
func (s *Stream) String() string { return "stream(" + s.plan.String() + ")" }

// Iterate runs the plan for a for loop, a comprehension or a built-in. An iterator cannot return an error: one that
// fails keeps the cause with the run, which ends and reports it.
func (s *Stream) Iterate() starlark.Iterator {
	it := &iterator{run: s.run}
	it.err = it.start(newExec(s.run, nil), s.plan)
	return it
}

// Freeze freezes the functions and values of the plan: other threads may run it at the same time.
func (s *Stream) Freeze() {
	for _, v := range s.held() {
		v.Freeze()
	}
}

// held are the functions and values of the plan.
func (s *Stream) held() []starlark.Value { return s.plan.held(nil) }

// In returns the stream as one of another scope: a stream that one thread made and another consumes fails in the scope of
// the consumer.
func (s *Stream) In(r *Run) starlark.Iterable {
	if r == s.run {
		return s
	}
	return newStream(r, s.plan)
}

// EachErr calls fn with every element, on the given thread, and returns the first error of either.
func (s *Stream) EachErr(thread *starlark.Thread, fn func(starlark.Value) error) error {
	run := runOf(thread)
	if run == nil {
		run = s.run
	}
	var f feed
	if err := f.start(newExec(run, thread), s.plan); err != nil {
		return err
	}
	defer f.close()
	for {
		v, err := f.next(1)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(v); err != nil {
			return err
		}
	}
}

// iterator is a running plan behind Starlark's own interface.
type iterator struct {
	feed
	run *Run
	err error
}

// Next yields the next element. A failure ends the run, so that nothing goes on with a part of the elements.
func (it *iterator) Next(p *starlark.Value) bool {
	if it.err == nil {
		var v starlark.Value
		if v, it.err = it.next(1); it.err == nil {
			*p = v
			return true
		}
	}
	if it.err != io.EOF {
		it.run.Fail(it.err)
		it.err = io.EOF
	}
	return false
}

// Done closes what the plan has open.
func (it *iterator) Done() {
	it.err = io.EOF
	it.close()
}

// chunk is what flows between steps: rows as columns, or values one by one. Exactly one field is set.
type chunk struct {
	batch *rows.Batch
	vals  []starlark.Value
}

func (c *chunk) len() int {
	if c.batch != nil {
		return c.batch.N
	}
	return len(c.vals)
}

// cursor is a running plan or part of one. It is used by one goroutine.
type cursor interface {
	// next returns at least one element, or io.EOF at the end; any other error means that elements are missing. A cursor
	// whose steps call functions of the script calls them for no more than max elements of its result.
	next(max int) (chunk, error)
	// close frees what the cursor holds. It may be called twice.
	close() error
}

// elementBytes is about what an element costs whoever keeps it: its value and its place in a list.
const elementBytes = 64

// feed hands out the elements of a plan one by one.
type feed struct {
	x       *exec
	src     cursor
	lazy    bool // functions run for the elements: ask for no more than is used
	hs      headers
	rows    []Row
	vals    []starlark.Value
	i       int
	seen    int // elements since the limits were last looked at
	untrack func()
	err     error
}

// start opens the plan.
func (f *feed) start(x *exec, p *Plan) error {
	f.x = x
	src, err := x.open(p)
	if err != nil {
		f.err = err
		return err
	}
	f.src, f.lazy = src, p.lazy()
	f.untrack = x.run.Track(closer{f.src})
	return nil
}

// closer closes a cursor on behalf of the run that ends.
type closer struct{ cursor }

func (c closer) Close() error { return c.close() }

// next returns the next element, or io.EOF. max is the demand to hand on to a lazy source.
func (f *feed) next(max int) (starlark.Value, error) {
	for {
		if f.i < len(f.rows) {
			f.i++
			return &f.rows[f.i-1], nil
		}
		if f.i < len(f.vals) {
			f.i++
			return f.vals[f.i-1], nil
		}
		if f.err != nil {
			return nil, f.err
		}
		f.refill(max)
	}
}

// refill gets the next chunk.
func (f *feed) refill(max int) {
	f.rows, f.vals, f.i = nil, nil, 0
	if !f.lazy {
		max = chunkSize
	}
	c, err := f.src.next(max)
	if err != nil {
		f.err = f.x.cause(err)
		return
	}
	if f.seen += c.len(); f.seen >= chunkSize { // whoever asks may keep the elements
		if f.err = f.x.run.Charge(int64(f.seen) * elementBytes); f.err == nil {
			f.err = f.x.run.Err()
		}
		if f.seen = 0; f.err != nil {
			return
		}
	}
	if b := c.batch; b != nil {
		f.rows = rowsOf(f.hs.of(b.Schema), b)
		return
	}
	f.vals = c.vals
}

func (f *feed) close() error {
	if f.untrack != nil {
		f.untrack()
		f.untrack = nil
	}
	f.rows, f.vals, f.i = nil, nil, 0
	if f.err == nil {
		f.err = errClosed
	}
	if f.src == nil {
		return nil
	}
	src := f.src
	f.src = nil
	defer f.x.end()
	return src.close()
}

var errClosed = errors.New("stream is closed")

// stepError names the step in the error of a step.
func stepError(op string, code fault.Code, hint, format string, args ...any) error {
	e := fault.Hinted(code, hint, format, args...)
	return &codedError{text: "stream." + op + ": " + e.Err.Error(), cause: e}
}
