package starlib

import (
	"fmt"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// batcher makes columns of the elements of a stream. It is used by one goroutine.
type batcher struct {
	op   string // the step, for messages
	hs   headers
	bd   *rows.Builder
	h    *header // of the last row, and the positions of its columns in bd
	pos  []int
	n    int64  // rows so far
	wrap string // values that are no rows become rows of this one column; "" refuses them
}

// of returns the rows of a chunk as one batch.
func (t *batcher) of(c chunk) (*rows.Batch, error) {
	b := c.batch
	if b == nil {
		var err error
		if b, err = t.gather(c.vals); err != nil {
			return nil, err
		}
	}
	t.n += int64(b.N)
	return b, nil
}

// gather returns rows as a batch: a selection of a batch when all are views of it, else a new one.
func (t *batcher) gather(vals []starlark.Value) (*rows.Batch, error) {
	if r, ok := vals[0].(*Row); ok && r.batch != nil {
		idx := make([]int, 0, len(vals))
		for _, v := range vals {
			o, ok := v.(*Row)
			if !ok || o.view != r.view {
				break
			}
			idx = append(idx, o.i)
		}
		if len(idx) == len(vals) {
			if len(idx) == r.batch.N && ascending(idx) {
				return r.batch, nil
			}
			return gatherBatch(r.batch, idx), nil
		}
	}
	if t.bd == nil {
		t.bd = rows.NewBuilder(nil)
	}
	for _, v := range vals {
		if err := t.add(v); err != nil {
			return nil, err
		}
	}
	t.h = nil // positions hold for one batch only
	return t.bd.Batch(), nil
}

func ascending(idx []int) bool {
	for i, n := range idx {
		if i != n {
			return false
		}
	}
	return true
}

// add appends one element to the builder.
func (t *batcher) add(v starlark.Value) error {
	r, ok, err := t.hs.row(v)
	if err != nil {
		return stepError(t.op, fault.InvalidArgument, "", "row %d: %w", t.n+int64(t.bd.Len())+1, err)
	}
	if !ok {
		if t.wrap == "" {
			return stepError(t.op, fault.InvalidArgument, "Make rows first: .map(lambda v: {\"value\": v}).",
				"the stream holds a %s, want rows (row, dict or struct)", v.Type())
		}
		r = newRow(t.hs.named([]string{t.wrap}), []starlark.Value{v})
	}
	if r.h != t.h {
		t.h, t.pos = r.h, t.pos[:0]
		for range r.h.names {
			t.pos = append(t.pos, -1)
		}
	}
	for i := range r.h.names {
		if !r.has(i) {
			continue
		}
		if t.pos[i] < 0 {
			t.pos[i] = t.bd.Index(r.h.names[i])
		}
		col := t.bd.Column(t.pos[i])
		if r.batch != nil {
			col.AppendCell(&r.batch.Cols[i], r.i)
		} else if err := appendValue(col, r.cells[i]); err != nil {
			n := t.n + int64(t.bd.Len()) + 1
			t.bd.DropRow()
			return stepError(t.op, fault.InvalidArgument, "", "row %d: column %q: %w", n, bound(fault.Printable(r.h.names[i]), 200), err)
		}
	}
	t.bd.EndRow()
	return nil
}

// appendValue appends a script value to a column.
func appendValue(c *rows.ColumnBuilder, v starlark.Value) error {
	switch v := v.(type) {
	case starlark.NoneType:
		c.AppendNull()
	case starlark.String:
		c.AppendString(string(v))
	case starlark.Bool:
		c.AppendBool(bool(v))
	case starlark.Float:
		c.AppendFloat(float64(v))
	case startime.Time:
		c.AppendTime(time.Time(v))
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			c.AppendInt(n)
		} else {
			c.AppendAny(v.BigInt())
		}
	default:
		x, err := toGo(v)
		if err != nil {
			return err
		}
		return c.Append(x)
	}
	return nil
}

// projection picks columns of batches; it is worked out once a schema.
type projection struct {
	in, out *rows.Schema
	idx     []int // positions in the input; -1: an absent column
}

// apply returns the batch with only the projected columns.
func (p *projection) apply(b *rows.Batch) *rows.Batch {
	out := &rows.Batch{Schema: p.out, N: b.N, First: b.First, Cols: make([]rows.Column, len(p.idx))}
	for i, j := range p.idx {
		if j >= 0 {
			out.Cols[i] = b.Cols[j]
		} else {
			out.Cols[i] = absentColumn(b.N)
		}
	}
	return out
}

// absentColumn is a column of n records that have no such field.
func absentColumn(n int) rows.Column {
	c := rows.Column{Type: rows.Any, Any: make([]any, n)}
	for i := range n {
		c.Absent = c.Absent.Set(i)
	}
	return c
}

// schemaOf returns a schema with some columns of another, under new names.
func schemaOf(in *rows.Schema, names []string, idx []int) (*rows.Schema, error) {
	types := make([]rows.Type, len(names))
	seen := make(map[string]bool, len(names))
	for i, n := range names {
		if seen[n] {
			return nil, fmt.Errorf("two columns would be named %q", bound(fault.Printable(n), 200))
		}
		seen[n] = true
		if idx[i] >= 0 {
			types[i] = in.Types[idx[i]]
		}
	}
	s := rows.NewSchema(names, types)
	s.Open = in.Open
	return s, nil
}

// sliceBatch returns the rows of b from lo to hi. Cells are shared.
func sliceBatch(b *rows.Batch, lo, hi int) *rows.Batch {
	out := &rows.Batch{Schema: b.Schema, N: hi - lo, First: b.First + int64(lo), Cols: make([]rows.Column, len(b.Cols))}
	for i := range b.Cols {
		c := &b.Cols[i]
		d := rows.Column{Type: c.Type, Null: sliceBits(c.Null, lo, hi), Absent: sliceBits(c.Absent, lo, hi)}
		switch c.Type {
		case rows.Bool:
			d.Bools = c.Bools[lo:hi]
		case rows.Int:
			d.Ints = c.Ints[lo:hi]
		case rows.Float:
			d.Floats = c.Floats[lo:hi]
		case rows.Time:
			d.Times = c.Times[lo:hi]
		case rows.String, rows.Bytes:
			d.Text, d.Offs = c.Text, c.Offs[lo:hi+1]
		default:
			d.Any = c.Any[lo:hi]
		}
		out.Cols[i] = d
	}
	return out
}

func sliceBits(b rows.Bits, lo, hi int) rows.Bits {
	var out rows.Bits
	if b == nil {
		return nil
	}
	for i := lo; i < hi; i++ {
		if b.Has(i) {
			out = out.Set(i - lo)
		}
	}
	return out
}

// gatherBatch returns the given rows of b, in the order given.
func gatherBatch(b *rows.Batch, idx []int) *rows.Batch {
	out := &rows.Batch{Schema: b.Schema, N: len(idx), First: b.First, Cols: make([]rows.Column, len(b.Cols))}
	for i := range b.Cols {
		c := &b.Cols[i]
		d := rows.NewColumnBuilder(c.Type)
		for _, j := range idx {
			d.AppendCell(c, j)
		}
		out.Cols[i] = d.Finish()
	}
	return out
}
