package starlib

import (
	"fmt"
	"slices"
	"time"

	"go.starlark.net/starlark"
)

// Params collects the parameters of a function, in order.
type Params struct {
	fn     *Function
	kwonly bool // a Rest was declared: what follows is given by keyword only
}

// param is one declared parameter.
type param struct {
	name, doc string
	want      string // the type, as error messages and pages say it
	def       string // the default as Starlark text; "" means none
	choices   []string
	required  bool
	optional  bool // None means not given
	posonly   bool
	kwonly    bool
	// accept reports why v is refused: errType for a wrong type, another error for a wrong value. nil accepts all.
	accept func(v starlark.Value) error
}

// errType says that a value has the wrong type.
var errType = fmt.Errorf("wrong type")

// Arg is a declared parameter whose value has the Go type T.
type Arg[T any] struct {
	p    *param
	i    int
	def  T
	conv func(starlark.Value) T
}

// Default makes the parameter optional: v when it is not given. None is not accepted instead of a value.
func (a *Arg[T]) Default(v T) *Arg[T] {
	a.def, a.p.required, a.p.def = v, false, literal(v)
	return a
}

// Optional makes the parameter optional without a default: Set tells whether it was given, and None means that it
// was not.
func (a *Arg[T]) Optional() *Arg[T] {
	a.p.required, a.p.optional, a.p.def = false, true, "None"
	return a
}

// KeywordOnly makes the parameter one that must be named.
func (a *Arg[T]) KeywordOnly() *Arg[T] { a.p.kwonly = true; return a }

// Positional makes the parameter one that cannot be named.
func (a *Arg[T]) Positional() *Arg[T] { a.p.posonly = true; return a }

// Get returns the argument of a call, or the default.
func (a *Arg[T]) Get(c *Call) T {
	if v := c.vals[a.i]; v != nil {
		return a.conv(v)
	}
	return a.def
}

// Set reports whether the call gave the argument.
func (a *Arg[T]) Set(c *Call) bool { return c.vals[a.i] != nil }

func declare[T any](p *Params, name, doc, want string, accept func(starlark.Value) error, conv func(starlark.Value) T) *Arg[T] {
	for _, x := range p.fn.params {
		if x.name == name {
			panic(fmt.Sprintf("starlib: %s declares parameter %q twice", p.fn.Name, name))
		}
	}
	x := &param{name: name, doc: doc, want: want, required: true, kwonly: p.kwonly, accept: accept}
	p.fn.params = append(p.fn.params, x)
	return &Arg[T]{p: x, i: len(p.fn.params) - 1, conv: conv}
}

func is[V starlark.Value](v starlark.Value) error {
	if _, ok := v.(V); !ok {
		return errType
	}
	return nil
}

// String declares a text.
func (p *Params) String(name, doc string) *Arg[string] {
	return declare(p, name, doc, "string", is[starlark.String], func(v starlark.Value) string { return string(v.(starlark.String)) })
}

// Bytes declares a string or bytes; Get returns its bytes as a Go string.
func (p *Params) Bytes(name, doc string) *Arg[string] {
	return declare(p, name, doc, "string or bytes", func(v starlark.Value) error {
		switch v.(type) {
		case starlark.String, starlark.Bytes:
			return nil
		}
		return errType
	}, func(v starlark.Value) string {
		if s, ok := v.(starlark.String); ok {
			return string(s)
		}
		return string(v.(starlark.Bytes))
	})
}

// OneOf declares a text that is one of the choices.
func (p *Params) OneOf(name, doc string, choices ...string) *Arg[string] {
	a := declare(p, name, doc, "string", func(v starlark.Value) error {
		s, ok := v.(starlark.String)
		if !ok {
			return errType
		}
		if !slices.Contains(choices, string(s)) {
			return fmt.Errorf("got %s, want one of %s%s", bound(s.String(), 80), quoteAll(choices), didYouMean(string(s), choices, `"`))
		}
		return nil
	}, func(v starlark.Value) string { return string(v.(starlark.String)) })
	a.p.choices = choices
	return a
}

// Int declares a whole number that fits 64 bits.
func (p *Params) Int(name, doc string) *Arg[int64] {
	return declare(p, name, doc, "int", func(v starlark.Value) error {
		i, ok := v.(starlark.Int)
		if !ok {
			return errType
		}
		if _, ok := i.Int64(); !ok {
			return fmt.Errorf("%s does not fit 64 bits", bound(i.String(), 40))
		}
		return nil
	}, func(v starlark.Value) int64 { i, _ := v.(starlark.Int).Int64(); return i })
}

// Float declares a number; ints are accepted.
func (p *Params) Float(name, doc string) *Arg[float64] {
	return declare(p, name, doc, "float", func(v starlark.Value) error {
		if _, ok := starlark.AsFloat(v); !ok {
			return errType
		}
		return nil
	}, func(v starlark.Value) float64 { f, _ := starlark.AsFloat(v); return f })
}

// Bool declares a truth value.
func (p *Params) Bool(name, doc string) *Arg[bool] {
	return declare(p, name, doc, "bool", is[starlark.Bool], func(v starlark.Value) bool { return bool(v.(starlark.Bool)) })
}

// Callable declares a function.
func (p *Params) Callable(name, doc string) *Arg[starlark.Callable] {
	return declare(p, name, doc, "function", func(v starlark.Value) error {
		if _, ok := v.(starlark.Callable); !ok {
			return errType
		}
		return nil
	}, func(v starlark.Value) starlark.Callable { return v.(starlark.Callable) })
}

// Iterable declares anything that a for loop accepts. Consume it with Each, which tells a failure from an end.
func (p *Params) Iterable(name, doc string) *Arg[starlark.Iterable] {
	return declare(p, name, doc, "iterable", func(v starlark.Value) error {
		if _, ok := v.(starlark.Iterable); !ok {
			return errType
		}
		return nil
	}, func(v starlark.Value) starlark.Iterable { return v.(starlark.Iterable) })
}

// Dict declares a dict or another mapping with items, such as a row.
func (p *Params) Dict(name, doc string) *Arg[starlark.IterableMapping] {
	return declare(p, name, doc, "dict", func(v starlark.Value) error {
		if _, ok := v.(starlark.IterableMapping); !ok {
			return errType
		}
		return nil
	}, func(v starlark.Value) starlark.IterableMapping { return v.(starlark.IterableMapping) })
}

// Strings declares a list or tuple of texts.
func (p *Params) Strings(name, doc string) *Arg[[]string] {
	return declare(p, name, doc, "list of strings", func(v starlark.Value) error {
		seq, ok := v.(starlark.Indexable)
		if _, text := v.(starlark.String); !ok || text {
			return errType
		}
		for i := range seq.Len() {
			if e := seq.Index(i); is[starlark.String](e) != nil {
				return fmt.Errorf("element %d: got %s, want string", i, e.Type())
			}
		}
		return nil
	}, func(v starlark.Value) []string {
		seq := v.(starlark.Indexable)
		s := make([]string, seq.Len())
		for i := range s {
			s[i] = string(seq.Index(i).(starlark.String))
		}
		return s
	})
}

// Size declares a number of bytes, as an int or as text such as "8MiB".
func (p *Params) Size(name, doc string) *Arg[int64] {
	return declare(p, name, doc, "int or size such as \"8MiB\"", func(v starlark.Value) error {
		_, err := asSize(v)
		return err
	}, func(v starlark.Value) int64 { n, _ := asSize(v); return n })
}

// Duration declares a length of time, as text such as "1h30m" or as a duration of the time module.
func (p *Params) Duration(name, doc string) *Arg[time.Duration] {
	return declare(p, name, doc, "duration such as \"90s\"", func(v starlark.Value) error {
		_, err := asDuration(v)
		return err
	}, func(v starlark.Value) time.Duration { d, _ := asDuration(v); return d })
}

// Value declares anything; with Optional, None counts as given. Name the accepted types for the pages.
func (p *Params) Value(name, doc string, types ...string) *Arg[starlark.Value] {
	want := "any"
	for i, t := range types {
		if i == 0 {
			want = t
		} else {
			want += " or " + t
		}
	}
	return declare(p, name, doc, want, nil, func(v starlark.Value) starlark.Value { return v })
}

// RestArg is the *args of a function.
type RestArg struct{}

// Get returns the surplus positional arguments.
func (RestArg) Get(c *Call) starlark.Tuple { return c.rest }

// Rest declares *args. Parameters declared after it are given by keyword only.
func (p *Params) Rest(name, doc string) RestArg {
	p.fn.rest = &param{name: name, doc: doc, want: "any"}
	p.kwonly = true
	return RestArg{}
}

// KwRestArg is the **kwargs of a function.
type KwRestArg struct{}

// Get returns the surplus keyword arguments as pairs of a starlark.String and a value, in the order given.
func (KwRestArg) Get(c *Call) []starlark.Tuple { return c.kwrest }

// KwRest declares **kwargs.
func (p *Params) KwRest(name, doc string) KwRestArg {
	p.fn.kwrest = &param{name: name, doc: doc, want: "any"}
	return KwRestArg{}
}

// close checks the declaration and counts the positional parameters.
func (p *Params) close() {
	f := p.fn
	kw, opt := false, false
	for _, x := range f.params {
		switch {
		case x.kwonly:
			kw = true
		case kw:
			panic(fmt.Sprintf("starlib: %s: positional parameter %q after a keyword-only one", f.Name, x.name))
		case x.required && opt:
			panic(fmt.Sprintf("starlib: %s: required parameter %q after an optional one", f.Name, x.name))
		default:
			opt = opt || !x.required
			f.npos++
		}
	}
}
