package starlib

import (
	"fmt"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// stepCast changes the types of columns.
func stepCast(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	var in, out *rows.Schema
	to := make([]rows.Type, len(s.Pairs))
	for i, p := range s.Pairs {
		to[i], _ = rows.TypeNamed(p[1]) // checked when the step was made
	}
	n := int64(0)
	return &batchCursor{src: src, to: batcher{op: "cast"}, apply: func(b *rows.Batch) (*rows.Batch, error) {
		if in != b.Schema {
			types := append([]rows.Type(nil), b.Schema.Types...)
			for i, p := range s.Pairs {
				at, err := position(b.Schema, p[0])
				if err != nil {
					return nil, stepError("cast", fault.InvalidArgument, fault.ClassOf(err).Hint, "%w", plainError(err))
				}
				if at >= 0 {
					types[at] = to[i]
				}
			}
			in, out = b.Schema, rows.NewSchema(b.Schema.Names, types)
			out.Open = in.Open
		}
		made := &rows.Batch{Schema: out, N: b.N, First: b.First, Cols: append([]rows.Column(nil), b.Cols...)}
		for i, p := range s.Pairs {
			at := b.Schema.Index(p[0])
			if at < 0 {
				continue
			}
			col, bad, err := castColumn(&b.Cols[at], b.N, to[i], s.OnBad == "null")
			if err != nil {
				return nil, stepError("cast", fault.BadRow, "Take on_bad=\"null\" to make such cells None, or repair them with add() first.",
					"row %d: column %q: %w", n+int64(bad)+1, p[0], err)
			}
			made.Cols[at] = col
		}
		n += int64(b.N)
		return made, nil
	}}, nil
}

// castColumn returns a column as another type. A cell that does not fit becomes null, or is the error, with its row.
func castColumn(c *rows.Column, n int, t rows.Type, null bool) (rows.Column, int, error) {
	if c.Type == t {
		return *c, 0, nil
	}
	out := rows.NewColumnBuilder(t)
	for i := range n {
		switch {
		case c.Absent.Has(i):
			out.AppendAbsent()
			continue
		case c.Null.Has(i):
			out.AppendNull()
			continue
		}
		v, err := rows.Convert(c.Value(i), t)
		if err != nil {
			if !null {
				return rows.Column{}, i, fmt.Errorf("%s: %w", describe(c.Value(i)), err)
			}
			v = nil
		}
		if v == nil {
			out.AppendNull()
		} else if err := out.Append(v); err != nil {
			return rows.Column{}, i, err
		}
	}
	return out.Finish(), 0, nil
}

// describe names a value in a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(bound(v, 80))
	case int64, float64, bool:
		return fmt.Sprint(v)
	}
	return "a value of type " + rows.KindOf(v)
}
