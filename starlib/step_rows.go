package starlib

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

// rowSource is a cursor as the operators on rows want it.
type rowSource struct {
	c     cursor
	to    batcher
	needs []string // columns that must be there
	seen  *rows.Schema
	max   int // the demand to hand on
}

func newRowSource(op string, c cursor, needs []string) *rowSource {
	return &rowSource{c: c, to: batcher{op: op}, needs: needs, max: chunkSize}
}

func (s *rowSource) Next(ctx context.Context) (*rows.Batch, error) {
	k, err := s.c.next(s.max)
	if err != nil {
		return nil, err
	}
	b, err := s.to.of(k)
	if err != nil {
		return nil, err
	}
	if s.seen != b.Schema {
		if err := haveColumns(s.to.op, b.Schema, s.needs); err != nil {
			return nil, err
		}
		s.seen = b.Schema
	}
	return b, nil
}

func (s *rowSource) Close() error { return s.c.close() }

// opCursor is an operator on rows as a cursor.
type opCursor struct {
	x   *exec
	op  string
	in  *rowSource // nil when the operator has read all before it gives the first row
	src rows.Source
}

func (c *opCursor) next(max int) (chunk, error) {
	if c.in != nil {
		c.in.max = max
	}
	for {
		b, err := c.src.Next(c.x.ctx)
		if err != nil {
			if err != io.EOF {
				err = nameStep(c.op, err)
			}
			return chunk{}, err
		}
		if b.N > 0 {
			return chunk{batch: b}, nil
		}
	}
}

func (c *opCursor) close() error { return c.src.Close() }

// opLimit is how many bytes one operator may hold: half of what the run may, so that there is room for its result.
func (x *exec) opLimit() int64 { return x.run.Limits.Memory / 2 }

func distinctRows(x *exec, s *Step, src cursor) (cursor, error) {
	in := newRowSource("distinct", src, s.Columns)
	return &opCursor{x: x, op: "distinct", in: in, src: rows.Distinct(in, s.Columns, x.opLimit())}, nil
}

func sortRows(x *exec, s *Step, src cursor) (cursor, error) {
	keys := make([]rows.SortKey, len(s.Columns))
	for i, n := range s.Columns {
		keys[i] = rows.SortKey{Column: n, Desc: s.Desc}
	}
	return &opCursor{x: x, op: "sort", src: rows.Sort(newRowSource("sort", src, s.Columns), keys, x.opLimit())}, nil
}

func stepJoin(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	right, err := x.open(s.Plans[0])
	if err != nil {
		return nil, err
	}
	o := rows.JoinOptions{Left: s.How == "left", Limit: x.opLimit()}
	for _, p := range s.Pairs {
		o.On, o.RightOn = append(o.On, p[0]), append(o.RightOn, p[1])
	}
	in := newRowSource("join", src, o.On)
	return &opCursor{x: x, op: "join", in: in, src: rows.Join(in, newRowSource("join", right, o.RightOn), o)}, nil
}

func stepGroup(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	by, needs := s.Columns, s.Columns
	if s.Fn != nil {
		src = &keyCursor{src: src, fn: x.fn(s.Fn), to: batcher{op: "group"}}
		by, needs = []string{keyColumn}, nil
	}
	aggs := make([]rows.Agg, len(s.Aggs))
	for i, a := range s.Aggs {
		aggs[i] = rows.Agg{Name: a.Name, Op: a.Op, Column: a.Column}
		if a.Column != "" {
			needs = append(needs[:len(needs):len(needs)], a.Column)
		}
	}
	return &opCursor{x: x, op: "group", src: rows.Group(newRowSource("group", src, needs), by, aggs, x.opLimit())}, nil
}

// The columns that grouping by a function makes: of its result, and of elements that are no rows.
const (
	keyColumn   = "key"
	valueColumn = "value"
)

// keyCursor adds what a function makes of each element as a column.
type keyCursor struct {
	src  cursor
	fn   *fnCall
	to   batcher
	hs   headers
	last *rows.Schema
}

func (c *keyCursor) next(max int) (chunk, error) {
	k, err := c.src.next(max)
	if err != nil {
		return chunk{}, err
	}
	elems := k.asValues(&c.hs)
	key := &rows.ColumnBuilder{}
	rs := make([]starlark.Value, len(elems))
	for i, v := range elems {
		x, err := c.fn.call(v)
		if err == nil {
			err = appendValue(key, x)
		}
		if err != nil {
			return chunk{}, nameStep("group", err)
		}
		r, ok, err := c.hs.row(v)
		if err != nil {
			return chunk{}, nameStep("group", err)
		}
		if !ok {
			r = newRow(c.hs.named([]string{valueColumn}), []starlark.Value{v})
		}
		rs[i] = r
	}
	b := k.batch
	if b == nil {
		if b, err = c.to.of(chunk{vals: rs}); err != nil {
			return chunk{}, err
		}
	}
	b = rows.With(b, keyColumn, key.Finish(), c.last)
	c.last = b.Schema
	return chunk{batch: b}, nil
}

func (c *keyCursor) close() error { return c.src.close() }

// statsCursor gives one row for each column, when its first element is asked for.
type statsCursor struct {
	x    *exec
	src  rows.Source
	done bool
}

func stepStats(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	in := rows.Source(newRowSource("stats", src, s.Columns))
	if len(s.Columns) > 0 {
		in = rows.Map(in, rows.Select(s.Columns...))
	}
	return &statsCursor{x: x, src: in}, nil
}

func (c *statsCursor) next(int) (chunk, error) {
	if c.done {
		return chunk{}, io.EOF
	}
	c.done = true
	stats, err := rows.Stats(c.x.ctx, c.src)
	if err != nil {
		return chunk{}, nameStep("stats", err)
	}
	b := rows.StatsBatch(stats)
	if b.N == 0 {
		return chunk{}, io.EOF
	}
	return chunk{batch: b}, nil
}

func (c *statsCursor) close() error { return c.src.Close() }
