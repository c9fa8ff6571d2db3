package starlib

import (
	"context"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// mostPaths is how many paths are offered.
const mostPaths = 100

// Complete returns what may stand instead of the last n characters of line, which is what was typed so far: names,
// attributes, keyword arguments, and inside of a string the paths of the datastore that is called. Nothing of the line is
// executed; only paths ask a datastore, until ctx ends.
func (s *Shell) Complete(ctx context.Context, line string) (n int, words []string) {
	if quote, text := openString(line); quote >= 0 {
		return len(text), s.paths(ctx, line[:quote], text)
	}
	word := trailing(line)
	dot := strings.LastIndexByte(word, '.')
	if dot < 0 {
		words = append(s.keywords(line[:len(line)-len(word)]), s.names()...)
		for _, kw := range []string{"and", "def", "elif", "else", "for", "if", "in", "lambda", "load", "not", "or", "pass", "return", "break", "continue", "True", "False", "None"} {
			words = append(words, kw)
		}
		words = append(words, starlark.Universe.Keys()...)
		slices.Sort(words)
		return len(word), slices.Compact(withPrefix(words, word))
	}
	partial := word[dot+1:]
	return len(partial), withPrefix(s.attrs(word[:dot]), partial)
}

func withPrefix(words []string, prefix string) []string {
	return slices.DeleteFunc(words, func(w string) bool {
		return !strings.HasPrefix(w, prefix) || prefix == "" && strings.HasPrefix(w, "_")
	})
}

// trailing returns the dotted name that a line ends with.
func trailing(line string) string {
	i := len(line)
	for i > 0 && (line[i-1] == '.' || line[i-1] == '_' || line[i-1] >= '0' && line[i-1] <= '9' || line[i-1] >= 'a' && line[i-1] <= 'z' || line[i-1] >= 'A' && line[i-1] <= 'Z') {
		i--
	}
	return line[i:]
}

// openString returns where the string begins that is open at the end of line, and its text; -1 when there is none.
func openString(line string) (quote int, text string) {
	quote = -1
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote >= 0 && c == '\\':
			i++
		case quote >= 0 && c == line[quote]:
			quote = -1
		case quote < 0 && (c == '"' || c == '\''):
			quote = i
		case quote < 0 && c == '#':
			return -1, ""
		}
	}
	if quote < 0 {
		return -1, ""
	}
	return quote, line[quote+1:]
}

// declaredStore stands for a datastore or topic that is not opened for the sake of a completion.
type declaredStore struct {
	kind, name string
}

// lookup follows a dotted name without calling anything and without opening a store.
func (s *Shell) lookup(name string) (v starlark.Value, block declaredStore, fn *Function) {
	parts := strings.Split(name, ".")
	v = s.env[parts[0]]
	if v == nil {
		v = starlark.Universe[parts[0]]
	}
	for i, p := range parts[1:] {
		switch x := v.(type) {
		case *namespace:
			if !slices.Contains(s.o.Host.Names(x.kind), p) {
				v, _ = x.docs.Bind(x, p).(starlark.Value)
				continue
			}
			block = declaredStore{x.kind, p}
			rest := parts[i+2:]
			if len(rest) == 1 {
				fn = methodsOf(x.kind).index[rest[0]]
			}
			return nil, block, fn
		case starlark.HasAttrs:
			v, _ = x.Attr(p)
		default:
			return nil, block, nil
		}
	}
	switch x := v.(type) {
	case *datastore:
		block = declaredStore{"datastore", x.Name()}
	case *starlark.Builtin:
		fn = declared(s.program.words, x.Name())
	}
	return v, block, fn
}

func methodsOf(kind string) *Methods {
	if kind == "topic" {
		return topicMethods
	}
	return storeMethods
}

// attrs lists the attributes of what a dotted name stands for.
func (s *Shell) attrs(name string) []string {
	v, block, fn := s.lookup(name)
	if fn != nil {
		return nil
	}
	if block.name != "" {
		m := methodsOf(block.kind)
		out := slices.Clone(m.Names())
		for _, f := range m.Fields {
			out = append(out, f.Name)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if x, ok := v.(starlark.HasAttrs); ok {
		out := slices.Clone(x.AttrNames())
		slices.Sort(out)
		return slices.Compact(out)
	}
	return nil
}

// callee returns the dotted name of the call whose arguments a text ends in, and the text of the arguments so far.
func callee(text string) (name, args string) {
	depth := 0
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case ')', ']', '}':
			depth++
		case '[', '{':
			depth--
		case '(':
			if depth == 0 {
				return trailing(text[:i]), text[i+1:]
			}
			depth--
		}
		if depth < 0 {
			return "", ""
		}
	}
	return "", ""
}

// keywords lists the keyword arguments of the call that a text ends in, those that are not yet given.
func (s *Shell) keywords(before string) []string {
	name, args := callee(before)
	if name == "" {
		return nil
	}
	v, _, fn := s.lookup(name)
	var out []string
	if fn != nil {
		for _, p := range fn.params {
			if !p.posonly {
				out = append(out, p.name+" = ")
			}
		}
	} else if f, ok := v.(*starlark.Function); ok {
		for i := range f.NumParams() {
			p, _ := f.Param(i)
			out = append(out, p+" = ")
		}
	}
	return slices.DeleteFunc(out, func(p string) bool { return strings.Contains(args, strings.TrimSuffix(p, " = ")) })
}

// paths lists what a datastore has below the path that is typed as an argument of one of its methods.
func (s *Shell) paths(ctx context.Context, before, typed string) []string {
	name, args := callee(before)
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.TrimSpace(args) != "" || strings.ContainsAny(typed, "*?[{\\") {
		return nil
	}
	_, block, _ := s.lookup(name[:dot])
	if block.kind != "datastore" {
		return nil
	}
	st, err := s.o.Host.Store(ctx, block.name)
	if err != nil {
		return nil
	}
	l := st.List(ctx, store.ListOptions{Prefix: typed, OneLevel: true, Limit: mostPaths})
	defer l.Close()
	var out []string
	for len(out) < mostPaths {
		page, err := l.Next(ctx)
		for _, e := range page {
			if fault.Printable(e.Key) == e.Key && !strings.ContainsAny(e.Key, "\"'\\") {
				out = append(out, e.Key)
			}
		}
		if err != nil {
			break
		}
	}
	return out
}
