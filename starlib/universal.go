package starlib

import (
	"go.starlark.net/starlark"
)

// universal are the language's own functions that can allocate much in one call, with a check before them. They are
// predeclared under the same names.
var universal = checkedUniversal()

func checkedUniversal() starlark.StringDict {
	m := starlark.StringDict{}
	add := func(name string, check check) {
		orig := starlark.Universe[name].(*starlark.Builtin)
		m[name] = starlark.NewBuiltin(name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := check(t, nil, args, kwargs); err != nil {
				return nil, err
			}
			return orig.CallInternal(t, args, kwargs)
		})
	}
	// first charges for the first argument, each bytes an element.
	first := func(each int64) check {
		return func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error {
			if len(args) == 0 {
				return nil
			}
			switch x := args[0].(type) {
			case starlark.Iterable:
				v, err := sized(t, x, each)
				if err == nil {
					args[0] = v
				}
				return err
			}
			return nil
		}
	}
	add("list", first(16))
	add("tuple", first(16))
	add("reversed", first(16))
	add("sorted", first(32))
	add("set", first(entrySize))
	add("dict", first(entrySize))
	add("bytes", first(1))
	add("enumerate", first(72))
	add("zip", func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
		shortest := int64(1 << 48)
		for i, a := range args {
			it, ok := a.(starlark.Iterable)
			if !ok {
				return nil
			}
			v, err := sized(t, it, 0)
			if err != nil {
				return err
			}
			args[i] = v
			if n := starlark.Len(v); n >= 0 {
				shortest = min(shortest, int64(n))
			}
		}
		if len(args) == 0 {
			return nil
		}
		return chargeLarge(t, shortest*(40+16*int64(len(args))))
	})
	scope := func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
		for i, a := range args {
			args[i] = scoped(t, a)
		}
		return nil
	}
	add("any", scope)
	add("all", scope)
	add("min", scope)
	add("max", scope)
	text := func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
		n, r := int64(0), runOf(t)
		for _, a := range args {
			size, err := plainSize(r, a)
			if err != nil {
				return err
			}
			n = min(sizeCap, n+size)
		}
		return chargeLarge(t, n)
	}
	add("str", text)
	add("repr", func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
		if len(args) != 1 {
			return nil
		}
		return chargeText(runOf(t), args[0])
	})
	add("print", text)
	getattr := starlark.Universe["getattr"].(*starlark.Builtin)
	m["getattr"] = starlark.NewBuiltin("getattr", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) >= 2 {
			if name, ok := starlark.AsString(args[1]); ok && checkedMethods[args[0].Type()][name] != nil {
				return checkedAttr(t, args[0], name)
			}
		}
		return getattr.CallInternal(t, args, kwargs)
	})
	return m
}
