package starlib

import (
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

// of returns the rows of a chunk as one batch, numbered as the step sees them, for messages.
func (t *batcher) of(c chunk) (*rows.Batch, error) {
	b := c.batch
	if b == nil {
		var err error
		if b, err = t.gather(c.vals); err != nil {
			return nil, err
		}
	}
	if b.First != t.n {
		moved := *b
		moved.First = t.n
		b = &moved
	}
	t.n += int64(b.N)
	return b, nil
}

// gather returns rows as a batch: a selection of a batch when all are views of it, else a new one.
func (t *batcher) gather(vals []starlark.Value) (*rows.Batch, error) {
	if r, ok := vals[0].(*Row); ok && r.batch != nil {
		idx := make([]int32, 0, len(vals))
		for _, v := range vals {
			o, ok := v.(*Row)
			if !ok || o.view != r.view {
				break
			}
			idx = append(idx, int32(o.i))
		}
		if len(idx) == len(vals) {
			return rows.Gather(r.batch, idx), nil
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

// add appends one element to the builder.
func (t *batcher) add(v starlark.Value) error {
	r, ok, err := t.hs.row(v)
	if err != nil {
		return stepError(t.op, fault.InvalidArgument, "", "row %d: %w", t.n+int64(t.bd.Len())+1, err)
	}
	if !ok {
		if t.wrap == "" {
			return stepError(t.op, fault.InvalidArgument, "Make rows first: .map(lambda v: {\"value\": v}).",
				"the stream holds %s, want rows (row, dict or struct)", v.Type())
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
