package starlib

import (
	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
)

// distinctCursor leaves out elements that came before: rows by columns as columns, other values by their hash.
type distinctCursor struct {
	x    *exec
	s    *Step
	src  cursor
	out  cursor // for rows
	seen *starlark.Set
	hs   headers
	err  error
}

func stepDistinct(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return &distinctCursor{x: x, s: s, src: src}, nil
}

func (c *distinctCursor) next(max int) (chunk, error) {
	if c.err == nil && c.out == nil && c.seen == nil {
		c.err = c.begin(max)
	}
	for c.err == nil {
		if c.out != nil {
			return c.out.next(max)
		}
		k, err := c.src.next(max)
		if err == nil {
			err = c.x.run.Charge(int64(k.len()) * 2 * elementBytes)
		}
		if err != nil {
			c.err = err
			break
		}
		var vals []starlark.Value
		for _, v := range k.asValues(&c.hs) {
			isNew, err := c.isNew(v)
			if err != nil {
				c.err = err
				return chunk{}, err
			}
			if isNew {
				vals = append(vals, v)
			}
		}
		if len(vals) > 0 {
			return chunk{vals: vals}, nil
		}
	}
	return chunk{}, c.err
}

// begin looks at what the stream holds.
func (c *distinctCursor) begin(max int) error {
	p, isRows, err := peek(c.src, max)
	if err != nil {
		return err
	}
	c.src = p
	if isRows {
		c.out, err = distinctRows(c.x, c.s, p)
		return err
	}
	c.seen = starlark.NewSet(64)
	return nil
}

func (c *distinctCursor) isNew(v starlark.Value) (bool, error) {
	key := v
	var err error
	if len(c.s.Columns) > 0 {
		if key, err = columnsOf("distinct", &c.hs, v, c.s.Columns); err != nil {
			return false, err
		}
	}
	had, err := c.seen.Has(key)
	if err == nil && !had {
		err = c.seen.Insert(key)
	}
	if err != nil {
		return false, stepError("distinct", fault.InvalidArgument, "Map the elements to values that can be compared, such as tuples.", "%w", err)
	}
	return !had, nil
}

func (c *distinctCursor) close() error {
	if c.err == nil {
		c.err = errClosed
	}
	if c.out != nil {
		c.out.close()
	}
	return c.src.close()
}
