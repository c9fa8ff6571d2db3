package rows

import (
	"fmt"
	"math"
	"math/big"
	"time"
)

// ColumnBuilder collects the cells of one column. Without a declared type the first value decides; a value of another
// type makes the column Any, so that every value is kept exactly as it came.
type ColumnBuilder struct {
	typ     Type
	fixed   bool // typ was declared
	decided bool // typ is final: declared, or a value was seen
	n       int
	hint    int // rows and text bytes of the last batch, for the first allocation of the next
	hintTxt int
	null    Bits
	absent  Bits
	bools   []bool
	ints    []int64
	floats  []float64
	times   []time.Time
	text    []byte
	offs    []uint32
	any     []any
}

// NewColumnBuilder returns a builder of a column of a declared type.
func NewColumnBuilder(t Type) *ColumnBuilder {
	return &ColumnBuilder{typ: t, fixed: true, decided: true}
}

// Declared returns the column's type when it was declared.
func (c *ColumnBuilder) Declared() (Type, bool) { return c.typ, c.fixed }

// Len is the number of cells so far.
func (c *ColumnBuilder) Len() int { return c.n }

// AppendNull appends a null.
func (c *ColumnBuilder) AppendNull() {
	c.null = c.null.Set(c.n)
	c.zero()
}

// AppendAbsent appends a cell for a record that has no such field.
func (c *ColumnBuilder) AppendAbsent() {
	c.absent = c.absent.Set(c.n)
	c.zero()
}

func (c *ColumnBuilder) absentUntil(n int) {
	for c.n < n {
		c.AppendAbsent()
	}
}

// zero appends the placeholder under a null.
func (c *ColumnBuilder) zero() {
	c.n++
	if !c.decided {
		return
	}
	switch c.typ {
	case Bool:
		c.bools = append(c.bools, false)
	case Int:
		c.ints = append(c.ints, 0)
	case Float:
		c.floats = append(c.floats, 0)
	case Time:
		c.times = append(c.times, time.Time{})
	case String, Bytes:
		c.endText()
	default:
		c.any = append(c.any, nil)
	}
}

func (c *ColumnBuilder) endText() {
	if c.offs == nil {
		c.offs = append(make([]uint32, 0, c.hint+1), 0)
	}
	if uint64(len(c.text)) > math.MaxUint32 {
		panic("rows: the text of a column in one batch is beyond 4 GiB") // callers cut batches long before
	}
	c.offs = append(c.offs, uint32(len(c.text)))
}

// decide fixes the type of an undecided column and lays placeholders under the nulls so far.
func (c *ColumnBuilder) decide(t Type) {
	n := c.n
	c.typ, c.decided, c.n = t, true, 0
	size := max(c.hint, n)
	switch t {
	case Bool:
		c.bools = make([]bool, 0, size)
	case Int:
		c.ints = make([]int64, 0, size)
	case Float:
		c.floats = make([]float64, 0, size)
	case Time:
		c.times = make([]time.Time, 0, size)
	case String, Bytes:
		c.text = make([]byte, 0, c.hintTxt)
		c.offs = append(make([]uint32, 0, size+1), 0)
	default:
		c.any = make([]any, 0, size)
	}
	for c.n < n {
		c.zero()
	}
}

// become makes the column ready for a value of type t: decides it, or widens it to Any. It reports whether the typed
// slice of t is the one to append to.
func (c *ColumnBuilder) become(t Type) bool {
	if !c.decided {
		c.decide(t)
		return true
	}
	if c.typ == t {
		return true
	}
	if c.typ != Any {
		if c.fixed {
			panic(fmt.Sprintf("rows: %s appended to a column of type %s", t, c.typ))
		}
		c.widen()
	}
	return false
}

func (c *ColumnBuilder) widen() {
	col := c.column()
	vals := make([]any, c.n, max(c.hint, c.n+1))
	for i := range vals {
		vals[i] = col.Value(i)
	}
	c.typ, c.any = Any, vals
	c.bools, c.ints, c.floats, c.times, c.text, c.offs = nil, nil, nil, nil, nil, nil
}

func (c *ColumnBuilder) appendAny(v any) {
	c.any = append(c.any, v)
	c.n++
}

// AppendBool appends v. Like its siblings it panics when another type was declared, which is a mistake in the program.
func (c *ColumnBuilder) AppendBool(v bool) {
	if !c.become(Bool) {
		c.appendAny(v)
		return
	}
	c.bools = append(c.bools, v)
	c.n++
}

// AppendInt appends v.
func (c *ColumnBuilder) AppendInt(v int64) {
	if !c.become(Int) {
		c.appendAny(v)
		return
	}
	c.ints = append(c.ints, v)
	c.n++
}

// AppendFloat appends v.
func (c *ColumnBuilder) AppendFloat(v float64) {
	if !c.become(Float) {
		c.appendAny(v)
		return
	}
	c.floats = append(c.floats, v)
	c.n++
}

// AppendTime appends v.
func (c *ColumnBuilder) AppendTime(v time.Time) {
	if !c.become(Time) {
		c.appendAny(v)
		return
	}
	c.times = append(c.times, v)
	c.n++
}

// AppendString appends v.
func (c *ColumnBuilder) AppendString(v string) {
	if !c.become(String) {
		c.appendAny(v)
		return
	}
	c.text = append(c.text, v...)
	c.endText()
	c.n++
}

// AppendText appends a copy of v as a string.
func (c *ColumnBuilder) AppendText(v []byte) {
	if !c.become(String) {
		c.appendAny(string(v))
		return
	}
	c.text = append(c.text, v...)
	c.endText()
	c.n++
}

// AppendBytes appends a copy of v.
func (c *ColumnBuilder) AppendBytes(v []byte) {
	if !c.become(Bytes) {
		c.appendAny(append([]byte{}, v...))
		return
	}
	c.text = append(c.text, v...)
	c.endText()
	c.n++
}

// Append appends a value of the types that Any columns hold; nil is a null. A declared type takes only its own values,
// and Float takes integers that it holds exactly.
func (c *ColumnBuilder) Append(v any) error {
	if c.fixed && c.typ != Any && v != nil {
		if t := TypeOf(v); t != c.typ {
			if i, ok := v.(int64); ok && c.typ == Float && int64(float64(i)) == i && float64(i) != 1<<63 {
				c.AppendFloat(float64(i))
				return nil
			}
			return fmt.Errorf("got %s, want %s", KindOf(v), c.typ)
		}
	}
	switch v := v.(type) {
	case nil:
		c.AppendNull()
	case bool:
		c.AppendBool(v)
	case int64:
		c.AppendInt(v)
	case int:
		c.AppendInt(int64(v))
	case float64:
		c.AppendFloat(v)
	case string:
		c.AppendString(v)
	case []byte:
		c.AppendBytes(v)
	case time.Time:
		c.AppendTime(v)
	case *big.Int:
		if v.IsInt64() && !(c.decided && c.typ == Any) {
			return c.Append(v.Int64())
		}
		c.AppendAny(v)
	case []any, *Object:
		c.AppendAny(v)
	default:
		return fmt.Errorf("a value of type %T cannot be in a row", v)
	}
	return nil
}

// AppendAny appends a nested value or a big integer as it is.
func (c *ColumnBuilder) AppendAny(v any) {
	if !c.decided {
		c.decide(Any)
	} else if c.typ != Any {
		if c.fixed {
			panic(fmt.Sprintf("rows: %s appended to a column of type %s", KindOf(v), c.typ))
		}
		c.widen()
	}
	c.appendAny(v)
}

// AppendCell appends cell i of col, keeping nulls and absent cells what they are.
func (c *ColumnBuilder) AppendCell(col *Column, i int) {
	switch {
	case col.Absent.Has(i):
		c.AppendAbsent()
	case col.Null.Has(i):
		c.AppendNull()
	case col.Type == Int:
		c.AppendInt(col.Ints[i])
	case col.Type == Float:
		c.AppendFloat(col.Floats[i])
	case col.Type == String:
		c.AppendString(col.Str(i))
	default:
		if err := c.Append(col.Value(i)); err != nil {
			panic("rows: " + err.Error())
		}
	}
}

// column returns the cells so far without giving them away.
func (c *ColumnBuilder) column() Column {
	col := Column{Type: c.typ, Null: c.null, Absent: c.absent, Bools: c.bools, Ints: c.ints, Floats: c.floats,
		Times: c.times, Text: Text(c.text), Offs: c.offs, Any: c.any}
	if !c.decided {
		col.Type, col.Any = Any, make([]any, c.n)
	}
	if (col.Type == String || col.Type == Bytes) && col.Offs == nil {
		col.Offs = []uint32{0}
	}
	return col
}

// Finish returns the column and empties the builder. A column that never saw a value is Any and all null.
func (c *ColumnBuilder) Finish() Column {
	col := c.column()
	*c = ColumnBuilder{typ: c.typ, fixed: c.fixed, hint: c.n, hintTxt: len(c.text) + len(c.text)/8}
	if c.fixed {
		c.decide(c.typ)
	}
	return col
}

// size is how many bytes the cells so far hold, without looking into nested values.
func (c *ColumnBuilder) size() int64 {
	return int64(len(c.bools)+len(c.text)) + 8*int64(len(c.ints)+len(c.floats)) + 24*int64(len(c.times)) +
		4*int64(len(c.offs)) + 24*int64(len(c.any)) + 8*int64(len(c.null)+len(c.absent))
}

// KindOf names the type of a value in messages: null, bool, int, float, string, bytes, time, list or object.
func KindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case *big.Int:
		return "int"
	case []any:
		return "list"
	case *Object:
		return "object"
	}
	if t := TypeOf(v); t != Any {
		return t.String()
	}
	return fmt.Sprintf("%T", v)
}
