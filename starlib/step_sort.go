package starlib

import (
	"io"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// peeked gives back the chunk that was looked at to see what a stream holds.
type peeked struct {
	cursor
	k    chunk
	have bool
}

func (p *peeked) next(max int) (chunk, error) {
	if p.have {
		p.have = false
		k := p.k
		p.k = chunk{}
		return k, nil
	}
	return p.cursor.next(max)
}

// peek looks at the first chunk. rows says that it holds rows.
func peek(src cursor, max int) (p *peeked, isRows bool, err error) {
	k, err := src.next(max)
	if err != nil {
		return nil, false, err
	}
	isRows = k.batch != nil
	if !isRows {
		_, isRows = k.vals[0].(*Row)
	}
	return &peeked{cursor: src, k: k, have: true}, isRows, nil
}

// sortCursor sorts when its first element is asked for: rows by columns as columns, everything else as values.
type sortCursor struct {
	x   *exec
	s   *Step
	src cursor
	out cursor
	err error
}

func stepSort(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &sortCursor{x: x, s: s, src: src}, nil
}

func (c *sortCursor) next(max int) (chunk, error) {
	if c.err != nil {
		return chunk{}, c.err
	}
	if c.out == nil {
		if c.err = c.sort(); c.err != nil {
			return chunk{}, c.err
		}
	}
	return c.out.next(max)
}

func (c *sortCursor) sort() error {
	p, isRows, err := peek(c.src, chunkSize)
	if err != nil {
		return err
	}
	if isRows && c.s.Fn == nil {
		if len(c.s.Columns) == 0 {
			return stepError("sort", fault.InvalidArgument, "", "rows have no order of their own: name a column")
		}
		c.out, err = sortRows(c.x, c.s, p)
		return err
	}
	vals, keys, err := c.gather(p)
	if err != nil {
		return err
	}
	c.out, err = sortValues(vals, keys, c.s.Desc)
	return err
}

func (c *sortCursor) close() error {
	if c.err == nil {
		c.err = errClosed
	}
	if c.out != nil {
		c.out.close()
	}
	return c.src.close()
}

// gather holds all elements and what they are sorted by.
func (c *sortCursor) gather(src cursor) (vals, keys []starlark.Value, err error) {
	var fn *fnCall
	if c.s.Fn != nil {
		fn = c.x.fn(c.s.Fn)
	}
	var hs headers
	for {
		k, err := src.next(chunkSize)
		if err == io.EOF {
			return vals, keys, c.x.run.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		if err := c.x.run.Charge(int64(k.len()) * 2 * elementBytes); err != nil {
			return nil, nil, err
		}
		for _, v := range k.asValues(&hs) {
			key := v
			switch {
			case fn != nil:
				key, err = fn.call(v)
			case len(c.s.Columns) > 0:
				key, err = columnsOf("sort", &hs, v, c.s.Columns)
			}
			if err != nil {
				return nil, nil, err
			}
			vals, keys = append(vals, v), append(keys, key)
		}
	}
}

// columnsOf returns the named columns of an element: one cell, or a tuple of several.
func columnsOf(op string, hs *headers, v starlark.Value, names []string) (starlark.Value, error) {
	r, ok, err := hs.row(v)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, stepError(op, fault.InvalidArgument, "Leave the columns out, or map the elements to rows first.", "the stream holds %s, which has no columns", v.Type())
	}
	cells := make(starlark.Tuple, len(names))
	for i, n := range names {
		if cells[i] = r.lookup(n); cells[i] == nil {
			return nil, stepError(op, fault.InvalidArgument, fault.ClassOf(r.missing(n)).Hint, "%w", plainError(r.missing(n)))
		}
	}
	if len(cells) == 1 {
		return cells[0], nil
	}
	return cells, nil
}

// sortValues returns the values in the order of their keys. Equal ones keep their order; None is less than all.
func sortValues(vals, keys []starlark.Value, desc bool) (cursor, error) {
	order := make([]int, len(vals))
	for i := range order {
		order[i] = i
	}
	var failed error
	slices.SortStableFunc(order, func(i, j int) int {
		if failed != nil {
			return 0
		}
		n, err := compareKeys(keys[i], keys[j], desc)
		if err != nil {
			failed = stepError("sort", fault.InvalidArgument, "Sort by a function that gives values of one type.", "%w", err)
		}
		return n
	})
	if failed != nil {
		return nil, failed
	}
	out := make([]starlark.Value, len(vals))
	for i, j := range order {
		out[i] = vals[j]
	}
	return &valuesCursor{vals: out}, nil
}

// compareKeys orders two keys; of tuples each element counts on its own, so that None may stand in each.
func compareKeys(a, b starlark.Value, desc bool) (int, error) {
	if x, ok := a.(starlark.Tuple); ok {
		if y, ok := b.(starlark.Tuple); ok {
			for i := range min(len(x), len(y)) {
				if n, err := compareKeys(x[i], y[i], desc); n != 0 || err != nil {
					return n, err
				}
			}
			n := len(x) - len(y)
			if desc {
				n = -n
			}
			return n, nil
		}
	}
	if desc {
		a, b = b, a
	}
	switch {
	case a == starlark.None && b == starlark.None:
		return 0, nil
	case a == starlark.None:
		return -1, nil
	case b == starlark.None:
		return 1, nil
	}
	if less, err := starlark.Compare(syntax.LT, a, b); less || err != nil {
		return -1, err
	}
	more, err := starlark.Compare(syntax.LT, b, a)
	if more {
		return 1, err
	}
	return 0, err
}

// valuesCursor yields values that are at hand.
type valuesCursor struct{ vals []starlark.Value }

func (c *valuesCursor) next(max int) (chunk, error) {
	if len(c.vals) == 0 {
		return chunk{}, io.EOF
	}
	n := min(max, len(c.vals), chunkSize)
	k := chunk{vals: c.vals[:n:n]}
	c.vals = c.vals[n:]
	return k, nil
}

func (c *valuesCursor) close() error { c.vals = nil; return nil }
