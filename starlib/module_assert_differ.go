package starlib

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// difference is the first place where two values differ.
type difference struct {
	where string // "at [2].name:", or "" for the values themselves
	why   string
}

// differ returns the first difference of two values, or nil. They are compared as Starlark's == does, but a row is a
// dict of its cells, at any depth.
func differ(x, y starlark.Value, path string, depth int) (*difference, error) {
	if depth > maxNesting {
		return nil, fault.New(fault.InvalidArgument, "the values are nested deeper than %d levels", maxNesting)
	}
	x, y = plainRow(x), plainRow(y)
	found := func(format string, args ...any) (*difference, error) {
		d := &difference{why: fmt.Sprintf(format, args...)}
		if path != "" {
			d.where = "at " + path + ":"
		}
		return d, nil
	}
	switch a := x.(type) {
	case *starlark.Dict:
		b, ok := y.(*starlark.Dict)
		if !ok {
			break
		}
		for _, k := range a.Keys() {
			av, _, _ := a.Get(k)
			at := path + "[" + briefText(k, 80) + "]"
			bv, ok, err := b.Get(k)
			if err != nil {
				return nil, err
			}
			if !ok {
				return found("the key %s is too much", briefText(k, 80))
			}
			if d, err := differ(av, bv, at, depth+1); d != nil || err != nil {
				return d, err
			}
		}
		for _, k := range b.Keys() {
			if _, ok, _ := a.Get(k); !ok {
				return found("the key %s is missing", briefText(k, 80))
			}
		}
		return nil, nil
	case *starlark.List, starlark.Tuple:
		if x.Type() != y.Type() {
			break
		}
		got, want := x.(starlark.Indexable), y.(starlark.Indexable)
		for i := range min(got.Len(), want.Len()) {
			if d, err := differ(got.Index(i), want.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1); d != nil || err != nil {
				return d, err
			}
		}
		if got.Len() != want.Len() {
			return found("got %s, want %d", count(got.Len(), "element"), want.Len())
		}
		return nil, nil
	case starlark.String:
		if b, ok := y.(starlark.String); ok && a != b && path == "" {
			if n, got, want := firstLine(string(a), string(b)); n > 0 {
				return found("line %d: got %s, want %s", n, got, want)
			}
			return found("")
		}
	}
	equal, err := starlark.Equal(x, y)
	if err != nil || equal {
		return nil, err
	}
	_, lazyX := x.(*Stream)
	_, lazyY := y.(*Stream)
	switch {
	case lazyX != lazyY:
		return found("a stream is not compared with %s: make a list of it with .collect()", other(x, y, lazyX).Type())
	case x.Type() != y.Type():
		return found("got %s %s, want %s %s", x.Type(), briefText(x, 120), y.Type(), briefText(y, 120))
	case path == "":
		return found("")
	}
	return found("got %s, want %s", briefText(x, 120), briefText(y, 120))
}

func other(x, y starlark.Value, first bool) starlark.Value {
	if first {
		return y
	}
	return x
}

// plainRow returns a dict for a row, and any other value as it is.
func plainRow(v starlark.Value) starlark.Value {
	if r, ok := v.(*Row); ok {
		d := starlark.NewDict(r.Len())
		for _, kv := range r.Items() {
			_ = d.SetKey(kv[0], kv[1]) // names of columns are strings
		}
		return d
	}
	return v
}

// firstLine returns the first line of two texts of several lines that differs, or 0 when both are of one line.
func firstLine(a, b string) (n int, got, want string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(as) == 1 && len(bs) == 1 {
		return 0, "", ""
	}
	line := func(list []string, i int) string {
		if i >= len(list) {
			return "the end"
		}
		return repr(starlark.String(list[i]), 200)
	}
	for i := range max(len(as), len(bs)) {
		if i >= len(as) || i >= len(bs) || as[i] != bs[i] {
			return i + 1, line(as, i), line(bs, i)
		}
	}
	return 0, "", ""
}
