package starlib

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

var fnHelp = Declare(Func{
	Name:    "help",
	Doc:     "Prints what is known of a function, module or value; of everything without an argument.",
	Returns: "None",
	Example: `help(path.join)`,
}, func(p *Params) Impl {
	x := p.Value("x", "What to explain.").Optional().Positional()
	return func(c *Call) (starlark.Value, error) {
		ws := c.Run.execution.program.words
		text := overview(ws)
		if x.Set(c) {
			text = explain(ws, x.Get(c))
		}
		if c.Thread.Print != nil {
			c.Thread.Print(c.Thread, strings.TrimRight(text, "\n"))
		}
		return nil, nil
	}
})

// overview lists the predeclared names.
func overview(ws []Word) string {
	var b strings.Builder
	for _, w := range ws {
		fmt.Fprintf(&b, "%-10s %s\n", w.Name, firstSentence(w.doc()))
	}
	b.WriteString("\nhelp(x) tells more of each.\n")
	return b.String()
}

func (w Word) doc() string {
	switch {
	case w.Func != nil:
		return w.Func.Doc
	case w.Module != nil:
		return w.Module.Doc
	}
	return w.Doc
}

func firstSentence(s string) string {
	if i := strings.Index(s, ". "); i >= 0 {
		return s[:i+1]
	}
	return s
}

// explain returns the help text of a value.
func explain(ws []Word, v starlark.Value) string {
	switch v := v.(type) {
	case *Module:
		return v.help()
	case *starlark.Builtin:
		if f := declared(ws, v.Name()); f != nil {
			return f.help()
		}
		return v.Name() + ": a function of the language"
	case *starlark.Function:
		return functionHelp(v)
	}
	for _, m := range types() {
		if m.Type == v.Type() {
			return m.help()
		}
	}
	s := v.Type()
	if a, ok := v.(starlark.HasAttrs); ok {
		s += ": " + strings.Join(a.AttrNames(), ", ")
	}
	return s
}

// declared returns the function of a name, or nil.
func declared(ws []Word, name string) *Function {
	for _, f := range functions(ws) {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Functions lists every declared function and method, in the order of the reference, those of test files too.
func Functions() []*Function { return functions(append(words(), testWords()...)) }

func functions(ws []Word) []*Function {
	var fs []*Function
	for _, w := range ws {
		if w.Func != nil {
			fs = append(fs, w.Func)
		}
		if w.Module != nil {
			fs = append(fs, w.Module.Funcs...)
		}
	}
	for _, m := range types() {
		fs = append(fs, m.Funcs...)
	}
	return fs
}

// Signature returns the function as a script would call it: `path.join(*parts) -> string`.
func (f *Function) Signature() string {
	var parts []string
	star := false
	for _, p := range f.params {
		if p.kwonly && !star {
			star = true
			if f.rest != nil {
				parts = append(parts, "*"+f.rest.name)
			} else {
				parts = append(parts, "*")
			}
		}
		s := p.name
		switch {
		case p.posonly && p.required:
			s = "<" + s + ">"
		case p.def != "":
			s += "=" + p.def
		}
		parts = append(parts, s)
	}
	if f.rest != nil && !star {
		parts = append(parts, "*"+f.rest.name)
	}
	if f.kwrest != nil {
		parts = append(parts, "**"+f.kwrest.name)
	}
	s := f.Name + "(" + strings.Join(parts, ", ") + ")"
	if f.Returns != "" && f.Returns != "None" {
		s += " -> " + f.Returns
	}
	return s
}

func (f *Function) help() string {
	var b strings.Builder
	b.WriteString(f.Signature() + "\n\n" + f.Doc + "\n")
	all := f.all()
	if len(all) > 0 {
		b.WriteByte('\n')
	}
	for _, p := range all {
		fmt.Fprintf(&b, "  %-12s %s (%s)\n", p.name, p.doc, p.typeText())
	}
	if ex := strings.TrimSpace(f.Example); ex != "" {
		b.WriteString("\nExample:\n")
		for l := range strings.SplitSeq(ex, "\n") {
			b.WriteString(strings.TrimRight("  "+l, " ") + "\n")
		}
	}
	return b.String()
}

// all returns every parameter with *args and **kwargs, these with their stars.
func (f *Function) all() []param {
	var all []param
	for _, p := range f.params {
		all = append(all, *p)
	}
	if f.rest != nil {
		r := *f.rest
		r.name = "*" + r.name
		all = append(all, r)
	}
	if f.kwrest != nil {
		r := *f.kwrest
		r.name = "**" + r.name
		all = append(all, r)
	}
	return all
}

// typeText says what a parameter takes: its choices or its type.
func (p *param) typeText() string {
	if p.choices != nil {
		return strings.Join(strings.Split(quoteAll(p.choices), ", "), " or ")
	}
	return p.want
}

func (m *Module) help() string {
	var b strings.Builder
	b.WriteString(m.Name + ": " + m.Doc + "\n\n")
	for _, c := range m.Consts {
		fmt.Fprintf(&b, "  %s.%s: %s\n", m.Name, c.Name, c.Doc)
	}
	for _, f := range m.Funcs {
		fmt.Fprintf(&b, "  %s\n      %s\n", f.Signature(), firstSentence(f.Doc))
	}
	return b.String()
}

func (m *Methods) help() string {
	var b strings.Builder
	b.WriteString(m.Type + ": " + m.Doc + "\n\n")
	for _, a := range m.Fields {
		fmt.Fprintf(&b, "  .%s (%s): %s\n", a.Name, a.Type, a.Doc)
	}
	for _, f := range m.Funcs {
		fmt.Fprintf(&b, "  %s\n      %s\n", f.Signature(), firstSentence(f.Doc))
	}
	return b.String()
}

func functionHelp(fn *starlark.Function) string {
	var parts []string
	for i := range fn.NumParams() {
		name, _ := fn.Param(i)
		switch {
		case fn.HasKwargs() && i == fn.NumParams()-1:
			name = "**" + name
		case fn.HasVarargs() && (i == fn.NumParams()-1 || fn.HasKwargs() && i == fn.NumParams()-2):
			name = "*" + name
		}
		if d := fn.ParamDefault(i); d != nil {
			if n, err := textSize(d, 1000); err == nil && n < 200 {
				name += "=" + d.String()
			} else {
				name += "=..."
			}
		}
		parts = append(parts, name)
	}
	s := fn.Name() + "(" + strings.Join(parts, ", ") + ")\n"
	if doc := strings.TrimSpace(fn.Doc()); doc != "" {
		s += "\n" + doc + "\n"
	}
	return s
}
