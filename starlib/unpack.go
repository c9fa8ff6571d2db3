package starlib

import (
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// unpack puts the arguments of a call into the slots of its parameters.
func (f *Function) unpack(c *Call, args starlark.Tuple, kwargs []starlark.Tuple) error {
	n := len(args)
	if n > f.npos {
		if f.rest == nil {
			return f.tooMany(n)
		}
		c.rest = args[f.npos:]
		n = f.npos
	}
	for i, v := range args[:n] {
		if err := f.set(c, i, v); err != nil {
			return err
		}
	}
next:
	for _, kv := range kwargs {
		name := string(kv[0].(starlark.String))
		for i, p := range f.params {
			if p.name == name && !p.posonly {
				if i < n || c.vals[i] != nil {
					return f.fail(fault.InvalidArgument, "", "got multiple values for parameter %s", name)
				}
				if err := f.set(c, i, kv[1]); err != nil {
					return err
				}
				continue next
			}
		}
		if f.kwrest == nil {
			return f.unexpected(name)
		}
		c.kwrest = append(c.kwrest, kv)
	}
	if len(c.kwrest) > 1 {
		if name := repeated(c.kwrest); name != "" {
			return f.fail(fault.InvalidArgument, "", "got multiple values for parameter %s", name)
		}
	}
	for i, p := range f.params {
		if p.required && c.vals[i] == nil {
			return f.missing(c)
		}
	}
	return nil
}

// repeated returns a name that f(a=1, **{"a": 2}) gave twice, or "".
func repeated(kwargs []starlark.Tuple) string {
	seen := make(map[string]bool, len(kwargs))
	for _, kv := range kwargs {
		name := string(kv[0].(starlark.String))
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}

// set checks one argument and puts it into its slot.
func (f *Function) set(c *Call, i int, v starlark.Value) error {
	p := f.params[i]
	if p.optional && p.accept != nil && v == starlark.None {
		return nil
	}
	if p.accept != nil {
		if err := p.accept(v); err == errType {
			return f.badArgument(p.name, v, p.want)
		} else if err != nil {
			return f.fail(fault.InvalidArgument, "", "for parameter %s: %w", p.name, err)
		}
	}
	c.vals[i] = v
	return nil
}

func (f *Function) tooMany(n int) error {
	if f.npos == 0 && len(f.params) == 0 {
		return f.fail(fault.InvalidArgument, "", "got %s, want none", count(n, "argument"))
	}
	most := "at most "
	if f.npos == 0 || f.params[f.npos-1].required {
		most = ""
	}
	var named []string
	for _, p := range f.params[f.npos:] {
		named = append(named, p.name+"=")
	}
	hint := ""
	if len(named) > 0 {
		hint = "Give these by name: " + strings.Join(named, ", ") + "."
	}
	return f.fail(fault.InvalidArgument, hint, "got %s, want %s%d", count(n, "positional argument"), most, f.npos)
}

func (f *Function) unexpected(name string) error {
	var names []string
	for _, p := range f.params {
		if !p.posonly {
			names = append(names, p.name)
		}
	}
	return f.fail(fault.InvalidArgument, "", "unexpected keyword argument %s%s", fault.Printable(bound(name, 80)), didYouMean(name, names, ""))
}

func (f *Function) missing(c *Call) error {
	var names []string
	for i, p := range f.params {
		if p.required && c.vals[i] == nil {
			names = append(names, p.name)
		}
	}
	return f.fail(fault.InvalidArgument, "", "missing %s %s", plural(len(names), "argument"), strings.Join(names, ", "))
}

// count returns "1 argument" or "3 arguments".
func count(n int, what string) string { return strconv.Itoa(n) + " " + plural(n, what) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

func quoteAll(ss []string) string {
	q := make([]string, len(ss))
	for i, s := range ss {
		q[i] = strconv.Quote(s)
	}
	return strings.Join(q, ", ")
}

// literal returns a default value as Starlark text.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case bool:
		return starlark.Bool(v).String()
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return starlark.Float(v).String()
	case time.Duration:
		return strconv.Quote(v.String())
	case []string:
		return "[" + quoteAll(v) + "]"
	case starlark.Value:
		return v.String()
	}
	return "None"
}
