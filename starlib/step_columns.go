package starlib

import (
	"io"

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

// transform runs a step that makes a batch of a batch. The columns that it needs are looked for first, once a schema.
func transform(op string, src cursor, needs []string, fn rows.Transform) cursor {
	var seen *rows.Schema
	return &batchCursor{src: src, to: batcher{op: op}, apply: func(b *rows.Batch) (*rows.Batch, error) {
		if seen != b.Schema {
			if err := haveColumns(op, b.Schema, needs); err != nil {
				return nil, err
			}
			seen = b.Schema
		}
		out, err := fn(b)
		if err != nil {
			return nil, nameStep(op, err)
		}
		return out, nil
	}}
}

// nameStep names the step in an error that says nothing but its class and cause.
func nameStep(op string, err error) error {
	if e, ok := err.(*fault.Error); ok && e.Op == "" {
		return stepError(op, e.Class.Code, e.Class.Hint, "%w", plainError(err))
	}
	return err
}

// haveColumns refuses columns that a schema lacks, unless its records name their own fields.
func haveColumns(op string, s *rows.Schema, names []string) error {
	for _, n := range names {
		if s.Index(n) < 0 && !s.Open {
			return nameStep(op, unknownColumn(n, s.Names))
		}
	}
	return nil
}

// plainError is the cause of a fault that says nothing but its code.
func plainError(err error) error {
	if e, ok := err.(*fault.Error); ok && e.Op == "" && e.Err != nil {
		return e.Err
	}
	return err
}

func stepSelect(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return transform("select", src, s.Columns, rows.Select(s.Columns...)), nil
}

func stepDrop(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return transform("drop", src, s.Columns, rows.Drop(s.Columns...)), nil
}

func stepRename(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	to := map[string]string{}
	for _, p := range s.Pairs {
		to[p[0]] = p[1]
	}
	return transform("rename", src, firsts(s.Pairs), rows.Rename(to)), nil
}

// firsts returns the first of each pair.
func firsts(pairs [][2]string) []string {
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p[0]
	}
	return out
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
		return chunk{batch: rows.Slice(c.batch, lo, hi)}
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
