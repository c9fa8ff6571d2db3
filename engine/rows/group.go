package rows

import (
	"context"
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// Agg is one aggregate of a group. Nulls and absent fields are left out of all of them.
type Agg struct {
	Name   string // of the column of the result
	Op     string // count, sum, mean, min, max or distinct
	Column string // of the source; "" with count counts rows
}

// Group returns a row for each set of rows that are alike in the columns of by, in order of first appearance: those
// columns, then the aggregates. Without by there is one row, even of no rows. Sums follow Sum and are 0 of nothing; mean,
// min and max of nothing are null; min and max follow Compare; distinct counts exactly. It holds the groups in memory
// and fails with limit when they need more than limit bytes; 0 is no limit. Closing it closes src.
func Group(src Source, by []string, aggs []Agg, limit int64) Source {
	in := &once{Source: src}
	g := &grouper{by: by, aggs: aggs, m: meter{op: "group", limit: limit}, groups: map[string]int{}, keys: keyer{names: by}}
	if len(by) == 0 {
		g.keys.names = []string{}
	}
	return &lazySource{in: []Source{in}, run: func(ctx context.Context) (Source, error) {
		if err := g.check(); err != nil {
			return nil, err
		}
		if err := Each(ctx, in, g.add); err != nil {
			return nil, err
		}
		return g.result()
	}}
}

type grouper struct {
	by     []string
	aggs   []Agg
	m      meter
	keys   keyer
	groups map[string]int
	cols   []*ColumnBuilder // the key columns
	accums [][]accum        // by aggregate, by group

	schema *Schema // that from is for
	from   []int   // the aggregates' columns; -1 none or absent
}

func (g *grouper) check() error {
	seen := map[string]bool{}
	for _, n := range g.by {
		if seen[n] {
			return fault.New(fault.InvalidArgument, "column %q is grouped by twice", n)
		}
		seen[n] = true
		g.cols = append(g.cols, &ColumnBuilder{})
	}
	g.accums = make([][]accum, len(g.aggs))
	for _, a := range g.aggs {
		if seen[a.Name] {
			return fault.New(fault.InvalidArgument, "two columns of the groups are named %q", a.Name)
		}
		seen[a.Name] = true
		if newAccum(a.Op) == nil {
			return fault.New(fault.InvalidArgument, "aggregate %q is not known; known are count, sum, mean, min, max and distinct", a.Op)
		}
		if a.Column == "" && a.Op != "count" {
			return fault.New(fault.InvalidArgument, "aggregate %s needs a column", a.Op)
		}
	}
	if len(g.by) == 0 {
		g.group(nil, nil, 0)
	}
	return nil
}

// group starts a group and returns its number.
func (g *grouper) group(key []byte, b *Batch, row int) int {
	n := len(g.groups)
	g.groups[string(key)] = n
	for k := range g.cols {
		if c := g.keys.cols[k]; c < 0 || b.Cols[c].IsNull(row) {
			g.cols[k].AppendNull()
		} else {
			g.cols[k].AppendCell(&b.Cols[c], row)
		}
	}
	for k, a := range g.aggs {
		g.accums[k] = append(g.accums[k], newAccum(a.Op))
	}
	return n
}

func (g *grouper) add(b *Batch) error {
	if g.schema != b.Schema {
		if err := g.keys.use(b.Schema); err != nil {
			return err
		}
		g.schema, g.from = b.Schema, g.from[:0]
		for _, a := range g.aggs {
			c := b.Schema.Index(a.Column)
			if c < 0 && a.Column != "" && !b.Schema.Open {
				return UnknownColumn(a.Column, b.Schema)
			}
			g.from = append(g.from, c)
		}
	}
	for i := range b.N {
		key, _ := g.keys.key(b, i)
		n, ok := g.groups[string(key)]
		if !ok {
			if err := g.m.add(int64(2*len(key)) + mapEntry + int64(len(g.aggs))*accumSize); err != nil {
				return err
			}
			n = g.group(key, b, i)
		}
		for k, c := range g.from {
			if g.aggs[k].Column == "" {
				*g.accums[k][n].(*countAccum)++
				continue
			}
			if c < 0 || b.Cols[c].IsNull(i) {
				continue
			}
			size, err := g.accums[k][n].add(&b.Cols[c], i)
			if err != nil {
				return fault.Hinted(fault.InvalidArgument, "Read the column with types=, or cast it first.",
					"row %d: %s of column %q: %w", b.First+int64(i)+1, g.aggs[k].Op, g.aggs[k].Column, err)
			}
			if size > 0 {
				if err := g.m.add(size); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *grouper) result() (Source, error) {
	n := len(g.groups)
	all := &Batch{N: n}
	names := append([]string{}, g.by...)
	for _, c := range g.cols {
		all.Cols = append(all.Cols, c.Finish())
	}
	for k, a := range g.aggs {
		c := &ColumnBuilder{}
		for _, acc := range g.accums[k] {
			if err := c.Append(acc.result()); err != nil {
				return nil, err
			}
		}
		names = append(names, a.Name)
		all.Cols = append(all.Cols, c.Finish())
	}
	types := make([]Type, len(names))
	for i := range types {
		types[i] = all.Cols[i].Type
	}
	all.Schema = NewSchema(names, types)
	var out []*Batch
	for i := 0; i < n; i += BatchSize {
		out = append(out, Slice(all, i, min(n, i+BatchSize)))
	}
	return FromBatches(out...), nil
}

// accum is the state of one aggregate of one group. Add returns the bytes of memory that it took on.
type accum interface {
	add(c *Column, i int) (int64, error)
	result() any
}

// accumSize is about what a state costs.
const accumSize = 96

func newAccum(op string) accum {
	switch op {
	case "count":
		return new(countAccum)
	case "sum":
		return &sumAccum{}
	case "mean":
		return &sumAccum{mean: true}
	case "min":
		return &extremeAccum{sign: -1}
	case "max":
		return &extremeAccum{sign: 1}
	case "distinct":
		return &distinctAccum{}
	}
	return nil
}

type countAccum int64

func (a *countAccum) add(*Column, int) (int64, error) { *a++; return 0, nil }
func (a *countAccum) result() any                     { return int64(*a) }

type sumAccum struct {
	Sum
	mean bool
}

func (a *sumAccum) add(c *Column, i int) (int64, error) {
	switch c.Type {
	case Int:
		a.AddInt(c.Ints[i])
	case Float:
		a.AddFloat(c.Floats[i])
	default:
		if v := c.Value(i); !a.Sum.Add(v) {
			return 0, fmt.Errorf("got %s, want a number", KindOf(v))
		}
	}
	return 0, nil
}

func (a *sumAccum) result() any {
	if !a.mean {
		return a.Value()
	}
	if m, ok := a.Mean(); ok {
		return m
	}
	return nil
}

type extremeAccum struct {
	sign int
	set  bool
	v    any
}

func (a *extremeAccum) add(c *Column, i int) (int64, error) {
	v := c.Value(i)
	if a.set && Compare(v, a.v)*a.sign <= 0 {
		return 0, nil
	}
	var before int64
	if a.set {
		before = ValueSize(a.v)
	}
	if s, ok := v.(string); ok {
		v = strings.Clone(s) // the batch need not stay for it
	}
	a.set, a.v = true, v
	return max(0, ValueSize(v)-before), nil
}

func (a *extremeAccum) result() any { return a.v }

type distinctAccum struct {
	seen map[string]struct{}
	buf  []byte
}

func (a *distinctAccum) add(c *Column, i int) (int64, error) {
	a.buf = appendCellKey(a.buf[:0], c, i)
	if _, ok := a.seen[string(a.buf)]; ok {
		return 0, nil
	}
	if a.seen == nil {
		a.seen = map[string]struct{}{}
	}
	a.seen[string(a.buf)] = struct{}{}
	return int64(len(a.buf)) + mapEntry, nil
}

func (a *distinctAccum) result() any { return int64(len(a.seen)) }
