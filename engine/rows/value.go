package rows

import (
	"math/big"
	"time"
	"unsafe"
)

// Value returns cell i in the Go type that Any columns use: nil, bool, int64, float64, string, []byte, time.Time,
// *big.Int, []any or *Object. A null and an absent cell are both nil. Strings share the column's text.
func (c *Column) Value(i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch c.Type {
	case Bool:
		return c.Bools[i]
	case Int:
		return c.Ints[i]
	case Float:
		return c.Floats[i]
	case String:
		return c.Str(i)
	case Bytes:
		return []byte(c.Str(i))
	case Time:
		return c.Times[i]
	}
	return c.Any[i]
}

// At returns the value of a cell; see Column.Value.
func At(b *Batch, row, col int) any { return b.Cols[col].Value(row) }

// Row returns row i as a record. Absent fields are left out; null ones are kept as nil.
func Row(b *Batch, i int) *Object {
	o := &Object{Keys: make([]string, 0, len(b.Cols)), Vals: make([]any, 0, len(b.Cols))}
	for c := range b.Cols {
		if b.Cols[c].Absent.Has(i) {
			continue
		}
		o.Keys = append(o.Keys, b.Schema.Names[c])
		o.Vals = append(o.Vals, b.Cols[c].Value(i))
	}
	return o
}

// Get returns the value of a field and whether the record has it.
func (o *Object) Get(key string) (any, bool) {
	for i, k := range o.Keys {
		if k == key {
			return o.Vals[i], true
		}
	}
	return nil, false
}

// TypeOf returns the column type that holds v without loss, and Any for nested values, big integers and nil.
func TypeOf(v any) Type {
	switch v.(type) {
	case bool:
		return Bool
	case int64:
		return Int
	case float64:
		return Float
	case string:
		return String
	case []byte:
		return Bytes
	case time.Time:
		return Time
	}
	return Any
}

// TypeNamed returns the type that `types=` calls name.
func TypeNamed(name string) (Type, bool) {
	for t := Any; t <= Time; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return Any, false
}

// Text returns buf as a string without copying. The caller gives buf away: changing it afterwards would change an
// immutable batch.
func Text(buf []byte) string { return unsafe.String(unsafe.SliceData(buf), len(buf)) }

// Size is how many bytes of memory b's cells hold, including text that it shares with other batches.
func (b *Batch) Size() int64 {
	n := int64(unsafe.Sizeof(*b)) + int64(len(b.Cols))*int64(unsafe.Sizeof(Column{}))
	for i := range b.Cols {
		n += b.Cols[i].size()
	}
	return n
}

func (c *Column) size() int64 {
	n := 8*int64(cap(c.Null)+cap(c.Absent)+cap(c.Ints)+cap(c.Floats)) + int64(cap(c.Bools)) +
		24*int64(cap(c.Times)) + int64(len(c.Text)) + 4*int64(cap(c.Offs)) + 16*int64(cap(c.Any)-len(c.Any))
	for _, v := range c.Any {
		n += ValueSize(v)
	}
	return n
}

// ValueSize is about how many bytes of memory a value holds, with the interface that refers to it.
func ValueSize(v any) int64 {
	switch v := v.(type) {
	case nil, bool:
		return 16
	case int64, float64:
		return 24
	case string:
		return 32 + int64(len(v))
	case []byte:
		return 40 + int64(cap(v))
	case time.Time:
		return 40
	case *big.Int:
		return 48 + int64(len(v.Bits()))*8
	case []any:
		n := 40 + 16*int64(cap(v)-len(v))
		for _, e := range v {
			n += ValueSize(e)
		}
		return n
	case *Object:
		if v == nil {
			return 16
		}
		n := 16 + int64(unsafe.Sizeof(*v)) + 16*int64(cap(v.Keys)+cap(v.Vals)-len(v.Vals))
		for i, e := range v.Vals {
			n += int64(len(v.Keys[i])) + ValueSize(e)
		}
		return n
	}
	return 64
}
