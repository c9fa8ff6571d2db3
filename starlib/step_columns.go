package starlib

import (
	"io"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

// stepDef runs a step over the cursor of what comes before it. lazy says that functions run there for each element.
type stepDef func(x *exec, s *Step, src cursor, lazy bool) (cursor, error)

// stepOf returns a step by its name in plans, or nil.
func stepOf(op string) stepDef {
	switch op {
	case "map":
		return stepMap
	case "filter":
		return stepFilter
	case "flat_map":
		return stepFlatMap
	case "select":
		return stepSelect
	case "drop":
		return stepDrop
	case "rename":
		return stepRename
	case "add":
		return stepAdd
	case "cast":
		return stepCast
	case "take":
		return func(x *exec, s *Step, src cursor, lazy bool) (cursor, error) { return &takeCursor{src, s.N}, nil }
	case "skip":
		return func(x *exec, s *Step, src cursor, lazy bool) (cursor, error) { return &skipCursor{src, s.N}, nil }
	case "batch":
		return stepBatch
	case "enumerate":
		return stepEnumerate
	case "distinct":
		return stepDistinct
	case "sort":
		return stepSort
	case "join":
		return stepJoin
	case "concat":
		return stepConcat
	case "group":
		return stepGroup
	case "stats":
		return stepStats
	}
	return nil
}

// batchCursor applies a function to each batch.
type batchCursor struct {
	src   cursor
	to    batcher
	apply func(*rows.Batch) (*rows.Batch, error)
}

func (c *batchCursor) next(max int) (chunk, error) {
	for {
		k, err := c.src.next(max)
		if err != nil {
			return chunk{}, err
		}
		b, err := c.to.of(k)
		if err != nil {
			return chunk{}, err
		}
		if b, err = c.apply(b); err != nil {
			return chunk{}, err
		}
		if b.N > 0 {
			return chunk{batch: b}, nil
		}
	}
}

func (c *batchCursor) close() error { return c.src.close() }

// project runs a step that only picks and names columns. pick gives the names and the positions for a schema.
func project(op string, src cursor, pick func(*rows.Schema) (names []string, idx []int, err error)) cursor {
	var p projection
	return &batchCursor{src: src, to: batcher{op: op}, apply: func(b *rows.Batch) (*rows.Batch, error) {
		if p.in != b.Schema {
			names, idx, err := pick(b.Schema)
			if err == nil {
				p.in, p.idx = b.Schema, idx
				p.out, err = schemaOf(b.Schema, names, idx)
			}
			if err != nil {
				p.in = nil
				return nil, stepError(op, fault.InvalidArgument, fault.ClassOf(err).Hint, "%w", plainError(err))
			}
		}
		return p.apply(b), nil
	}}
}

// plainError is the cause of a fault that says nothing but its code.
func plainError(err error) error {
	if e, ok := err.(*fault.Error); ok && e.Op == "" && e.Err != nil {
		return e.Err
	}
	return err
}

// position returns the place of a column; -1 when the records name their own fields and none in sight has it.
func position(s *rows.Schema, name string) (int, error) {
	i := s.Index(name)
	if i < 0 && !s.Open {
		return -1, unknownColumn(name, s.Names)
	}
	return i, nil
}

func stepSelect(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return project("select", src, func(in *rows.Schema) ([]string, []int, error) {
		idx := make([]int, len(s.Columns))
		for i, n := range s.Columns {
			var err error
			if idx[i], err = position(in, n); err != nil {
				return nil, nil, err
			}
		}
		return s.Columns, idx, nil
	}), nil
}

func stepDrop(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return project("drop", src, func(in *rows.Schema) (names []string, idx []int, err error) {
		for _, n := range s.Columns {
			if _, err := position(in, n); err != nil {
				return nil, nil, err
			}
		}
		for i, n := range in.Names {
			if !slices.Contains(s.Columns, n) {
				names, idx = append(names, n), append(idx, i)
			}
		}
		return names, idx, nil
	}), nil
}

func stepRename(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return project("rename", src, func(in *rows.Schema) (names []string, idx []int, err error) {
		names = slices.Clone(in.Names)
		for _, p := range s.Pairs {
			i, err := position(in, p[0])
			if err != nil {
				return nil, nil, err
			}
			if i >= 0 {
				names[i] = p[1]
			}
		}
		idx = make([]int, len(names))
		for i := range idx {
			idx[i] = i
		}
		return names, idx, nil
	}), nil
}

// takeCursor ends after n elements.
type takeCursor struct {
	src  cursor
	left int64
}

func (c *takeCursor) next(max int) (chunk, error) {
	if c.left <= 0 {
		c.src.close() // nothing more is wanted of it
		return chunk{}, io.EOF
	}
	k, err := c.src.next(int(min(int64(max), c.left)))
	if err != nil {
		return chunk{}, err
	}
	if int64(k.len()) > c.left {
		k = k.slice(0, int(c.left))
	}
	c.left -= int64(k.len())
	return k, nil
}

func (c *takeCursor) close() error { return c.src.close() }

// skipCursor leaves out the first n elements.
type skipCursor struct {
	src  cursor
	left int64
}

func (c *skipCursor) next(max int) (chunk, error) {
	for {
		k, err := c.src.next(max)
		if err != nil {
			return chunk{}, err
		}
		n := int64(k.len())
		if n > c.left {
			k = k.slice(int(c.left), int(n))
			c.left = 0
			return k, nil
		}
		c.left -= n
	}
}

func (c *skipCursor) close() error { return c.src.close() }

// slice returns the elements from lo to hi.
func (c chunk) slice(lo, hi int) chunk {
	if c.batch != nil {
		return chunk{batch: sliceBatch(c.batch, lo, hi)}
	}
	return chunk{vals: c.vals[lo:hi]}
}

// asValues returns the elements one by one.
func (c chunk) asValues(hs *headers) []starlark.Value {
	if c.batch == nil {
		return c.vals
	}
	rs := rowsOf(hs.of(c.batch.Schema), c.batch)
	out := make([]starlark.Value, len(rs))
	for i := range rs {
		out[i] = &rs[i]
	}
	return out
}
