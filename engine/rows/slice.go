package rows

// Slice returns rows i to j of b without copying cells.
func Slice(b *Batch, i, j int) *Batch {
	if i == 0 && j == b.N {
		return b
	}
	out := &Batch{Schema: b.Schema, N: j - i, First: b.First + int64(i), Cols: make([]Column, len(b.Cols))}
	for k := range b.Cols {
		c := &b.Cols[k]
		d := &out.Cols[k]
		d.Type, d.Null, d.Absent = c.Type, c.Null.slice(i, j), c.Absent.slice(i, j)
		switch c.Type {
		case Bool:
			d.Bools = c.Bools[i:j:j]
		case Int:
			d.Ints = c.Ints[i:j:j]
		case Float:
			d.Floats = c.Floats[i:j:j]
		case Time:
			d.Times = c.Times[i:j:j]
		case String, Bytes:
			d.Text, d.Offs = c.Text, c.Offs[i:j+1:j+1]
		default:
			d.Any = c.Any[i:j:j]
		}
	}
	return out
}

// Filter returns the rows of b whose bit is set. Rows that stand together are not copied.
func Filter(b *Batch, keep Bits) *Batch {
	idx := make([]int32, 0, min(keep.Count(), b.N))
	for i := range keep.All {
		if i >= b.N {
			break
		}
		idx = append(idx, int32(i))
	}
	return Gather(b, idx)
}

// Gather returns the rows of b at the given positions, in that order, with repetitions. First is b's: the rows are no
// longer in a row of the source.
func Gather(b *Batch, idx []int32) *Batch {
	if n := len(idx); n > 0 && int(idx[n-1])-int(idx[0]) == n-1 && ascending(idx) {
		return Slice(b, int(idx[0]), int(idx[n-1])+1)
	}
	out := &Batch{Schema: b.Schema, N: len(idx), First: b.First, Cols: make([]Column, len(b.Cols))}
	for k := range b.Cols {
		out.Cols[k] = gatherColumn(&b.Cols[k], idx)
	}
	return out
}

func ascending(idx []int32) bool {
	for i := 1; i < len(idx); i++ {
		if idx[i] != idx[i-1]+1 {
			return false
		}
	}
	return true
}

func gatherColumn(c *Column, idx []int32) Column {
	d := Column{Type: c.Type, Null: c.Null.gather(idx), Absent: c.Absent.gather(idx)}
	switch c.Type {
	case Bool:
		d.Bools = pickAll(c.Bools, idx)
	case Int:
		d.Ints = pickAll(c.Ints, idx)
	case Float:
		d.Floats = pickAll(c.Floats, idx)
	case Time:
		d.Times = pickAll(c.Times, idx)
	case String, Bytes:
		total := 0
		d.Offs = make([]uint32, len(idx)+1)
		for k, i := range idx {
			total += int(c.Offs[i+1] - c.Offs[i])
			d.Offs[k+1] = uint32(total)
		}
		text := make([]byte, 0, total)
		for _, i := range idx {
			text = append(text, c.Text[c.Offs[i]:c.Offs[i+1]]...)
		}
		d.Text = Text(text)
	default:
		d.Any = pickAll(c.Any, idx)
	}
	return d
}

func pickAll[T any](from []T, idx []int32) []T {
	out := make([]T, len(idx))
	for k, i := range idx {
		out[k] = from[i]
	}
	return out
}

func (b Bits) gather(idx []int32) Bits {
	if b == nil {
		return nil
	}
	var out Bits
	for k, i := range idx {
		if b.Has(int(i)) {
			out = out.Set(k)
		}
	}
	return out
}

// Compact returns b with text of its own where it holds on to much more than its rows need, as a small slice of a
// large batch does.
func Compact(b *Batch) *Batch {
	out := *b
	out.Cols = append([]Column(nil), b.Cols...)
	for k := range out.Cols {
		c := &out.Cols[k]
		if c.Offs == nil {
			continue
		}
		first, last := c.Offs[0], c.Offs[b.N]
		if len(c.Text) <= 2*int(last-first)+64 {
			continue
		}
		offs := make([]uint32, b.N+1)
		for i := range offs {
			offs[i] = c.Offs[i] - first
		}
		c.Text, c.Offs = string(append([]byte(nil), c.Text[first:last]...)), offs
	}
	return &out
}

// Unify returns the schema that holds the rows of all given ones: the union of the columns in order of first
// appearance. Columns of one type keep it; others become Any. It is open, because rows of one schema lack the columns of
// another, unless all are alike.
func Unify(schemas ...*Schema) *Schema {
	if len(schemas) == 0 {
		return NewSchema(nil, nil)
	}
	first := schemas[0]
	alike := true
	for _, s := range schemas[1:] {
		alike = alike && (s == first || first.same(s))
	}
	if alike {
		return first
	}
	index := map[string]int{}
	var names []string
	var types []Type
	open := false
	for k, s := range schemas {
		open = open || s.Open || k > 0 && len(s.Names) != len(names)
		for i, n := range s.Names {
			at, ok := index[n]
			if !ok {
				open = open || k > 0
				index[n] = len(names)
				names, types = append(names, n), append(types, s.Types[i])
			} else if types[at] != s.Types[i] {
				types[at] = Any
			}
		}
	}
	out := NewSchema(names, types)
	out.Open = open
	return out
}

// Concat returns one batch with the rows of all given ones, in order, under their unified schema.
func Concat(batches ...*Batch) *Batch {
	if len(batches) == 1 {
		return batches[0]
	}
	refs := []ref{}
	for k, b := range batches {
		for i := range b.N {
			refs = append(refs, ref{int32(k), int32(i)})
		}
	}
	out := newTaker(batches).take(refs)
	if len(batches) > 0 {
		out.First = batches[0].First
	}
	return out
}

// ref names a row among many batches.
type ref struct{ batch, row int32 }

// taker copies rows out of many batches.
type taker struct {
	batches []*Batch
	schema  *Schema
	from    map[*Schema][]int // column of the unified schema -> column of the batch's
	rowSize []int64           // of each batch, on average
}

// few returns how many of the refs make a batch: BatchSize, or fewer when rows are long.
func (t *taker) few(refs []ref) int {
	var size int64
	for n, r := range refs {
		if n == BatchSize || size >= batchBytes {
			return n
		}
		if r.batch >= 0 {
			size += t.rowSize[r.batch]
		}
	}
	return len(refs)
}

func newTaker(batches []*Batch) *taker {
	t := &taker{batches: batches, from: map[*Schema][]int{}}
	var schemas []*Schema
	for _, b := range batches {
		t.rowSize = append(t.rowSize, b.Size()/int64(max(1, b.N)))
		if _, ok := t.from[b.Schema]; !ok {
			t.from[b.Schema] = nil
			schemas = append(schemas, b.Schema)
		}
	}
	t.schema = Unify(schemas...)
	for s := range t.from {
		cols := make([]int, len(t.schema.Names))
		for i, n := range t.schema.Names {
			cols[i] = s.Index(n)
		}
		t.from[s] = cols
	}
	return t
}

// take returns the rows as one batch. A row of batch -1 is all absent.
func (t *taker) take(refs []ref) *Batch {
	out := &Batch{Schema: t.schema, N: len(refs), Cols: make([]Column, len(t.schema.Names))}
	for k := range out.Cols {
		build := NewColumnBuilder(t.schema.Types[k])
		build.hint = len(refs)
		build.decide(build.typ)
		for _, r := range refs {
			if r.batch < 0 {
				build.AppendNull()
				continue
			}
			b := t.batches[r.batch]
			c := t.from[b.Schema][k]
			if c < 0 {
				build.AppendAbsent()
			} else {
				build.AppendCell(&b.Cols[c], int(r.row))
			}
		}
		out.Cols[k] = build.Finish()
	}
	return out
}
