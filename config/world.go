package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// worldly are the names of the functions that reach outside of the configuration.
var worldly = []string{"env", "file", "secret::exec", "secret::file", "sensitive"}

// later are the sources of secrets that have a name but no implementation yet.
var later = []string{"secret::keyring", "secret::aws", "secret::gcp", "secret::azure", "secret::vault"}

// mark is the type of the one mark that values carry.
type mark string

// sensitive marks what must not be shown.
const sensitive = mark("sensitive")

// live is what late evaluation reads from; nil in offline evaluation, where the results are unknown.
type live struct {
	ctx context.Context
	s   Secrets
}

// functions returns all functions for expressions of a file in the folder dir.
func (e *evaluator) functions(dir string) map[string]function.Function {
	if fns, ok := e.fns[dir]; ok {
		return fns
	}
	fns := map[string]function.Function{}
	for name, f := range pure() {
		fns[name] = f
	}
	text := []function.Parameter{{Name: "path", Type: cty.String}}
	fns["env"] = bounded(e.envFunc(), nil)
	fns["file"] = bounded(function.New(&function.Spec{Params: text, Type: function.StaticReturnType(cty.String),
		Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) { return e.readFile(dir, a[0].AsString()) }}), nil)
	fns["secret::file"] = bounded(e.secretFunc(text, nil, func(a []string) ([]byte, error) { return e.live.s.File(e.live.ctx, dir, a[0]) }), nil)
	fns["secret::exec"] = bounded(e.secretFunc([]function.Parameter{{Name: "command", Type: cty.String}}, &function.Parameter{Name: "args", Type: cty.String},
		func(a []string) ([]byte, error) { return e.live.s.Exec(e.live.ctx, dir, a) }), nil)
	fns["sensitive"] = bounded(function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}},
		Type:   func(a []cty.Value) (cty.Type, error) { return a[0].Type(), nil },
		Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
			e.seen(a[0])
			return a[0].Mark(sensitive), nil
		}}), nil)
	e.fns[dir] = fns
	return fns
}

// envFunc is env(name[, default]).
func (e *evaluator) envFunc() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true, AllowUnknown: true},
		Type: func(a []cty.Value) (cty.Type, error) {
			if len(a) > 2 {
				return cty.String, function.NewArgErrorf(2, "env takes a name and, if you like, a default")
			}
			if a[0].IsKnown() && (a[0].AsString() == "" || strings.ContainsAny(a[0].AsString(), "=\x00")) {
				return cty.String, function.NewArgErrorf(0, "the name of an environment variable is not empty and holds no equals sign")
			}
			return cty.String, nil
		},
		Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
			if e.live == nil {
				v := cty.UnknownVal(cty.String)
				if len(a) < 2 || a[1].IsKnown() && !a[1].IsNull() {
					v = v.RefineNotNull()
				}
				return v, nil
			}
			if s, ok := e.live.s.Env(a[0].AsString()); ok {
				if !utf8.ValidString(s) {
					return cty.NilVal, fmt.Errorf("the environment variable %q is not UTF-8 text", a[0].AsString())
				}
				return cty.StringVal(s), nil
			}
			if len(a) < 2 {
				return cty.NilVal, fmt.Errorf("the environment variable %q is not set; set it, or give env a default as second argument", a[0].AsString())
			}
			return a[1], nil
		},
	})
}

// secretFunc is a function whose result is sensitive.
func (e *evaluator) secretFunc(params []function.Parameter, rest *function.Parameter, read func(args []string) ([]byte, error)) function.Function {
	return function.New(&function.Spec{Params: params, VarParam: rest, Type: function.StaticReturnType(cty.String),
		Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
			if e.live == nil {
				return cty.UnknownVal(cty.String).RefineNotNull().Mark(sensitive), nil
			}
			args := make([]string, len(a))
			for i, v := range a {
				args[i] = v.AsString()
			}
			b, err := read(args)
			if err != nil {
				return cty.NilVal, err
			}
			s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
			e.seenText(s)
			switch {
			case len(s) > maxText:
				return cty.NilVal, fmt.Errorf("the secret has more than %d bytes", maxText)
			case !utf8.ValidString(s):
				return cty.NilVal, errors.New("the secret is not UTF-8 text")
			}
			v := cty.StringVal(s)
			e.seen(v) // the normal form, where it differs
			return v.Mark(sensitive), nil
		}})
}

func (e *evaluator) readFile(dir, path string) (cty.Value, error) {
	if e.c.readFile == nil {
		return cty.NilVal, errors.New("files cannot be read here")
	}
	b, err := e.c.readFile(dir, path)
	switch {
	case err != nil:
		return cty.NilVal, err
	case len(b) > maxText:
		return cty.NilVal, fmt.Errorf("the file %q has more than %d bytes: keep data in a datastore", path, maxText)
	case !utf8.Valid(b):
		return cty.NilVal, fmt.Errorf("the file %q is not UTF-8 text: keep data in a datastore", path)
	}
	return cty.StringVal(string(b)), nil
}

// seen makes the texts and numbers in a value known as sensitive.
func (e *evaluator) seen(v cty.Value) {
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if !v.IsKnown() || v.IsNull() {
			return false, nil
		}
		switch {
		case v.Type() == cty.String:
			e.seenText(v.AsString())
		case v.Type() == cty.Number && numberOK(v.AsBigFloat()):
			e.seenText(v.AsBigFloat().Text('f', -1))
		}
		return true, nil
	})
}

// seenText tells whoever must hide a sensitive text, before anyone receives it.
func (e *evaluator) seenText(s string) {
	if len(s) == 0 {
		return
	}
	if e.live != nil {
		e.live.s.Seen(s)
	} else if e.c.seen != nil {
		e.c.seen(s)
	}
	e.hide.add(s)
}

// hidden are texts that diagnostics must not show.
type hidden struct {
	known map[string]bool
	list  []string // longest first
}

// add adds a text; the longer lines of one that has several count on their own, because source is shown by lines.
func (h *hidden) add(s string) {
	parts := []string{s}
	if strings.Contains(s, "\n") {
		parts = append(parts, strings.SplitN(s, "\n", 1000)...)
	}
	for _, part := range parts {
		part = strings.TrimSpace(part)
		if len(part) < 4 || part == "true" || part == "false" || part == "null" || h.known[part] {
			continue
		}
		if h.known == nil {
			h.known = map[string]bool{}
		}
		h.known[part] = true
		at, _ := slices.BinarySearchFunc(h.list, len(part), func(x string, n int) int { return n - len(x) })
		h.list = slices.Insert(h.list, at, part)
	}
}

// clean masks every hidden text in s.
func (h *hidden) clean(s string) string {
	for _, x := range h.list {
		s = strings.ReplaceAll(s, x, maskText)
	}
	return s
}
