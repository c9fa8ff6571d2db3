package rows

import (
	"context"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
)

// JoinOptions say how rows of two sources are paired.
type JoinOptions struct {
	On      []string // columns whose values must be equal; null equals nothing
	RightOn []string // their names on the right; nil means the same
	Left    bool     // keep rows of the left that have no match, with nulls on the right
	Suffix  string   // for columns of the right whose names are taken; "" means "_right"
	Limit   int64    // bytes that the right side may need in memory; 0 is no limit
}

// Join returns every row of left with every row of right whose columns are equal, in the order of left and then of right.
// The result has the columns of left and those of right without RightOn. It holds right in memory, so that is the smaller
// one to give, and fails with limit when it needs more than o.Limit. Closing it closes both.
func Join(left, right Source, o JoinOptions) Source {
	if o.RightOn == nil {
		o.RightOn = o.On
	}
	if o.Suffix == "" {
		o.Suffix = "_right"
	}
	l, r := &once{Source: left}, &once{Source: right}
	return &lazySource{in: []Source{l, r}, run: func(ctx context.Context) (Source, error) {
		if len(o.On) == 0 || len(o.On) != len(o.RightOn) {
			return nil, fault.New(fault.InvalidArgument, "a join needs columns on both sides, as many on the left as on the right")
		}
		j := &joinSource{left: l, o: o, keys: keyer{names: o.On}, heads: map[string]chain{}}
		if err := j.load(ctx, r); err != nil {
			return nil, err
		}
		return j, nil
	}}
}

// chain is the first and the last row of the right with a key; next links those between.
type chain struct{ first, last int32 }

type joinSource struct {
	left  Source
	o     JoinOptions
	keys  keyer
	heads map[string]chain
	refs  []ref   // rows of the right
	next  []int32 // the next row with the same key, or -1
	right *taker

	batch  *Batch  // of the left, being joined
	row    int     // its row
	at     int32   // the match to go on with; -1: look row up
	in     *Schema // of batch
	schema *Schema // of the result for in
	first  int64
}

func (j *joinSource) load(ctx context.Context, right Source) error {
	m := &meter{op: "join", limit: j.o.Limit}
	batches, err := collect(ctx, right, m)
	if err != nil {
		return err
	}
	k := keyer{names: j.o.RightOn}
	drop := Drop(j.o.RightOn...)
	rest := make([]*Batch, len(batches))
	for n, b := range batches {
		if err := k.use(b.Schema); err != nil {
			return err
		}
		if rest[n], err = drop(b); err != nil {
			return err
		}
		for i := range b.N {
			key, null := k.key(b, i)
			if null {
				continue
			}
			id := int32(len(j.refs))
			c, ok := j.heads[string(key)]
			cost := int64(12)
			if ok {
				j.next[c.last] = id
				c.last = id
			} else {
				c = chain{id, id}
				cost += int64(len(key)) + mapEntry
			}
			j.heads[string(key)] = c
			j.refs, j.next = append(j.refs, ref{int32(n), int32(i)}), append(j.next, -1)
			if err := m.add(cost); err != nil {
				return err
			}
		}
	}
	j.right = newTaker(rest)
	j.at = -1
	return nil
}

func (j *joinSource) Next(ctx context.Context) (*Batch, error) {
	for {
		if j.batch == nil {
			b, err := j.left.Next(ctx)
			if err != nil {
				return nil, err
			}
			if err := j.keys.use(b.Schema); err != nil {
				return nil, err
			}
			j.batch, j.row, j.at = b, 0, -1
		} else if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out := j.some(); out.N > 0 {
			out.First = j.first
			j.first += int64(out.N)
			return out, nil
		}
	}
}

// some joins rows of the current batch until a batch of the result is full.
func (j *joinSource) some() *Batch {
	b := j.batch
	var idx []int32
	var refs []ref
	leftSize, size := b.Size()/int64(max(1, b.N)), int64(0)
	for j.row < b.N && len(idx) < BatchSize && size < batchBytes {
		if j.at < 0 {
			key, null := j.keys.key(b, j.row)
			c, ok := j.heads[string(key)]
			if null || !ok {
				if j.o.Left {
					idx, refs = append(idx, int32(j.row)), append(refs, ref{-1, 0})
				}
				j.row++
				continue
			}
			j.at = c.first
		}
		idx, refs = append(idx, int32(j.row)), append(refs, j.refs[j.at])
		size += leftSize + j.right.rowSize[j.refs[j.at].batch]
		if j.at = j.next[j.at]; j.at < 0 {
			j.row++
		}
	}
	if j.row == b.N {
		j.batch = nil
	}
	l, r := Gather(b, idx), j.right.take(refs)
	return &Batch{Schema: j.result(b.Schema), N: len(idx), Cols: slices.Concat(l.Cols, r.Cols)}
}

// result names the columns of both sides.
func (j *joinSource) result(left *Schema) *Schema {
	if j.in == left {
		return j.schema
	}
	names, types := slices.Clone(left.Names), slices.Clone(left.Types)
	taken := map[string]bool{}
	for _, n := range names {
		taken[n] = true
	}
	for i, n := range j.right.schema.Names {
		for taken[n] {
			n += j.o.Suffix
		}
		taken[n] = true
		names, types = append(names, n), append(types, j.right.schema.Types[i])
	}
	j.in, j.schema = left, NewSchema(names, types)
	j.schema.Open = left.Open || j.right.schema.Open
	return j.schema
}

func (j *joinSource) Close() error { return nil } // Join's lazySource closes both sides
