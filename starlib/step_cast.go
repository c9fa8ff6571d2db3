package starlib

import "github.com/dsrun/dsrun/engine/rows"

// stepCast changes the types of columns.
func stepCast(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	types := map[string]rows.Type{}
	for _, p := range s.Pairs {
		types[p[0]], _ = rows.TypeNamed(p[1]) // checked when the step was made
	}
	if s.OnBad != "null" {
		return transform("cast", src, firsts(s.Pairs), rows.Cast(types)), nil
	}
	last := make([]*rows.Schema, len(s.Pairs))
	return transform("cast", src, firsts(s.Pairs), func(b *rows.Batch) (*rows.Batch, error) {
		for i, p := range s.Pairs {
			if at := b.Schema.Index(p[0]); at >= 0 {
				b = rows.With(b, p[0], castOrNull(&b.Cols[at], b.N, types[p[0]]), last[i])
				last[i] = b.Schema
			}
		}
		return b, nil
	}), nil
}

// castOrNull returns a column as another type. A cell that does not fit becomes null.
func castOrNull(c *rows.Column, n int, t rows.Type) rows.Column {
	if c.Type == t {
		return *c
	}
	out := rows.NewColumnBuilder(t)
	for i := range n {
		if c.Absent.Has(i) {
			out.AppendAbsent()
			continue
		}
		v, err := rows.Convert(c.Value(i), t)
		if err != nil || out.Append(v) != nil {
			out.AppendNull()
		}
	}
	return out.Finish()
}
