package starlib

import (
	"fmt"
	"strings"
)

// Page is one page of the reference.
type Page struct {
	Name     string // of the file, without a suffix: "json", "store"
	Title    string
	Markdown string
}

// ReferencePages renders the reference of the script language from the declarations: first the words and plain
// functions, then a page for each module and each type.
func ReferencePages() []Page {
	var pages []Page
	add := func(name, title string, render func(b *strings.Builder)) {
		var b strings.Builder
		b.WriteString("# " + title + "\n\n")
		render(&b)
		pages = append(pages, Page{name, title, strings.TrimRight(b.String(), "\n") + "\n"})
	}
	ws := append(words(), testWords()...)
	add("words", "Predeclared names", func(b *strings.Builder) {
		b.WriteString("Scripts use these without load(). A script may use a name for something of its own.\n\n| name | what |\n|---|---|\n")
		for _, w := range ws {
			fmt.Fprintf(b, "| `%s` | %s |\n", w.Name, tableText(firstSentence(w.doc())))
		}
		b.WriteByte('\n')
		for _, w := range ws {
			if w.Func != nil {
				w.Func.markdown(b)
			}
		}
	})
	taken := map[string]bool{}
	for _, w := range ws {
		if m := w.Module; m != nil {
			taken[m.Name] = true
			add(m.Name, "Module "+m.Name, func(b *strings.Builder) {
				b.WriteString(m.Doc + "\n\n")
				if len(m.Consts) > 0 {
					b.WriteString("| name | what |\n|---|---|\n")
					for _, c := range m.Consts {
						fmt.Fprintf(b, "| `%s.%s` | %s |\n", m.Name, c.Name, tableText(c.Doc))
					}
					b.WriteByte('\n')
				}
				for _, f := range m.Funcs {
					f.markdown(b)
				}
			})
		}
	}
	for _, m := range types() {
		name := m.Type
		if taken[name] {
			name += "_type"
		}
		add(name, "Type "+m.Type, func(b *strings.Builder) {
			b.WriteString(m.Doc + "\n\n")
			if len(m.Fields) > 0 {
				b.WriteString("| field | type | what |\n|---|---|---|\n")
				for _, a := range m.Fields {
					fmt.Fprintf(b, "| `.%s` | %s | %s |\n", a.Name, tableText(a.Type), tableText(a.Doc))
				}
				b.WriteByte('\n')
			}
			for _, f := range m.Funcs {
				f.markdown(b)
			}
		})
	}
	return pages
}

// tableText escapes a text for a table.
func tableText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ")
}

func (f *Function) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n\n```python\n%s\n```\n\n%s\n\n", f.Name, f.Signature(), f.Doc)
	if all := f.all(); len(all) > 0 {
		b.WriteString("| parameter | type | default | what |\n|---|---|---|---|\n")
		for _, p := range all {
			def := "required"
			switch {
			case strings.HasPrefix(p.name, "*"):
				def = ""
			case !p.required:
				def = "`" + p.def + "`"
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", p.name, tableText(p.typeText()), tableText(def), tableText(p.doc))
		}
		b.WriteByte('\n')
	}
	if ex := strings.TrimSpace(f.Example); ex != "" {
		fmt.Fprintf(b, "```python\n%s\n```\n\n", ex)
	}
}

// Stubs renders the declarations as a Python stub file (.pyi), from which editors complete and check names.
func Stubs() string {
	var b strings.Builder
	b.WriteString("# The names that scripts can use. Generated.\nfrom typing import Any, Callable, Iterable, Iterator\n\n")
	class := func(name, doc string, body func()) {
		fmt.Fprintf(&b, "class %s:\n    %s\n", name, docstring(doc))
		body()
		b.WriteByte('\n')
	}
	for _, m := range types() {
		class(className(m.Type), m.Doc, func() {
			for _, a := range m.Fields {
				fmt.Fprintf(&b, "    %s: %s  # %s\n", a.Name, pyType(a.Type), a.Doc)
			}
			for _, f := range m.Funcs {
				f.stub(&b, "    ", true)
			}
			if m.Type == "stream" {
				b.WriteString("    def __iter__(self) -> Iterator[Any]: ...\n")
			}
			if what := map[string]string{"row": "Any", "ds": "Store", "topics": "Topic", "match": "Any"}[m.Type]; what != "" {
				fmt.Fprintf(&b, "    def __getattr__(self, name: str) -> %s: ...\n    def __getitem__(self, name: Any) -> %s: ...\n", what, what)
			}
		})
	}
	for _, w := range append(words(), testWords()...) {
		switch {
		case w.Func != nil:
			w.Func.stub(&b, "", false)
			b.WriteByte('\n')
		case w.Module != nil:
			class("_"+className(w.Name)+"Module", w.Module.Doc, func() {
				for _, c := range w.Module.Consts {
					fmt.Fprintf(&b, "    %s: Any  # %s\n", c.Name, c.Doc)
				}
				for _, f := range w.Module.Funcs {
					f.stub(&b, "    ", true)
				}
			})
			if w.Name == "assert" { // a keyword of Python, which no stub can declare
				b.WriteString("# ")
			}
			fmt.Fprintf(&b, "%s: _%sModule\n\n", w.Name, className(w.Name))
		case w.Type != nil:
			fmt.Fprintf(&b, "%s: %s\n\n", w.Name, className(w.Type.Type))
		default:
			fmt.Fprintf(&b, "%s: Any\n\n", w.Name)
		}
	}
	return b.String()
}

func docstring(s string) string {
	return `"""` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"""`
}

// className returns the Python class of a type: Row for row.
func className(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// stub writes the function's signature.
func (f *Function) stub(b *strings.Builder, indent string, method bool) {
	var parts []string
	if method {
		parts = append(parts, "self")
	}
	star := false
	for i, p := range f.params {
		if p.kwonly && !star {
			star = true
			if f.rest == nil {
				parts = append(parts, "*")
			} else {
				parts = append(parts, "*"+f.rest.name+": Any")
			}
		}
		s := p.name + ": " + pyType(p.want)
		switch {
		case p.def == "None":
			s += " | None = None"
		case !p.required:
			s += " = " + pyDefault(p.def)
		}
		parts = append(parts, s)
		if p.posonly && (i+1 == len(f.params) || !f.params[i+1].posonly) {
			parts = append(parts, "/")
		}
	}
	if f.rest != nil && !star {
		parts = append(parts, "*"+f.rest.name+": Any")
	}
	if f.kwrest != nil {
		parts = append(parts, "**"+f.kwrest.name+": Any")
	}
	fmt.Fprintf(b, "%sdef %s(%s) -> %s:\n%s    %s\n", indent, f.Word(), strings.Join(parts, ", "), pyType(f.Returns), indent, docstring(f.Doc))
}

// pyDefault returns a default that Python reads too.
func pyDefault(s string) string {
	if strings.HasPrefix(s, "<") {
		return "..."
	}
	return s
}

// pyTypes maps the types of the reference to Python's.
var pyTypes = map[string]string{
	"string": "str", "int": "int", "float": "float", "bool": "bool", "bytes": "bytes", "None": "None", "dict": "dict", "list": "list", "tuple": "tuple",
	"function": "Callable", "iterable": "Iterable", "list of strings": "list[str]", "string or bytes": "str | bytes",
}

// pyType returns the Python type of a type as the reference words it, Any where Python has none.
func pyType(s string) string {
	if t := pyTypes[s]; t != "" {
		return t
	}
	if parts := strings.Split(s, " or "); len(parts) > 1 {
		for i, p := range parts {
			parts[i] = pyType(p)
			if parts[i] == "Any" {
				return "Any"
			}
		}
		return strings.Join(parts, " | ")
	}
	base, _, _ := strings.Cut(s, "[")
	if base == "list" {
		return "list"
	}
	for _, m := range types() {
		if m.Type == base {
			return className(base)
		}
	}
	return "Any"
}
