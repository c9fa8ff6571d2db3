package starlib

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/fault"
)

// hiddenFile is the file name of the functions that are written in Starlark.
const hiddenFile = "<hidden>"

// hidden are the functions that rewritten trees call, by names that cannot be written in a script.
var hidden = hiddenFunctions()

func hiddenFunctions() map[string]*starlark.Builtin {
	m := map[string]*starlark.Builtin{}
	add := func(name string, fn func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)) {
		m[name] = starlark.NewBuiltin(name, fn)
	}
	for _, op := range []syntax.Token{syntax.PLUS, syntax.STAR, syntax.PERCENT, syntax.PIPE} {
		add(op.String(), func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return binary(t, op, args[0], args[1])
		})
	}
	add(lateName, readGlobal)
	add(coverName, countLine)
	add("+=", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return inplaceAdd(t, args[0], args[1])
	})
	add("|=", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return inplaceOr(t, args[0], args[1])
	})
	for op, inplace := range map[syntax.Token]func(*starlark.Thread, starlark.Value, starlark.Value) (starlark.Value, error){
		syntax.PLUS: inplaceAdd,
		syntax.PIPE: inplaceOr,
		syntax.STAR: func(t *starlark.Thread, x, y starlark.Value) (starlark.Value, error) {
			return binary(t, syntax.STAR, x, y)
		},
	} {
		add("guard"+op.String(), func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			switch args[0].(type) {
			case starlark.Float, starlark.Bool, starlark.NoneType:
				return args[0], nil
			case starlark.Int:
				if op != syntax.STAR {
					return args[0], nil
				}
			}
			return &guard{args[0], t, inplace}, nil
		})
	}
	add("guard%", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return args[0], chargeText(runOf(t), args[0])
	})
	add("[:]", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		switch x := args[0].(type) {
		case *starlark.List:
			if x.Len() > largeLen {
				return &largeSlice{x, t}, nil
			}
		case starlark.Tuple:
			if len(x) > largeLen {
				return &largeSlice{x, t}, nil
			}
		}
		return args[0], nil
	})
	add("for", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return scoped(t, args[0]), nil
	})
	add("*args", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if it, ok := args[0].(starlark.Iterable); ok {
			return sized(t, it, 32)
		}
		return args[0], nil
	})
	for name := range checkedAttrs {
		add("."+name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return checkedAttr(t, args[0], name)
		})
	}
	return m
}

// scoped returns an iterable whose failures reach the thread that consumes it.
func scoped(t *starlark.Thread, v starlark.Value) starlark.Value {
	if s, ok := v.(Scoped); ok {
		if r := runOf(t); r != nil {
			return s.In(r)
		}
	}
	return v
}

// freeSize is a size in bytes below which no operation is charged: the step hook sees what many of them add up to.
const freeSize = 4 << 10

// binary is x op y, charged.
func binary(t *starlark.Thread, op syntax.Token, x, y starlark.Value) (starlark.Value, error) {
	n := int64(0)
	switch op {
	case syntax.PLUS:
		switch x := x.(type) {
		case starlark.String:
			if y, ok := y.(starlark.String); ok {
				if n = int64(len(x)) + int64(len(y)); n <= freeSize {
					return x + y, nil
				}
			}
		case starlark.Int, starlark.Float: // sums of numbers take what the numbers take
		case starlark.Bytes:
			if y, ok := y.(starlark.Bytes); ok {
				n = int64(len(x)) + int64(len(y))
			}
		case *starlark.List:
			if y, ok := y.(*starlark.List); ok {
				n = 16 * (int64(x.Len()) + int64(y.Len()))
			}
		case starlark.Tuple:
			if y, ok := y.(starlark.Tuple); ok {
				n = 16 * (int64(len(x)) + int64(len(y)))
			}
		}
	case syntax.STAR:
		if n = productSize(x, y); n < 0 {
			return nil, fault.New(fault.Limit, "the product of two ints would have more than %d bits", maxIntBits)
		}
	case syntax.PERCENT:
		if f, ok := x.(starlark.String); ok {
			size, err := interpolatedSize(runOf(t), string(f), y)
			if err != nil {
				return nil, err
			}
			n = size
		}
	case syntax.PIPE:
		switch x := x.(type) {
		case *starlark.Dict:
			if y, ok := y.(*starlark.Dict); ok {
				n = entrySize * (int64(x.Len()) + int64(y.Len()))
			}
		case *starlark.Set:
			if y, ok := y.(*starlark.Set); ok {
				n = entrySize * (int64(x.Len()) + int64(y.Len()))
			}
		}
	}
	if n > freeSize {
		if err := runOf(t).Charge(n); err != nil {
			return nil, err
		}
	}
	return starlark.Binary(op, x, y)
}

// entrySize is about what an entry of a dict or set takes.
const entrySize = 112

// maxAlloc is the number of elements from which starlark-go itself refuses a repetition.
const maxAlloc = 1 << 30

// maxIntBits bounds products of ints: larger ones take seconds each, during which nothing can stop them.
const maxIntBits = 1 << 22

// productSize returns the bytes of x * y: a repetition, or a product of large ints; -1 means too large an int.
func productSize(x, y starlark.Value) int64 {
	if i, ok := x.(starlark.Int); ok {
		if j, ok := y.(starlark.Int); ok {
			if _, small := i.Int64(); small {
				if _, small := j.Int64(); small {
					return 0
				}
			}
			bits := i.BigInt().BitLen() + j.BigInt().BitLen()
			if bits > maxIntBits {
				return -1
			}
			return int64(bits) / 4
		}
		x, y = y, x
	}
	i, ok := y.(starlark.Int)
	if !ok {
		return 0
	}
	length, elem := int64(0), int64(1)
	switch x := x.(type) {
	case starlark.String:
		length = int64(len(x))
	case starlark.Bytes:
		length = int64(len(x))
	case *starlark.List:
		length, elem = int64(x.Len()), 16
	case starlark.Tuple:
		length, elem = int64(len(x)), 16
	}
	n, ok := i.Int64()
	if !ok || n <= 0 || length == 0 || n >= maxAlloc || length*n >= maxAlloc {
		return 0 // empty, or refused by the operation itself
	}
	return length * n * elem
}

// interpolatedSize bounds the length of format % x.
func interpolatedSize(r *Run, format string, x starlark.Value) (n int64, err error) {
	n = int64(len(format))
	if strings.Contains(format, "%r") { // quoted text is at most four times as long
		defer func() { n = min(sizeCap, 4*n) }()
	}
	m, keyed := x.(starlark.Mapping)
	if !keyed || !strings.Contains(format, "%(") {
		values, ok := x.(starlark.Tuple)
		if !ok {
			values = starlark.Tuple{x}
		}
		for _, v := range values {
			size, err := plainSize(r, v)
			if err != nil {
				return 0, err
			}
			n = min(sizeCap, n+size)
		}
		return n, nil
	}
	for rest := format; ; {
		_, after, ok := strings.Cut(rest, "%(")
		if !ok {
			return n, nil
		}
		key, after, ok := strings.Cut(after, ")")
		if !ok {
			return n, nil
		}
		rest = after
		if v, found, _ := m.Get(starlark.String(key)); found {
			size, err := plainSize(r, v)
			if err != nil {
				return 0, err
			}
			n = min(sizeCap, n+size)
		}
	}
}

// plainSize bounds the text of a value as str gives it: that of strings is what they are.
func plainSize(r *Run, v starlark.Value) (int64, error) {
	switch v := v.(type) {
	case starlark.String:
		return int64(len(v)), nil
	case starlark.Int, starlark.Float, starlark.Bool, starlark.NoneType:
	}
	return textSize(v, r.enough()) // which bounds the depth too
}

// inplaceAdd is x += y.
func inplaceAdd(t *starlark.Thread, x, y starlark.Value) (starlark.Value, error) {
	list, ok := x.(*starlark.List)
	if !ok {
		return binary(t, syntax.PLUS, x, y)
	}
	it, ok := y.(starlark.Iterable)
	if !ok {
		return binary(t, syntax.PLUS, x, y)
	}
	v, err := sized(t, it, 16)
	if err != nil {
		return nil, err
	}
	return starlark.Call(t, interpreted["iadd"], starlark.Tuple{list, v}, nil)
}

// inplaceOr is x |= y.
func inplaceOr(t *starlark.Thread, x, y starlark.Value) (starlark.Value, error) {
	_, ok1 := x.(*starlark.Dict)
	d, ok2 := y.(*starlark.Dict)
	if !ok1 || !ok2 {
		return binary(t, syntax.PIPE, x, y)
	}
	if err := runOf(t).Charge(entrySize * int64(d.Len())); err != nil {
		return nil, err
	}
	return starlark.Call(t, interpreted["ior"], starlark.Tuple{x, y}, nil)
}

// interpreted are operations as the interpreter itself performs them, with its own words for what is wrong.
var interpreted = compileInterpreted()

func compileInterpreted() starlark.StringDict {
	src := "def iadd(x, y):\n    x += y\n    return x\n\ndef ior(x, y):\n    x |= y\n    return x\n"
	for name := range checkedAttrs {
		src += "\ndef attr_" + name + "(x):\n    return x." + name + "\n"
	}
	g, err := starlark.ExecFileOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, hiddenFile, src, nil)
	if err != nil {
		panic(err)
	}
	return g
}

// guard stands for y in x[i] op= y. Whatever x is, the operation falls to its Binary method.
type guard struct {
	y       starlark.Value
	t       *starlark.Thread
	inplace func(t *starlark.Thread, x, y starlark.Value) (starlark.Value, error)
}

// Binary implements starlark.HasBinary.
func (g *guard) Binary(_ syntax.Token, x starlark.Value, _ starlark.Side) (starlark.Value, error) {
	return g.inplace(g.t, x, g.y)
}

func (g *guard) String() string        { return g.y.String() }
func (g *guard) Type() string          { return g.y.Type() }
func (g *guard) Freeze()               { g.y.Freeze() }
func (g *guard) Truth() starlark.Bool  { return g.y.Truth() }
func (g *guard) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: %s", g.y.Type()) }

// largeLen is how long a list is whose slices are charged.
const largeLen = 64 << 10

// largeSlice charges for the slice that is taken of a long list.
type largeSlice struct {
	starlark.Sliceable
	t *starlark.Thread
}

// Slice implements starlark.Sliceable. A slice that is refused is empty, and the thread is cancelled.
func (s *largeSlice) Slice(start, end, step int) starlark.Value {
	n := int64(end-start) / int64(step)
	if n > 0 && runOf(s.t).Charge(16*n) != nil {
		return starlark.NewList(nil)
	}
	return s.Sliceable.Slice(start, end, step)
}
