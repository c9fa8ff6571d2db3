package starlib

import (
	"slices"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// header names the columns of rows and is shared by all rows that have the same ones, so that a row costs no more than
// its cells. It is immutable but for its cache of the headers derived from it.
type header struct {
	names []string
	index map[string]int
	next  atomic.Pointer[derivation] // the last one made by extend
}

// derivation is a header with columns added.
type derivation struct {
	names []string // those asked for
	h     *header
}

func newHeader(names []string) *header {
	h := &header{names: names, index: make(map[string]int, len(names))}
	for i, n := range names {
		h.index[n] = i
	}
	return h
}

const fewNames = 8

// of returns the position of the named column, or -1.
func (h *header) of(name string) int {
	if len(h.names) <= fewNames { // no hash is as fast
		for i, n := range h.names {
			if n == name {
				return i
			}
		}
		return -1
	}
	if i, ok := h.index[name]; ok {
		return i
	}
	return -1
}

// extend returns the header with the given names added; those it has already stay where they are. Rows that are made
// by one expression ask for the same names again and again, so the last answer is kept.
func (h *header) extend(names []string) *header {
	if d := h.next.Load(); d != nil && slices.Equal(d.names, names) {
		return d.h
	}
	all := slices.Clone(h.names)
	for _, n := range names {
		if h.of(n) < 0 {
			all = append(all, n)
		}
	}
	d := &derivation{names: slices.Clone(names), h: newHeader(all)}
	h.next.Store(d)
	return d.h
}

// headers gives one header for each schema or list of names that a stream sees. It is used by one goroutine.
type headers struct {
	schema *rows.Schema // the last one, and its header
	last   *header
	root   *header // the header without columns: those of dicts derive from it
	dict   dictFields
}

func (hs *headers) of(s *rows.Schema) *header {
	if hs.schema != s || s == nil {
		hs.schema, hs.last = s, newHeader(s.Names)
	}
	return hs.last
}

func (hs *headers) named(names []string) *header {
	if hs.root == nil {
		hs.root = newHeader(nil)
	}
	return hs.root.extend(names)
}

// dictFields reads the entries of dicts. A loop over them would allocate each of its variables anew for every dict.
type dictFields struct {
	names []string
	cells []starlark.Value
	wrong starlark.Value // a key that is no string
	yield func(k, v starlark.Value) bool
}

// read returns the values of a dict. The names are in f.names until the next call.
func (f *dictFields) read(d *starlark.Dict) ([]starlark.Value, error) {
	if f.yield == nil {
		f.yield = func(k, v starlark.Value) bool {
			name, ok := k.(starlark.String)
			if !ok {
				f.wrong = k
				return false
			}
			f.names, f.cells = append(f.names, string(name)), append(f.cells, v)
			return true
		}
	}
	f.names, f.wrong = f.names[:0], nil
	f.cells = make([]starlark.Value, 0, d.Len())
	d.Entries()(f.yield)
	cells := f.cells
	f.cells = nil
	if f.wrong != nil {
		return nil, fault.New(fault.InvalidArgument, "a column's name is %s, want string", f.wrong.Type())
	}
	return cells, nil
}

// row returns v as a row when it is one, or a dict, struct or object.
func (hs *headers) row(v starlark.Value) (*Row, bool, error) {
	switch v := v.(type) {
	case *Row:
		return v, true, nil
	case *starlark.Dict:
		cells, err := hs.dict.read(v)
		if err != nil {
			return nil, true, err
		}
		return newRow(hs.named(hs.dict.names), cells), true, nil
	case *starlarkstruct.Struct:
		names := v.AttrNames()
		cells := make([]starlark.Value, len(names))
		for i, n := range names {
			cells[i], _ = v.Attr(n) // n is one of its names
		}
		return newRow(hs.named(names), cells), true, nil
	case *object:
		return v.row(), true, nil
	}
	return nil, false, nil
}
