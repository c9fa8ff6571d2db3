package rows

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// SortKey is a column to sort by. Desc turns the whole order of Compare around, so that nulls come last.
type SortKey struct {
	Column string
	Desc   bool
}

// Sort returns the rows of src in order of the keys; rows that are alike in all keys keep their order. It holds all rows
// in memory and fails with limit when they need more than limit bytes; 0 is no limit. Closing it closes src.
func Sort(src Source, keys []SortKey, limit int64) Source {
	in := &once{Source: src}
	m := &meter{op: "sort", limit: limit}
	return &lazySource{in: []Source{in}, run: func(ctx context.Context) (Source, error) {
		batches, err := collect(ctx, in, m)
		if err != nil {
			return nil, err
		}
		order, err := sortedRefs(batches, keys, m)
		if err != nil {
			return nil, err
		}
		return &refSource{taker: newTaker(batches), refs: order}, nil
	}}
}

// sortRef is a row with the beginning of its first key, which decides most comparisons.
type sortRef struct {
	prefix uint64
	ref
}

func sortedRefs(batches []*Batch, keys []SortKey, m *meter) ([]ref, error) {
	n := 0
	for _, b := range batches {
		n += b.N
	}
	if err := m.add(int64(n) * 24); err != nil {
		return nil, err
	}
	cols := make([][]*Column, len(keys)) // of each key, by batch; nil where an open schema lacks it
	for k, key := range keys {
		cols[k] = make([]*Column, len(batches))
		for i, b := range batches {
			c := b.Schema.Index(key.Column)
			if c >= 0 {
				cols[k][i] = &b.Cols[c]
			} else if !b.Schema.Open {
				return nil, UnknownColumn(key.Column, b.Schema)
			}
		}
	}
	all := make([]sortRef, 0, n)
	uniform := len(keys) > 0 && len(batches) > 0
	for i := range batches {
		uniform = uniform && cols[0][i] != nil && cols[0][i].Type == cols[0][0].Type
	}
	for i, b := range batches {
		for r := range b.N {
			s := sortRef{ref: ref{int32(i), int32(r)}}
			if uniform {
				if s.prefix = orderPrefix(cols[0][i], r); keys[0].Desc {
					s.prefix = ^s.prefix
				}
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sortRef) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		for k := range keys {
			x, y := cols[k][a.batch], cols[k][b.batch]
			c := 0
			switch {
			case x != nil && y != nil:
				c = compareCells(x, int(a.row), y, int(b.row))
			case x != nil && !x.IsNull(int(a.row)): // a column that is not there is null
				c = 1
			case y != nil && !y.IsNull(int(b.row)):
				c = -1
			}
			if c != 0 {
				if keys[k].Desc {
					return -c
				}
				return c
			}
		}
		if c := cmp.Compare(a.batch, b.batch); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	})
	out := make([]ref, n)
	for i := range all {
		out[i] = all[i].ref
	}
	return out, nil
}

// orderPrefix returns a number that is never greater for the smaller of two cells of one type. Equal numbers decide
// nothing.
func orderPrefix(c *Column, i int) uint64 {
	if c.IsNull(i) {
		return 0
	}
	switch c.Type {
	case Int:
		return uint64(c.Ints[i]) ^ 1<<63
	case Float:
		f := c.Floats[i]
		switch b := math.Float64bits(f); {
		case math.IsNaN(f):
			return 0
		case f == 0: // both zeros
			return 1 << 63
		case b>>63 != 0:
			return ^b
		default:
			return b | 1<<63
		}
	case String, Bytes:
		s := c.Str(i)
		if len(s) >= 8 {
			return binary.BigEndian.Uint64([]byte(s[:8]))
		}
		var w [8]byte
		copy(w[:], s)
		return binary.BigEndian.Uint64(w[:])
	}
	return 0
}

// refSource hands out rows of batches in a given order.
type refSource struct {
	taker *taker
	refs  []ref
	first int64
}

func (s *refSource) Next(ctx context.Context) (*Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.refs) == 0 {
		return nil, io.EOF
	}
	n := s.taker.few(s.refs)
	b := s.taker.take(s.refs[:n])
	b.First = s.first
	s.first += int64(n)
	s.refs = s.refs[n:]
	return b, nil
}

func (s *refSource) Close() error { s.taker, s.refs = nil, nil; return nil }
