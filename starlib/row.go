package starlib

import (
	"fmt"
	"github.com/dsrun/dsrun/internal/spell"
	"slices"
	"strings"
	"unicode"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Row is a row as scripts see it: a view of one row of a batch, or cells of its own. It never changes.
//
// r.col and r["col"] are the cell of a column, r.get(col, default) gives the default when there is no such column;
// keys(), values() and to_dict() list the cells; r | {...} is a new row with cells replaced or added. The methods'
// names win over columns of the same name, so that r.get() and r.keys() work whatever the data is: r["keys"] is always
// the column.
type Row struct {
	*view
	i int // the row of the batch
}

// view is what the rows of one batch share.
type view struct {
	h     *header
	batch *rows.Batch
	cells []starlark.Value // when batch is nil: those of the only row; a nil cell is absent
}

// newRow returns a row with cells of its own, as many as h has columns.
func newRow(h *header, cells []starlark.Value) *Row {
	r := &struct {
		Row
		view
	}{}
	r.view = view{h: h, cells: cells}
	r.Row.view = &r.view
	return &r.Row
}

// rowsOf returns views of all rows of a batch.
func rowsOf(h *header, b *rows.Batch) []Row {
	v := &view{h: h, batch: b}
	out := make([]Row, b.N)
	for i := range out {
		out[i] = Row{v, i}
	}
	return out
}

var (
	_ starlark.HasAttrs        = (*Row)(nil)
	_ starlark.IterableMapping = (*Row)(nil)
	_ starlark.Comparable      = (*Row)(nil)
	_ starlark.HasBinary       = (*Row)(nil)
	_ starlark.Sequence        = (*Row)(nil)
	_ dataValue                = (*Row)(nil)
)

// cell returns the cell in column i; nil when this row has no such field.
func (r *Row) cell(i int) starlark.Value {
	if r.batch == nil {
		return r.cells[i]
	}
	c := &r.batch.Cols[i]
	if c.Absent != nil && c.Absent.Has(r.i) {
		return nil
	}
	return cell(c, r.i)
}

// has reports whether the row has the field in column i.
func (r *Row) has(i int) bool {
	if r.batch == nil {
		return r.cells[i] != nil
	}
	return !r.batch.Cols[i].Absent.Has(r.i)
}

// lookup returns the cell of the named column; nil when there is none.
func (r *Row) lookup(name string) starlark.Value {
	if i := r.h.of(name); i >= 0 {
		return r.cell(i)
	}
	return nil
}

// fields returns the names of the fields that this row has, in order.
func (r *Row) fields() []string {
	out := make([]string, 0, len(r.h.names))
	for i, n := range r.h.names {
		if r.has(i) {
			out = append(out, n)
		}
	}
	return out
}

func (r *Row) missing(name string) error {
	return unknownColumn(name, r.fields())
}

// unknownColumn is the error for a column that is not among names.
func unknownColumn(name string, names []string) error {
	hint := ""
	if s := likely(name, names); s != "" {
		hint = fmt.Sprintf("Did you mean %q?", s)
	} else if len(names) > 0 {
		const shown = 20
		list := names[:min(len(names), shown)]
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
		}
		quoted := make([]string, len(list))
		for i, n := range list {
			quoted[i] = fault.Printable(n)
		}
		hint = "The columns are " + strings.Join(quoted, ", ") + more + "."
	}
	return fault.Hinted(fault.InvalidArgument, hint, "no column %q", name)
}

// likely returns the column that is meant by a name: one that differs only in case, spaces and signs, as r.origin_state
// for "Origin State", else a slip of the fingers, else the only one that begins so.
func likely(name string, names []string) string {
	fold := func(s string) string {
		return strings.Map(func(c rune) rune {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				return unicode.ToLower(c)
			}
			return -1
		}, s)
	}
	want := fold(name)
	if want == "" {
		return ""
	}
	begins := ""
	for _, n := range names {
		have := fold(n)
		if have == want {
			return n
		}
		if strings.HasPrefix(have, want) {
			if begins != "" {
				begins = "\x00" // more than one
			} else {
				begins = n
			}
		}
	}
	if s := spell.Nearest(name, names); s != "" {
		return s
	}
	return strings.TrimPrefix(begins, "\x00")
}

// Attr returns a method or the cell of a column.
func (r *Row) Attr(name string) (starlark.Value, error) {
	switch name { // methods win
	case "get", "keys", "values", "to_dict":
		return rowMethods.Bind(r, name), nil
	}
	if v := r.lookup(name); v != nil {
		return v, nil
	}
	return nil, r.missing(name)
}

// AttrNames lists the methods and the columns.
func (r *Row) AttrNames() []string {
	out := append(r.fields(), "get", "keys", "values", "to_dict")
	slices.Sort(out)
	return slices.Compact(out)
}

// Get returns r[k]; a column that the row has not is an error.
func (r *Row) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := k.(starlark.String)
	if !ok {
		return nil, false, fault.New(fault.InvalidArgument, "row: got %s for a column name, want string", k.Type())
	}
	if v := r.lookup(string(name)); v != nil {
		return v, true, nil
	}
	return nil, false, r.missing(string(name))
}

// Items returns (column, cell) pairs, for dict(r) and **r.
func (r *Row) Items() []starlark.Tuple {
	out := make([]starlark.Tuple, 0, len(r.h.names))
	for i, n := range r.h.names {
		if v := r.cell(i); v != nil {
			out = append(out, starlark.Tuple{starlark.String(n), v})
		}
	}
	return out
}

// Len is the number of fields.
func (r *Row) Len() int {
	n := 0
	for i := range r.h.names {
		if r.has(i) {
			n++
		}
	}
	return n
}

// Iterate yields the names of the columns, as for a dict.
func (r *Row) Iterate() starlark.Iterator { return &nameIterator{r.fields()} }

type nameIterator struct{ names []string }

func (it *nameIterator) Next(p *starlark.Value) bool {
	if len(it.names) == 0 {
		return false
	}
	*p, it.names = starlark.String(it.names[0]), it.names[1:]
	return true
}

func (*nameIterator) Done() {}

// Binary is r | {...}: a row whose cells are replaced or added by those of a dict, row or struct.
func (r *Row) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if op != syntax.PIPE {
		return nil, nil
	}
	var hs headers
	if d, ok := y.(*starlark.Dict); ok && side == starlark.Left {
		return r.with(d)
	}
	o, ok, err := hs.row(y)
	if !ok || err != nil {
		return nil, err
	}
	if side == starlark.Left {
		return r.merge(o), nil
	}
	return o.merge(r), nil
}

// with returns the row with the entries of a dict replaced or added.
func (r *Row) with(d *starlark.Dict) (*Row, error) {
	names := make([]string, 0, d.Len())
	grows := false
	for k := range d.Entries() {
		name, ok := starlark.AsString(k)
		if !ok {
			return nil, fault.New(fault.InvalidArgument, "row: a key is %s, want string", k.Type())
		}
		grows = grows || r.h.of(name) < 0
		names = append(names, name)
	}
	h := r.h
	if grows {
		h = h.extend(names)
	}
	out := r.detach(h)
	n := 0
	for _, v := range d.Entries() {
		out.cells[h.of(names[n])] = v
		n++
	}
	return out, nil
}

// merge returns the row with the fields of another replaced or added.
func (r *Row) merge(o *Row) *Row {
	h := r.h.extend(o.h.names)
	out := r.detach(h)
	for i, n := range o.h.names {
		if v := o.cell(i); v != nil {
			out.cells[h.of(n)] = v
		}
	}
	return out
}

// detach returns a copy with cells of its own under h, whose first columns are those of r.
func (r *Row) detach(h *header) *Row {
	cells := make([]starlark.Value, len(h.names))
	for i := range r.h.names {
		cells[i] = r.cell(i)
	}
	return newRow(h, cells)
}

// CompareSameType compares rows as dicts are: the same fields with equal cells, in any order.
func (r *Row) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	switch op {
	case syntax.EQL:
		return r.equal(y.(*Row), depth)
	case syntax.NEQ:
		eq, err := r.equal(y.(*Row), depth)
		return !eq, err
	}
	return false, fault.Hinted(fault.InvalidArgument, "Compare a column: a.size < b.size.", "row %s row not implemented", op)
}

func (r *Row) equal(o *Row, depth int) (bool, error) {
	if r == o {
		return true, nil
	}
	if r.Len() != o.Len() {
		return false, nil
	}
	for i, n := range r.h.names {
		a := r.cell(i)
		if a == nil {
			continue
		}
		b := o.lookup(n)
		if b == nil {
			return false, nil
		}
		if eq, err := starlark.EqualDepth(a, b, depth-1); !eq || err != nil {
			return false, err
		}
	}
	return true, nil
}

// Hash is the same for equal rows; a row that holds a list or dict has none.
func (r *Row) Hash() (uint32, error) {
	sum := uint32(0x9747b28c)
	for i, n := range r.h.names {
		v := r.cell(i)
		if v == nil {
			continue
		}
		k, _ := starlark.String(n).Hash()
		h, err := v.Hash()
		if err != nil {
			return 0, fmt.Errorf("row: column %s: %w", fault.Printable(n), err)
		}
		sum += (k ^ h*0x85ebca6b) * 0xc2b2ae35 // a sum: the order of columns does not count
	}
	return sum, nil
}

// Freeze freezes the cells: the row itself never changes.
func (r *Row) Freeze() {
	for _, v := range r.held() {
		v.Freeze()
	}
}

// held are the cells that are values of the script's own.
func (r *Row) held() []starlark.Value {
	var out []starlark.Value
	for _, v := range r.cells {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}

func (*Row) Type() string           { return "row" }
func (r *Row) Truth() starlark.Bool { return r.Len() > 0 }

// The bounds of a row's text, so that printing one never floods a terminal.
const (
	maxRowText  = 2000
	maxCellText = 200
)
