package starlib

import (
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

// String prints row(a = 1, b = "x"), cut to 2000 bytes.
func (r *Row) String() string {
	var b strings.Builder
	b.WriteString("row(")
	first := true
	for i, n := range r.h.names {
		v := r.cell(i)
		if v == nil {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		if b.Len() > maxRowText {
			b.WriteString("...")
			break
		}
		fmt.Fprintf(&b, "%s = %s", bound(fault.Printable(n), maxCellText), repr(v, maxCellText))
	}
	b.WriteByte(')')
	return b.String()
}

// TextSize bounds the length of String.
func (r *Row) TextSize() int64 { return 4 * maxRowText }

// data is the row as a record.
func (r *Row) data() (any, error) {
	o := &rows.Object{Keys: make([]string, 0, len(r.h.names)), Vals: make([]any, 0, len(r.h.names))}
	for i, n := range r.h.names {
		if !r.has(i) {
			continue
		}
		x, err := r.plain(i)
		if err != nil {
			return nil, at(fmt.Sprintf("[%q]", n), err)
		}
		o.Keys = append(o.Keys, n)
		o.Vals = append(o.Vals, x)
	}
	return o, nil
}

// plain returns the cell in column i as plain data.
func (r *Row) plain(i int) (any, error) {
	if r.batch == nil {
		return toGo(r.cells[i])
	}
	return r.batch.Cols[i].Value(r.i), nil
}

// repr returns the text of a value, cut to about n bytes.
func repr(v starlark.Value, n int) string {
	if s, ok := v.(starlark.String); ok && len(s) > n {
		return starlark.String(bound(string(s), n)).String()
	}
	return briefText(v, n)
}
