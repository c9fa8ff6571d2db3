package starlib

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"
)

// Module is a predeclared name whose attributes are functions and constants, such as path.
type Module struct {
	Name   string
	Doc    string // sentences
	Funcs  []*Function
	Consts []Const

	attrs starlark.StringDict
	names []string
}

// Const is a named value of a module.
type Const struct {
	Name, Doc string
	Value     starlark.Value
}

// NewModule returns a module of the given functions, whose names start with the module's.
func NewModule(name, doc string, consts []Const, funcs ...*Function) *Module {
	m := &Module{Name: name, Doc: doc, Funcs: funcs, Consts: consts, attrs: starlark.StringDict{}}
	for _, f := range funcs {
		if f.Name != name+"."+f.Word() {
			panic(fmt.Sprintf("starlib: function %q in module %q", f.Name, name))
		}
		m.attrs[f.Word()] = f.Value()
	}
	for _, c := range consts {
		c.Value.Freeze()
		m.attrs[c.Name] = c.Value
	}
	m.names = m.attrs.Keys()
	return m
}

// Attr implements starlark.HasAttrs.
func (m *Module) Attr(name string) (starlark.Value, error) { return m.attrs[name], nil }

// AttrNames implements starlark.HasAttrs.
func (m *Module) AttrNames() []string { return slices.Clone(m.names) }

func (m *Module) String() string        { return fmt.Sprintf("<module %q>", m.Name) }
func (m *Module) Type() string          { return "module" }
func (m *Module) Freeze()               {}
func (m *Module) Truth() starlark.Bool  { return true }
func (m *Module) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: module") }

// Methods are the methods and fields of one type of value, for Attr and for the reference.
type Methods struct {
	Type   string
	Doc    string // sentences
	Fields []AttrDoc
	Funcs  []*Function

	index map[string]*Function
	names []string
}

// AttrDoc documents an attribute of a type that is not a method.
type AttrDoc struct{ Name, Type, Doc string }

// NewMethods returns the methods of a type. A function's word is its name as a method.
func NewMethods(typ, doc string, fields []AttrDoc, funcs ...*Function) *Methods {
	m := &Methods{Type: typ, Doc: doc, Fields: fields, Funcs: funcs, index: map[string]*Function{}}
	for _, f := range funcs {
		if m.index[f.Word()] != nil {
			panic(fmt.Sprintf("starlib: method %q of %s declared twice", f.Word(), typ))
		}
		m.index[f.Word()] = f
		m.names = append(m.names, f.Word())
	}
	for _, f := range fields {
		m.names = append(m.names, f.Name)
	}
	slices.Sort(m.names)
	return m
}

// Bind returns the named method of recv, or nil when there is none: what Attr has to return.
func (m *Methods) Bind(recv starlark.Value, name string) starlark.Value {
	if f := m.index[name]; f != nil {
		return f.Bind(recv)
	}
	return nil
}

// Names returns all attribute names, sorted: what AttrNames has to return.
func (m *Methods) Names() []string { return slices.Clone(m.names) }
