package rows

import (
	"fmt"
	"slices"
)

// batchBytes is the size at which Full asks for a batch to be cut, so that long rows do not make huge batches.
const batchBytes = 4 << 20

// Builder collects rows and emits them as immutable batches. With a schema its columns are declared; without one they
// come with the rows: the union of the fields in order of first appearance, typed by their values, and absent where a
// row has no such field.
type Builder struct {
	schema   *Schema // declared, or the last one emitted
	fixed    bool
	names    []string
	cols     []*ColumnBuilder
	index    map[string]int
	spare    map[string]*ColumnBuilder // of the last batch: their sizes are good guesses
	declared map[string]Type
	width    int // columns that completed rows have
	n        int
	first    int64
}

// NewBuilder returns a builder of batches with the given schema, or with open columns when s is nil.
func NewBuilder(s *Schema) *Builder {
	b := &Builder{schema: s, fixed: s != nil, index: map[string]int{}}
	if s != nil {
		b.names = s.Names
		for i, t := range s.Types {
			b.cols = append(b.cols, NewColumnBuilder(t))
			b.index[s.Names[i]] = i
		}
	}
	return b
}

// Len is the number of rows that the next batch will hold.
func (b *Builder) Len() int { return b.n }

// Full reports whether the rows so far should be emitted: BatchSize rows, or several MiB.
func (b *Builder) Full() bool {
	return b.n >= BatchSize || b.Size() >= batchBytes
}

// Size is about how many bytes the rows so far hold, without what nested values hold.
func (b *Builder) Size() int64 {
	var n int64
	for _, c := range b.cols {
		n += c.size()
	}
	return n
}

// Width is the number of columns so far.
func (b *Builder) Width() int { return len(b.cols) }

// Name is the name of column i.
func (b *Builder) Name(i int) string { return b.names[i] }

// Column returns the builder of column i. The caller appends at most one cell a row to it, then calls EndRow.
func (b *Builder) Column(i int) *ColumnBuilder { return b.cols[i] }

// Index returns the position of the named column, adding it when the columns are open; -1 when they are declared and
// have no such name.
func (b *Builder) Index(name string) int {
	if i, ok := b.index[name]; ok {
		return i
	}
	if b.fixed {
		return -1
	}
	c := b.spare[name]
	if t, ok := b.declared[name]; ok && c == nil {
		c = NewColumnBuilder(t)
	} else if c == nil {
		c = &ColumnBuilder{hint: min(b.n+16, BatchSize)}
	}
	c.absentUntil(b.n)
	b.index[name] = len(b.cols)
	b.names = append(b.names, name)
	b.cols = append(b.cols, c)
	return len(b.cols) - 1
}

// IndexBytes is Index for a name in bytes, which are not kept. It looks at column guess first: the fields of most
// records come in the order of the records before.
func (b *Builder) IndexBytes(name []byte, guess int) int {
	if guess < len(b.names) && b.names[guess] == string(name) {
		return guess
	}
	if i, ok := b.index[string(name)]; ok {
		return i
	}
	return b.Index(string(name))
}

// Declare sets the type of an open column, whenever it comes.
func (b *Builder) Declare(name string, t Type) {
	if b.declared == nil {
		b.declared = map[string]Type{}
	}
	b.declared[name] = t
}

// EndRow completes a row: columns that got no cell get an absent one when columns are open, else a null.
func (b *Builder) EndRow() {
	b.n++
	b.width = len(b.cols)
	for _, c := range b.cols {
		if c.n < b.n {
			if b.fixed {
				c.AppendNull()
			} else {
				c.AppendAbsent()
			}
		}
	}
}

// DropRow forgets the cells of a row that EndRow has not completed, and the columns that came with it.
func (b *Builder) DropRow() {
	if !b.fixed {
		for _, n := range b.names[b.width:] {
			delete(b.index, n)
			delete(b.spare, n)
		}
		b.names, b.cols = b.names[:b.width], b.cols[:b.width]
	}
	for _, c := range b.cols {
		if c.n > b.n {
			c.truncate(b.n)
		}
	}
}

func (c *ColumnBuilder) truncate(n int) {
	c.null, c.absent = c.null.clear(n), c.absent.clear(n)
	c.n = n
	if !c.decided {
		return
	}
	switch c.typ {
	case Bool:
		c.bools = c.bools[:n]
	case Int:
		c.ints = c.ints[:n]
	case Float:
		c.floats = c.floats[:n]
	case Time:
		c.times = c.times[:n]
	case String, Bytes:
		if c.offs != nil {
			c.offs = c.offs[:n+1]
			c.text = c.text[:c.offs[n]]
		}
	default:
		c.any = c.any[:n]
	}
}

// AppendRow appends a row of values in the order of the declared columns.
func (b *Builder) AppendRow(vals ...any) error {
	if len(vals) != len(b.cols) {
		return fmt.Errorf("the row has %d cells, the schema %d columns", len(vals), len(b.cols))
	}
	for i, v := range vals {
		if err := b.cols[i].Append(v); err != nil {
			b.DropRow()
			return fmt.Errorf("column %q: %w", b.names[i], err)
		}
	}
	b.EndRow()
	return nil
}

// AppendObject appends a record. Declared columns that it lacks become null, and a field that is not declared is an error.
func (b *Builder) AppendObject(o *Object) error {
	for i, k := range o.Keys {
		c := b.Index(k)
		if c < 0 {
			b.DropRow()
			return fmt.Errorf("column %q: the schema has no such column", k)
		}
		if b.cols[c].n > b.n {
			b.DropRow()
			return fmt.Errorf("column %q: the record has the field twice", k)
		}
		if err := b.cols[c].Append(o.Vals[i]); err != nil {
			b.DropRow()
			return fmt.Errorf("column %q: %w", k, err)
		}
	}
	b.EndRow()
	return nil
}

// AppendFrom appends row i of a batch. The columns must be open, or the batch must have only declared ones.
func (b *Builder) AppendFrom(src *Batch, i int) error {
	for c := range src.Cols {
		col := &src.Cols[c]
		if col.Absent.Has(i) {
			continue
		}
		d := b.Index(src.Schema.Names[c])
		if d < 0 {
			b.DropRow()
			return fmt.Errorf("column %q: the schema has no such column", src.Schema.Names[c])
		}
		if t := b.cols[d]; t.fixed && t.typ != Any && t.typ != col.Type && !col.Null.Has(i) {
			if err := t.Append(col.Value(i)); err != nil {
				b.DropRow()
				return fmt.Errorf("column %q: %w", src.Schema.Names[c], err)
			}
			continue
		}
		b.cols[d].AppendCell(col, i)
	}
	b.EndRow()
	return nil
}

// Batch emits the rows so far and starts anew; nil when there are none. Batches of open columns share a schema for as
// long as names and types stay the same.
func (b *Builder) Batch() *Batch {
	if b.n == 0 {
		return nil
	}
	out := &Batch{N: b.n, First: b.first, Cols: make([]Column, len(b.cols))}
	types := make([]Type, len(b.cols))
	for i, c := range b.cols {
		out.Cols[i] = c.Finish()
		types[i] = out.Cols[i].Type
	}
	if !b.fixed && (b.schema == nil || !slices.Equal(b.schema.Names, b.names) || !slices.Equal(b.schema.Types, types)) {
		b.schema = NewSchema(slices.Clone(b.names), types)
		b.schema.Open = true
	}
	out.Schema = b.schema
	b.first += int64(b.n)
	b.n = 0
	if !b.fixed {
		if len(b.spare) > 4*len(b.cols)+64 {
			b.spare = nil
		}
		if b.spare == nil {
			b.spare = make(map[string]*ColumnBuilder, len(b.cols))
		}
		for i, n := range b.names {
			b.spare[n] = b.cols[i]
		}
		b.names, b.cols, b.width = b.names[:0], b.cols[:0], 0
		clear(b.index)
	}
	return out
}

// Build returns one batch of the given records, with open columns.
func Build(records ...*Object) (*Batch, error) {
	b := NewBuilder(nil)
	for _, o := range records {
		if err := b.AppendObject(o); err != nil {
			return nil, err
		}
	}
	if out := b.Batch(); out != nil {
		return out, nil
	}
	return &Batch{Schema: NewSchema(nil, nil)}, nil
}
