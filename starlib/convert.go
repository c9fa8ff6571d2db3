package starlib

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// maxNesting bounds the nesting of values that cross between Go and Starlark.
const maxNesting = 128

// dataValue is a script value of this package that has a plain form: a row or an object is a record.
type dataValue interface {
	starlark.Value
	// data returns the plain form: nil, bool, int64, *big.Int, float64, string, []byte, time.Time, []any or *rows.Object.
	data() (any, error)
}

// toGo converts a script value to plain data: nil, bool, int64, *big.Int, float64, string, []byte, time.Time, []any or
// *rows.Object. Dicts keep their order and must have string keys; tuples and sets become lists; structs, rows and
// objects become records; a duration becomes its text ("1h30m0s"). A value that contains itself, nests deeper than 128
// levels or is no data (a function, a stream) is an error that says where it stands.
func toGo(v starlark.Value) (any, error) {
	var c converter
	return c.value(v)
}

// converter carries the way from the outermost value to the one being converted.
type converter struct {
	path []starlark.Value // the containers under way, to find cycles
}

func (c *converter) value(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
		return v.BigInt(), nil
	case starlark.Float:
		return float64(v), nil
	case starlark.String:
		return string(v), nil
	case starlark.Bytes:
		return []byte(v), nil
	case startime.Time:
		return time.Time(v), nil
	case startime.Duration:
		return time.Duration(v).String(), nil
	case dataValue:
		return v.data()
	case *starlark.Dict:
		return c.dict(v)
	case *starlarkstruct.Struct:
		return c.record(v)
	case *Stream:
		return nil, fault.Hinted(fault.InvalidArgument, "Use .collect() to make a list of a stream.", "a stream is not data")
	case starlark.Sequence: // list, tuple, set, range
		return c.list(v)
	}
	return nil, fault.New(fault.InvalidArgument, "%s is not data", v.Type())
}

// enter notes that the parts of v come next.
func (c *converter) enter(v starlark.Value) error {
	if len(c.path) >= maxNesting {
		return fault.New(fault.InvalidArgument, "%s is nested deeper than %d levels", v.Type(), maxNesting)
	}
	switch v.(type) {
	case *starlark.List, *starlark.Dict: // only what is mutable can contain itself
		if slices.Contains(c.path, v) {
			return fault.New(fault.InvalidArgument, "%s contains itself", v.Type())
		}
	}
	c.path = append(c.path, v)
	return nil
}

func (c *converter) leave() { c.path = c.path[:len(c.path)-1] }

func (c *converter) list(v starlark.Sequence) (any, error) {
	if err := c.enter(v); err != nil {
		return nil, err
	}
	defer c.leave()
	n := v.Len()
	if n > 1<<24 {
		return nil, fault.New(fault.Limit, "%s of %d elements is too long to convert", v.Type(), n)
	}
	out := make([]any, 0, n)
	iter := v.Iterate()
	defer iter.Done()
	for x := starlark.Value(nil); iter.Next(&x); {
		e, err := c.value(x)
		if err != nil {
			return nil, at(fmt.Sprintf("[%d]", len(out)), err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (c *converter) dict(d *starlark.Dict) (any, error) {
	if err := c.enter(d); err != nil {
		return nil, err
	}
	defer c.leave()
	o := &rows.Object{Keys: make([]string, 0, d.Len()), Vals: make([]any, 0, d.Len())}
	for k, v := range d.Entries() {
		name, ok := starlark.AsString(k)
		if !ok {
			return nil, fault.New(fault.InvalidArgument, "a key is %s, want string", k.Type())
		}
		e, err := c.value(v)
		if err != nil {
			return nil, at(fmt.Sprintf("[%q]", name), err)
		}
		o.Keys = append(o.Keys, name)
		o.Vals = append(o.Vals, e)
	}
	return o, nil
}

func (c *converter) record(s *starlarkstruct.Struct) (any, error) {
	if err := c.enter(s); err != nil {
		return nil, err
	}
	defer c.leave()
	names := s.AttrNames()
	o := &rows.Object{Keys: names, Vals: make([]any, 0, len(names))}
	for _, name := range names {
		v, err := s.Attr(name)
		if err != nil {
			return nil, err
		}
		e, err := c.value(v)
		if err != nil {
			return nil, at("."+name, err)
		}
		o.Vals = append(o.Vals, e)
	}
	return o, nil
}

// placed is an error of a value inside of another: it prints the way to it, ["a"][0].b.
type placed struct {
	where string
	err   error
}

func (e *placed) Error() string { return "at " + e.where + ": " + e.err.Error() }
func (e *placed) Unwrap() error { return e.err }

func at(where string, err error) error {
	if p, ok := err.(*placed); ok {
		return &placed{where + p.where, p.err}
	}
	return &placed{where, err}
}

// fromGo converts plain data (see toGo) to a script value; it also takes ints, durations, []string, map[string]any and
// map[string]string (in key order). Lists and dicts are new and mutable. Another type is a mistake of the program.
func fromGo(x any) starlark.Value {
	switch x := x.(type) {
	case nil:
		return starlark.None
	case starlark.Value:
		return x
	case bool:
		return starlark.Bool(x)
	case int:
		return starlark.MakeInt(x)
	case int32:
		return starlark.MakeInt64(int64(x))
	case int64:
		return starlark.MakeInt64(x)
	case uint64:
		return starlark.MakeUint64(x)
	case *big.Int:
		return starlark.MakeBigInt(x)
	case float64:
		return starlark.Float(x)
	case string:
		return starlark.String(x)
	case []byte:
		return starlark.Bytes(x)
	case time.Time:
		return startime.Time(x)
	case time.Duration:
		return startime.Duration(x)
	case []any:
		elems := make([]starlark.Value, len(x))
		for i, e := range x {
			elems[i] = fromGo(e)
		}
		return starlark.NewList(elems)
	case []string:
		elems := make([]starlark.Value, len(x))
		for i, e := range x {
			elems[i] = starlark.String(e)
		}
		return starlark.NewList(elems)
	case *rows.Object:
		d := starlark.NewDict(len(x.Keys))
		for i, k := range x.Keys {
			d.SetKey(starlark.String(k), fromGo(x.Vals[i])) // a new dict refuses no string key
		}
		return d
	case map[string]any:
		return dictOf(x)
	case map[string]string:
		return dictOf(x)
	}
	panic(fmt.Sprintf("starlib: no script value for a Go %T", x))
}

func dictOf[V any](m map[string]V) *starlark.Dict {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	d := starlark.NewDict(len(m))
	for _, k := range keys {
		d.SetKey(starlark.String(k), fromGo(m[k]))
	}
	return d
}

// cell returns cell i of a column as a script value. An absent cell is None: callers that tell the two apart ask first.
func cell(c *rows.Column, i int) starlark.Value {
	if c.IsNull(i) {
		return starlark.None
	}
	switch c.Type {
	case rows.Bool:
		return starlark.Bool(c.Bools[i])
	case rows.Int:
		return starlark.MakeInt64(c.Ints[i])
	case rows.Float:
		return starlark.Float(c.Floats[i])
	case rows.String:
		return starlark.String(c.Str(i))
	case rows.Bytes:
		return starlark.Bytes(c.Str(i))
	case rows.Time:
		return startime.Time(c.Times[i])
	}
	return fromGo(c.Any[i])
}
