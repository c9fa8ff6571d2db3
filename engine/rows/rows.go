// Package rows is tabular data on the move: batches of columns from a Source to whoever consumes them.
package rows

import (
	"context"
	"time"
)

// BatchSize is how many rows a Source aims to put in a batch. A batch may hold fewer, and holds at most twice as many.
const BatchSize = 1024

// Type is the type of a column.
type Type uint8

const (
	Any    Type = iota // mixed or nested: Column.Any holds nil, bool, int64, float64, string, []byte, time.Time, *big.Int, []any, *Object
	Bool               // Column.Bools
	Int                // Column.Ints
	Float              // Column.Floats
	String             // Column.Text and Column.Offs
	Bytes              // Column.Text and Column.Offs, not text
	Time               // Column.Times
)

// String returns the name that `types=` in scripts uses.
func (t Type) String() string {
	return [...]string{"any", "bool", "int", "float", "string", "bytes", "time"}[t]
}

// Schema names and types the columns of a batch. It is immutable and shared by all batches with the same header, so
// that a consumer can look a name up once per schema.
type Schema struct {
	Names []string
	Types []Type
	// Open says that the records name their own fields (JSON lines), so that a column which a batch lacks is absent
	// from its records, and not a mistake.
	Open  bool
	index map[string]int
}

// NewSchema returns the schema of the given columns. Names must be unique and as many as types.
func NewSchema(names []string, types []Type) *Schema {
	s := &Schema{Names: names, Types: types, index: make(map[string]int, len(names))}
	for i, n := range names {
		s.index[n] = i
	}
	return s
}

// Index returns the position of the named column, or -1.
func (s *Schema) Index(name string) int {
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// Batch is N rows as columns. A batch that was handed out is immutable and may be kept.
type Batch struct {
	Schema *Schema
	N      int
	Cols   []Column
	// First is the number of the first row in its source, from 0.
	First int64
}

// Column holds one column of a batch in the representation of its type.
type Column struct {
	Type   Type
	Null   Bits // set: the value is null. nil: none is
	Absent Bits // set: the record has no such field at all (JSON lines). nil: none is absent
	Bools  []bool
	Ints   []int64
	Floats []float64
	Times  []time.Time
	Text   string   // all cells of a String or Bytes column back to back
	Offs   []uint32 // N+1 offsets into Text
	Any    []any
}

// Str returns cell i of a String or Bytes column without copying.
func (c *Column) Str(i int) string { return c.Text[c.Offs[i]:c.Offs[i+1]] }

// IsNull reports whether cell i is null or absent.
func (c *Column) IsNull(i int) bool { return c.Null.Has(i) || c.Absent.Has(i) }

// Bits is a bit set; nil is empty.
type Bits []uint64

// Has reports whether bit i is set.
func (b Bits) Has(i int) bool { return i>>6 < len(b) && b[i>>6]>>(i&63)&1 != 0 }

// Set sets bit i, growing b as needed, and returns it.
func (b Bits) Set(i int) Bits {
	for i>>6 >= len(b) {
		b = append(b, 0)
	}
	b[i>>6] |= 1 << (i & 63)
	return b
}

// Object is a nested record whose fields keep their order.
type Object struct {
	Keys []string
	Vals []any
}

// Source yields batches. Next returns (nil, io.EOF) at the end; any other error means that the rows so far are not all
// there are. A Source is used by one goroutine at a time. Close frees what it holds, also before the end.
type Source interface {
	Next(ctx context.Context) (*Batch, error)
	Close() error
}
