package starlib

import (
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

// items hands the elements of a source to a step one by one. Columns are taken ahead, which costs nothing but memory;
// elements that functions make are asked for one at a time, when they are wanted.
type items struct {
	src  cursor
	lazy bool
	hs   headers
	rows []Row
	vals []starlark.Value
	i    int
}

// more makes sure that there is an element at hand.
func (t *items) more(max int) error {
	if t.i < len(t.rows) || t.i < len(t.vals) {
		return nil
	}
	t.rows, t.vals, t.i = nil, nil, 0
	if !t.lazy {
		max = chunkSize
	}
	c, err := t.src.next(max)
	if err != nil {
		return err
	}
	if c.batch != nil {
		t.rows = rowsOf(t.hs.of(c.batch.Schema), c.batch)
	} else {
		t.vals = c.vals
	}
	return nil
}

// ready is how many elements are at hand.
func (t *items) ready() int { return len(t.rows) + len(t.vals) - t.i }

// take returns the next element at hand.
func (t *items) take() starlark.Value {
	t.i++
	if t.rows != nil {
		return &t.rows[t.i-1]
	}
	return t.vals[t.i-1]
}

func (t *items) close() error {
	t.rows, t.vals, t.i = nil, nil, 0
	return t.src.close()
}

// mapCursor replaces each element by what fn makes of it.
type mapCursor struct {
	items
	fn   *fnCall
	kind elemKind
	out  headers
}

func stepMap(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &mapCursor{items: items{src: src, lazy: lazy}, fn: x.fn(s.Fn)}, nil
}

func (c *mapCursor) next(max int) (chunk, error) {
	if err := c.more(max); err != nil {
		return chunk{}, err
	}
	out := make([]starlark.Value, 0, min(max, c.ready()))
	for len(out) < max && c.ready() > 0 {
		v, err := c.fn.call(c.take())
		if err != nil {
			return chunk{}, err
		}
		if v == starlark.None {
			return chunk{}, stepError("map", fault.InvalidArgument, "End the function with return; .each() calls one for its effect.",
				"function %s returned None, want row, dict or value", c.fn.ref.fn.Name())
		}
		if v, err = c.kind.element("map", &c.out, v); err != nil {
			return chunk{}, err
		}
		out = append(out, v)
	}
	return chunk{vals: out}, nil
}

// filterCursor keeps the elements that fn finds true.
type filterCursor struct {
	items
	fn *fnCall
}

func stepFilter(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &filterCursor{items: items{src: src, lazy: lazy}, fn: x.fn(s.Fn)}, nil
}

func (c *filterCursor) next(max int) (chunk, error) {
	var out []starlark.Value
	for len(out) == 0 {
		if err := c.more(max); err != nil {
			return chunk{}, err
		}
		for len(out) < max && c.ready() > 0 {
			e := c.take()
			v, err := c.fn.call(e)
			if err != nil {
				return chunk{}, err
			}
			if !v.Truth() {
				continue
			}
			if out == nil {
				out = make([]starlark.Value, 0, min(max, c.ready()+1))
			}
			out = append(out, e)
		}
	}
	return chunk{vals: out}, nil
}

// flatMapCursor replaces each element by all elements of what fn makes of it.
type flatMapCursor struct {
	items
	fn    *fnCall
	x     *exec
	inner cursor
	kind  elemKind
	out   headers
}

func stepFlatMap(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &flatMapCursor{items: items{src: src, lazy: lazy}, fn: x.fn(s.Fn), x: x}, nil
}

func (c *flatMapCursor) next(max int) (chunk, error) {
	for {
		if c.inner != nil {
			k, err := c.inner.next(max)
			if err == nil {
				return c.elements(k)
			}
			inner := c.inner
			c.inner = nil
			if cerr := inner.close(); err == io.EOF {
				err = cerr
			}
			if err != nil {
				return chunk{}, err
			}
		}
		if err := c.more(1); err != nil {
			return chunk{}, err
		}
		v, err := c.fn.call(c.take())
		if err != nil {
			return chunk{}, err
		}
		switch v := v.(type) {
		case *Stream:
			c.inner, err = c.x.open(v.plan)
		case *starlark.List, starlark.Tuple, *starlark.Set:
			c.inner = &ofCursor{x: c.x, it: v.(starlark.Iterable)}
		default:
			err = stepError("flat_map", fault.InvalidArgument, "Return the elements as a list, tuple or stream; use map for one element.",
				"function %s returned %s, want list, tuple, set or stream", c.fn.ref.fn.Name(), v.Type())
		}
		if err != nil {
			return chunk{}, err
		}
	}
}

// elements sees to it that the elements of all results are of one kind.
func (c *flatMapCursor) elements(k chunk) (chunk, error) {
	if k.batch != nil {
		if c.kind == kindValues {
			return chunk{}, mixed("flat_map", &Row{}, "other values")
		}
		c.kind = kindRows
		return k, nil
	}
	for _, v := range k.vals {
		if _, err := c.kind.element("flat_map", &c.out, v); err != nil {
			return chunk{}, err
		}
	}
	return k, nil
}

func (c *flatMapCursor) close() error {
	if c.inner != nil {
		c.inner.close()
		c.inner = nil
	}
	return c.items.close()
}

// batchesCursor gathers n elements into a list.
type batchesCursor struct {
	items
	n int
}

func stepBatch(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &batchesCursor{items: items{src: src, lazy: lazy}, n: int(s.N)}, nil
}

func (c *batchesCursor) next(max int) (chunk, error) {
	var list []starlark.Value
	for len(list) < c.n {
		if err := c.more(c.n - len(list)); err == io.EOF && len(list) > 0 {
			break
		} else if err != nil {
			return chunk{}, err
		}
		list = append(list, c.take())
	}
	return chunk{vals: []starlark.Value{starlark.NewList(list)}}, nil
}

// enumerateCursor pairs each element with its number.
type enumerateCursor struct {
	items
	n int64
}

func stepEnumerate(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &enumerateCursor{items: items{src: src, lazy: lazy}, n: s.N}, nil
}

func (c *enumerateCursor) next(max int) (chunk, error) {
	if err := c.more(max); err != nil {
		return chunk{}, err
	}
	out := make([]starlark.Value, 0, min(max, c.ready()))
	for len(out) < max && c.ready() > 0 {
		out = append(out, starlark.Tuple{starlark.MakeInt64(c.n), c.take()})
		c.n++
	}
	return chunk{vals: out}, nil
}

// addCursor adds columns to rows, or replaces them.
type addCursor struct {
	items
	to    batcher
	names []string
	fns   []*fnCall // nil: the value
	vals  []starlark.Value
	calls bool
	batch *rows.Batch    // what is left of it, when columns are made of columns
	last  []*rows.Schema // after each column, of the last batch
	n     int64          // rows so far
}

func stepAdd(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	c := &addCursor{items: items{src: src, lazy: lazy}, to: batcher{op: "add"}, calls: s.calls()}
	for _, a := range s.Add {
		c.names = append(c.names, a.Name)
		c.vals = append(c.vals, a.value)
		if a.Fn != nil {
			c.fns = append(c.fns, x.fn(a.Fn))
		} else {
			c.fns = append(c.fns, nil)
		}
	}
	c.last = make([]*rows.Schema, len(c.names))
	return c, nil
}

func (c *addCursor) next(max int) (chunk, error) {
	if c.batch == nil && (c.calls && max == 1 || c.ready() > 0) {
		if err := c.more(max); err != nil {
			return chunk{}, err
		}
		return c.addToRow(c.take())
	}
	b := c.batch
	if b == nil {
		k, err := c.rest(max)
		if err != nil {
			return chunk{}, err
		}
		if b, err = c.to.of(k); err != nil {
			return chunk{}, err
		}
	}
	c.batch = nil
	if c.calls && b.N > max {
		b, c.batch = rows.Slice(b, 0, max), rows.Slice(b, max, b.N)
	}
	return c.addToBatch(b)
}

// rest is the next chunk of the source.
func (c *addCursor) rest(max int) (chunk, error) {
	if !c.lazy {
		max = chunkSize
	}
	return c.src.next(max)
}

// addToRow makes a row with cells of its own.
func (c *addCursor) addToRow(v starlark.Value) (chunk, error) {
	c.n++
	r, ok, err := c.to.hs.row(v)
	if err != nil || !ok {
		_, err := c.to.of(chunk{vals: []starlark.Value{v}}) // says what is wrong
		return chunk{}, err
	}
	h := r.h.extend(c.names)
	out := r.detach(h)
	for i, n := range c.names {
		x := c.vals[i]
		if c.fns[i] != nil {
			if x, err = c.fns[i].call(r); err != nil {
				return chunk{}, err
			}
		}
		out.cells[h.of(n)] = x
	}
	return chunk{vals: []starlark.Value{out}}, nil
}

// addToBatch makes columns.
func (c *addCursor) addToBatch(b *rows.Batch) (chunk, error) {
	h := c.hs.of(b.Schema)
	rs := rowsOf(h, b)
	made := make([]rows.ColumnBuilder, len(c.names))
	for j := range rs {
		c.n++
		for i, n := range c.names {
			x := c.vals[i]
			if c.fns[i] != nil {
				var err error
				if x, err = c.fns[i].call(&rs[j]); err != nil {
					return chunk{}, err
				}
			}
			if err := appendValue(&made[i], x); err != nil {
				return chunk{}, stepError("add", fault.InvalidArgument, "", "row %d: column %q: %w", c.n, n, err)
			}
		}
	}
	for i, n := range c.names {
		b = rows.With(b, n, made[i].Finish(), c.last[i])
		c.last[i] = b.Schema
	}
	return chunk{batch: b}, nil
}
