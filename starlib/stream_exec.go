package starlib

import (
	"context"
	"io"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// chunkSize is how many elements steps exchange at once when no function of the script is involved.
const chunkSize = rows.BatchSize

// exec is one running of a plan.
type exec struct {
	run    *Run
	ctx    context.Context
	thread *starlark.Thread // that functions are called on; nil: made when the first one is
	made   bool
}

func newExec(run *Run, thread *starlark.Thread) *exec {
	return &exec{run: run, ctx: run.Ctx, thread: thread}
}

// call calls a function of the script for a step. One fnCall is used by one goroutine.
type fnCall struct {
	x    *exec
	ref  *FuncRef
	args starlark.Tuple // used again for functions written in Starlark, which do not keep it
}

// cause is err, or why the run has ended: what was under way then fails as cancelled, which is a consequence.
func (x *exec) cause(err error) error {
	if err != nil && err != io.EOF && x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return err
}

// end lets go of the thread, when the exec made it.
func (x *exec) end() {
	if x.made {
		x.run.dropThread(x.thread)
		x.thread, x.made = nil, false
	}
}

// dropThread forgets a thread that has nothing more to execute.
func (r *Run) dropThread(t *starlark.Thread) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.threads, t); i >= 0 {
		r.threads = slices.Delete(r.threads, i, i+1)
		if i < len(r.stops) {
			r.stops[i]()
			r.stops = slices.Delete(r.stops, i, i+1)
		}
	}
}

func (x *exec) fn(ref *FuncRef) *fnCall { return &fnCall{x: x, ref: ref} }

func (f *fnCall) call(args ...starlark.Value) (starlark.Value, error) {
	if f.x.thread == nil {
		f.x.thread, f.x.made = f.x.run.NewThread("stream"), true
	}
	if _, ok := f.ref.fn.(*starlark.Function); ok {
		f.args = append(f.args[:0], args...)
		return f.x.run.Call(f.x.thread, f.ref.fn, f.args, nil)
	}
	return f.x.run.Call(f.x.thread, f.ref.fn, slices.Clone(args), nil)
}

// open runs a plan.
func (x *exec) open(p *Plan) (cursor, error) {
	c, err := x.source(&p.Source)
	if err != nil {
		return nil, err
	}
	lazy := slices.ContainsFunc(p.Source.Plans, (*Plan).lazy)
	for i := range p.Steps {
		s := &p.Steps[i]
		def := stepOf(s.Op)
		if def == nil {
			c.close()
			return nil, fault.New(fault.Internal, "the plan has an unknown step %q", s.Op)
		}
		next, err := def(x, s, c, lazy)
		if err != nil {
			c.close()
			return nil, err
		}
		c = next
		lazy = (&Plan{Source: p.Source, Steps: p.Steps[:i+1]}).lazy()
	}
	return c, nil
}

// source opens the source of a plan.
func (x *exec) source(s *PlanSource) (cursor, error) {
	switch s.Op {
	case "list":
		return openList(x, s)
	case "read":
		return openRead(x, s)
	case "lines":
		return openLines(x, s)
	case "of":
		return &ofCursor{x: x, it: s.values}, nil
	case "concat":
		return &concatCursor{x: x, plans: s.Plans}, nil
	}
	return nil, fault.New(fault.Internal, "the plan has an unknown source %q", s.Op)
}

// drain calls fn with every chunk of a plan.
func (x *exec) drain(p *Plan, fn func(chunk) error) error {
	src, err := x.open(p)
	if err != nil {
		return err
	}
	untrack := x.run.Track(closer{src})
	defer src.close()
	defer untrack()
	seen := 0
	for {
		c, err := src.next(chunkSize)
		if err == io.EOF {
			return x.run.Err()
		}
		if err != nil {
			return x.cause(err)
		}
		if seen += c.len(); seen > chunkSize { // sources without functions would never notice the end of the run
			seen = 0
			if err := x.run.Err(); err != nil {
				return err
			}
		}
		if err := fn(c); err != nil {
			return x.cause(err)
		}
	}
}

// ofCursor yields the elements of a list or another iterable. Dicts and structs become rows when the first element is
// one.
type ofCursor struct {
	x    *exec
	it   starlark.Iterable
	iter starlark.Iterator
	kind elemKind
	hs   headers
	err  error
}

func (c *ofCursor) next(max int) (chunk, error) {
	if c.err != nil {
		return chunk{}, c.err
	}
	if c.iter == nil {
		c.iter = c.it.Iterate()
	}
	// A range can be endless for all purposes, and no step of the interpreter may pass between two elements.
	if c.err = c.x.run.Err(); c.err != nil {
		return chunk{}, c.err
	}
	vals := make([]starlark.Value, 0, min(max, chunkSize))
	var v starlark.Value
	for len(vals) < min(max, chunkSize) && c.iter.Next(&v) {
		e, err := c.kind.element("of", &c.hs, v)
		if err != nil {
			c.err = err
			return chunk{}, err
		}
		vals = append(vals, e)
	}
	if len(vals) == 0 {
		if c.err = c.x.run.Err(); c.err == nil {
			c.err = io.EOF
		}
		return chunk{}, c.err
	}
	return chunk{vals: vals}, nil
}

func (c *ofCursor) close() error {
	if c.iter != nil {
		c.iter.Done()
		c.iter = nil
	}
	if c.err == nil {
		c.err = errClosed
	}
	return nil
}

// elemKind is what the elements of a stream of a script's own making are, as the first one decides.
type elemKind int

const (
	kindUnknown elemKind = iota
	kindRows             // rows, and dicts and structs made into rows
	kindValues
)

// element returns v as an element: a dict or struct becomes a row. A stream holds either rows or other values.
func (k *elemKind) element(op string, hs *headers, v starlark.Value) (starlark.Value, error) {
	switch v.(type) {
	case *Row, *starlark.Dict, *starlarkstruct.Struct:
		if *k == kindUnknown {
			*k = kindRows
		}
		if *k != kindRows {
			return nil, mixed(op, v, "other values")
		}
		r, _, err := hs.row(v)
		if err != nil {
			return nil, stepError(op, fault.InvalidArgument, "", "%w", err)
		}
		return r, nil
	}
	if *k == kindUnknown {
		*k = kindValues
	}
	if *k != kindValues {
		return nil, mixed(op, v, "rows")
	}
	return v, nil
}

func mixed(op string, v starlark.Value, others string) error {
	return stepError(op, fault.InvalidArgument, "A stream holds either rows (rows, dicts, structs) or other values.", "got %s among %s", v.Type(), others)
}

// concatCursor yields the elements of plans one after another.
type concatCursor struct {
	x     *exec
	plans []*Plan
	cur   cursor
	err   error
}

func (c *concatCursor) next(max int) (chunk, error) {
	for c.err == nil {
		if c.cur == nil {
			if len(c.plans) == 0 {
				c.err = io.EOF
				break
			}
			if c.cur, c.err = c.x.open(c.plans[0]); c.err != nil {
				break
			}
			c.plans = c.plans[1:]
		}
		k, err := c.cur.next(max)
		if err == nil {
			return k, nil
		}
		if err != io.EOF {
			c.err = err
			break
		}
		c.err = c.cur.close()
		c.cur = nil
	}
	return chunk{}, c.err
}

func (c *concatCursor) close() error {
	c.plans = nil
	if c.err == nil {
		c.err = errClosed
	}
	if c.cur == nil {
		return nil
	}
	cur := c.cur
	c.cur = nil
	return cur.close()
}

// stepConcat runs the plans after the source.
func stepConcat(x *exec, s *Step, src cursor, _ bool) (cursor, error) {
	return &concatCursor{x: x, plans: s.Plans, cur: src}, nil
}
