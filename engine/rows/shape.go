package rows

import (
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// Transform makes a batch of another one. It remembers what it found out about a schema, so it is used by one goroutine
// at a time, and the batches of one input schema share one output schema.
type Transform func(*Batch) (*Batch, error)

// UnknownColumn is the error for a name that a schema lacks.
func UnknownColumn(name string, s *Schema) error {
	names, more := s.Names, ""
	if len(names) > 40 {
		names, more = names[:40], fmt.Sprintf(" and %d more", len(s.Names)-40)
	}
	return fault.New(fault.InvalidArgument, "no column is named %q; there are %s%s", name, strings.Join(names, ", "), more)
}

// absentColumn is a column of n absent cells.
func absentColumn(n int) Column {
	c := Column{Type: Any, Any: make([]any, n), Absent: make(Bits, (n+63)>>6)}
	for i := range c.Absent {
		c.Absent[i] = ^uint64(0)
	}
	c.Absent = c.Absent.clear(n)
	return c
}

// pick returns a transform that takes columns by position; -1 stands for an absent one. The plan is made once a schema.
func pick(plan func(s *Schema) (names []string, from []int, err error)) Transform {
	var in, out *Schema
	var from []int
	return func(b *Batch) (*Batch, error) {
		if b.Schema != in {
			names, cols, err := plan(b.Schema)
			if err != nil {
				return nil, err
			}
			types := make([]Type, len(cols))
			for i, c := range cols {
				if c >= 0 {
					types[i] = b.Schema.Types[c]
				}
			}
			in, out, from = b.Schema, NewSchema(names, types), cols
			out.Open = in.Open
		}
		res := &Batch{Schema: out, N: b.N, First: b.First, Cols: make([]Column, len(from))}
		for i, c := range from {
			if c >= 0 {
				res.Cols[i] = b.Cols[c]
			} else {
				res.Cols[i] = absentColumn(b.N)
			}
		}
		return res, nil
	}
}

// Select keeps the named columns, in this order. A name that is not there is an error, or absent when the schema is open.
func Select(names ...string) Transform {
	return pick(func(s *Schema) ([]string, []int, error) {
		from := make([]int, len(names))
		for i, n := range names {
			if from[i] = s.Index(n); from[i] < 0 && !s.Open {
				return nil, nil, UnknownColumn(n, s)
			}
			for _, before := range names[:i] {
				if before == n {
					return nil, nil, fault.New(fault.InvalidArgument, "column %q is selected twice", n)
				}
			}
		}
		return names, from, nil
	})
}

// Drop leaves the named columns out. A name that is not there is an error unless the schema is open.
func Drop(names ...string) Transform {
	return pick(func(s *Schema) (left []string, from []int, err error) {
		gone := map[string]bool{}
		for _, n := range names {
			if s.Index(n) < 0 && !s.Open {
				return nil, nil, UnknownColumn(n, s)
			}
			gone[n] = true
		}
		for i, n := range s.Names {
			if !gone[n] {
				left, from = append(left, n), append(from, i)
			}
		}
		return left, from, nil
	})
}

// Rename gives columns new names, old to new. An old name that is not there is an error unless the schema is open, and
// so are two columns of one name.
func Rename(names map[string]string) Transform {
	return pick(func(s *Schema) ([]string, []int, error) {
		for n := range names {
			if s.Index(n) < 0 && !s.Open {
				return nil, nil, UnknownColumn(n, s)
			}
		}
		out, from, seen := make([]string, len(s.Names)), make([]int, len(s.Names)), map[string]bool{}
		for i, n := range s.Names {
			if to, ok := names[n]; ok {
				n = to
			}
			if seen[n] {
				return nil, nil, fault.New(fault.InvalidArgument, "two columns would be named %q", n)
			}
			seen[n] = true
			out[i], from[i] = n, i
		}
		return out, from, nil
	})
}

// Cast converts columns as Convert does. A value that cannot be converted is bad_row, with its row and column.
func Cast(types map[string]Type) Transform {
	var in, out *Schema
	return func(b *Batch) (*Batch, error) {
		if b.Schema != in {
			to := make([]Type, len(b.Schema.Types))
			copy(to, b.Schema.Types)
			for n, t := range types {
				if i := b.Schema.Index(n); i >= 0 {
					to[i] = t
				} else if !b.Schema.Open {
					return nil, UnknownColumn(n, b.Schema)
				}
			}
			in, out = b.Schema, NewSchema(b.Schema.Names, to)
			out.Open = in.Open
		}
		res := &Batch{Schema: out, N: b.N, First: b.First, Cols: make([]Column, len(b.Cols))}
		for i := range b.Cols {
			var err error
			if res.Cols[i], err = castColumn(&b.Cols[i], out.Types[i], b.N); err != nil {
				e := err.(*castError)
				return nil, fault.Hinted(fault.BadRow, "Correct or filter such rows before the cast.",
					"row %d: column %q: %w: %.80q", b.First+int64(e.row)+1, b.Schema.Names[i], e.err, fmt.Sprint(e.val))
			}
		}
		return res, nil
	}
}

type castError struct {
	row int
	val any
	err error
}

func (e *castError) Error() string { return e.err.Error() }

func castColumn(c *Column, t Type, n int) (Column, error) {
	if c.Type == t {
		return *c, nil
	}
	build := NewColumnBuilder(t)
	for i := range n {
		if c.Absent.Has(i) {
			build.AppendAbsent()
			continue
		}
		v := c.Value(i)
		to, err := Convert(v, t)
		if err == nil {
			err = build.Append(to)
		}
		if err != nil {
			return Column{}, &castError{i, v, err}
		}
	}
	return build.Finish(), nil
}

// With returns b with a column appended, or replaced where one of that name is. It makes a new schema: a step that adds
// a column to batch after batch should go on using the schema of the first result where names and types are the same.
func With(b *Batch, name string, col Column, last *Schema) *Batch {
	at := b.Schema.Index(name)
	out := &Batch{N: b.N, First: b.First, Cols: append(make([]Column, 0, len(b.Cols)+1), b.Cols...)}
	names := append(make([]string, 0, len(b.Cols)+1), b.Schema.Names...)
	types := append(make([]Type, 0, len(b.Cols)+1), b.Schema.Types...)
	if at >= 0 {
		out.Cols[at], types[at] = col, col.Type
	} else {
		out.Cols, names, types = append(out.Cols, col), append(names, name), append(types, col.Type)
	}
	out.Schema = NewSchema(names, types)
	out.Schema.Open = b.Schema.Open
	if last.same(out.Schema) {
		out.Schema = last
	}
	return out
}

// same reports whether s and o have the same columns.
func (s *Schema) same(o *Schema) bool {
	if s == nil || s.Open != o.Open || len(s.Names) != len(o.Names) {
		return false
	}
	for i := range s.Names {
		if s.Names[i] != o.Names[i] || s.Types[i] != o.Types[i] {
			return false
		}
	}
	return true
}
