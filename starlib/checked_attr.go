package starlib

import (
	"strings"

	"go.starlark.net/starlark"
)

// checkedAttrs are the methods of the language's own types that can return, or put into their receiver, much more
// than they are given.
var checkedAttrs = map[string]bool{
	"join": true, "format": true, "replace": true, "split": true, "rsplit": true, "splitlines": true,
	"extend": true, "update": true, "items": true, "union": true, "difference": true, "intersection": true, "symmetric_difference": true,
}

// checkedMethods are the methods in question with their checks, by type and name.
var checkedMethods = map[string]map[string]*starlark.Builtin{
	"string": methods(map[string]check{
		"join": func(t *starlark.Thread, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
			return beforeJoin(t, recv.(starlark.String), args)
		},
		"format":     beforeFormat,
		"replace":    beforeReplace,
		"split":      beforeSplit,
		"rsplit":     beforeSplit,
		"splitlines": beforeSplit,
	}),
	"list": methods(map[string]check{"extend": beforeIterables(16)}),
	"dict": methods(map[string]check{
		"update": beforeIterables(entrySize),
		"items": func(t *starlark.Thread, recv starlark.Value, _ starlark.Tuple, _ []starlark.Tuple) error {
			return chargeLarge(t, 72*int64(recv.(*starlark.Dict).Len()))
		},
	}),
	"set": methods(map[string]check{
		"update": beforeIterables(entrySize), "union": beforeIterables(entrySize), "difference": beforeIterables(entrySize),
		"intersection": beforeIterables(entrySize), "symmetric_difference": beforeIterables(entrySize),
	}),
}

// check charges for a call that is about to be made. It may replace elements of args.
type check func(t *starlark.Thread, recv starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error

// methods returns the methods of a type with their checks before them.
func methods(checks map[string]check) map[string]*starlark.Builtin {
	m := map[string]*starlark.Builtin{}
	for name, check := range checks {
		m[name] = starlark.NewBuiltin(name, func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			recv := b.Receiver()
			if err := check(t, recv, args, kwargs); err != nil {
				return nil, err
			}
			v, err := recv.(starlark.HasAttrs).Attr(name)
			if err != nil {
				return nil, err
			}
			return v.(*starlark.Builtin).CallInternal(t, args, kwargs)
		})
	}
	return m
}

// checkedAttr is x.name for a name of checkedAttrs.
func checkedAttr(t *starlark.Thread, x starlark.Value, name string) (starlark.Value, error) {
	switch x.(type) {
	case starlark.String, *starlark.List, *starlark.Dict, *starlark.Set:
		if m := checkedMethods[x.Type()][name]; m != nil {
			return m.BindReceiver(x), nil
		}
	case starlark.HasAttrs:
		if v, err := x.(starlark.HasAttrs).Attr(name); err == nil && v != nil {
			return v, nil
		}
	}
	return starlark.Call(t, interpreted["attr_"+name], starlark.Tuple{x}, nil) // says what is wrong
}

func chargeLarge(t *starlark.Thread, n int64) error {
	if n <= freeSize {
		return nil
	}
	return runOf(t).Charge(n)
}

// sized returns an iterable that is charged for, each bytes an element: it itself where its length is known, else a
// list of its elements, which are charged as they come. A failure of a stream is returned.
func sized(t *starlark.Thread, it starlark.Iterable, each int64) (starlark.Iterable, error) {
	_, isSource := it.(Source)
	_, isScoped := it.(Scoped)
	if n := starlark.Len(it); n >= 0 && !isSource && !isScoped {
		if n > 1<<48 {
			n = 1 << 48
		}
		return it, chargeLarge(t, int64(n)*each)
	}
	r := runOf(t)
	if r == nil {
		return it, nil
	}
	var elems []starlark.Value
	err := Each(t, it, func(v starlark.Value) error {
		elems = append(elems, v)
		return r.Charge(16 + each)
	})
	if err != nil {
		return nil, err
	}
	return starlark.NewList(elems), nil
}

func beforeIterables(each int64) check {
	return func(t *starlark.Thread, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
		for i, a := range args {
			if it, ok := a.(starlark.Iterable); ok {
				v, err := sized(t, it, each)
				if err != nil {
					return err
				}
				args[i] = v
			}
		}
		return nil
	}
}

func beforeJoin(t *starlark.Thread, sep starlark.String, args starlark.Tuple) error {
	if len(args) != 1 {
		return nil // the method says what is wrong
	}
	it, ok := args[0].(starlark.Iterable)
	if !ok {
		return nil
	}
	v, err := sized(t, it, 0)
	if err != nil {
		return err
	}
	args[0] = v
	n, count := int64(0), int64(0)
	add := func(e starlark.Value) bool {
		s, ok := e.(starlark.String)
		n, count = n+int64(len(s)), count+1
		return ok
	}
	switch v := v.(type) {
	case *starlark.List:
		for i := range v.Len() {
			if !add(v.Index(i)) {
				break
			}
		}
	case starlark.Tuple:
		for _, e := range v {
			if !add(e) {
				break
			}
		}
	default:
		iter := v.Iterate()
		defer iter.Done()
		var e starlark.Value
		for iter.Next(&e) && add(e) {
		}
	}
	return chargeLarge(t, 2*(n+count*int64(len(sep))))
}

func beforeFormat(t *starlark.Thread, recv starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error {
	format := string(recv.(starlark.String))
	n, next := int64(len(format)), 0
	quoted := strings.Contains(format, "!r")
	for {
		_, after, ok := strings.Cut(format, "{")
		if !ok {
			return chargeLarge(t, 2*n)
		}
		if strings.HasPrefix(after, "{") {
			format = after[1:]
			continue
		}
		field, after, ok := strings.Cut(after, "}")
		if !ok {
			return chargeLarge(t, 2*n)
		}
		format = after
		name := field
		if i := strings.IndexAny(field, "!:"); i >= 0 {
			name = field[:i]
		}
		var v starlark.Value
		if name == "" {
			if next < len(args) {
				v = args[next]
			}
			next++
		} else if i, _, err := number(name, 1<<20, ""); err == nil && i >= 0 && i < len(args) {
			v = args[i]
		} else {
			for _, kv := range kwargs {
				if string(kv[0].(starlark.String)) == name {
					v = kv[1]
				}
			}
		}
		if v == nil {
			continue
		}
		size, err := plainSize(runOf(t), v)
		if err != nil {
			return err
		}
		if quoted { // at most four times as long
			size *= 4
		}
		n = min(sizeCap, n+min(sizeCap, size))
	}
}

func beforeReplace(t *starlark.Thread, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) < 2 {
		return nil
	}
	s := string(recv.(starlark.String))
	old, ok1 := starlark.AsString(args[0])
	to, ok2 := starlark.AsString(args[1])
	if !ok1 || !ok2 {
		return nil
	}
	if most := int64(len(s)+1) * int64(len(to)+1); most <= freeSize {
		return nil
	}
	n := int64(strings.Count(s, old))
	if len(args) == 3 {
		if i, ok := args[2].(starlark.Int); ok {
			if k, ok := i.Int64(); ok && k >= 0 {
				n = min(n, k)
			}
		}
	}
	return chargeLarge(t, int64(len(s))+n*max(0, int64(len(to)-len(old))))
}

func beforeSplit(t *starlark.Thread, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	s := string(recv.(starlark.String))
	if len(s) <= freeSize/48 {
		return nil
	}
	n := int64(len(s))/2 + 1
	if len(args) > 0 {
		if sep, ok := starlark.AsString(args[0]); ok && sep != "" {
			n = int64(strings.Count(s, sep)) + 1
		}
	} else if len(s) > 1<<20 {
		n = int64(len(strings.Fields(s[:1<<16]))+1) * int64(len(s)>>16) * 2
		n = min(n, int64(len(s))/2+1)
	}
	return chargeLarge(t, n*48)
}
