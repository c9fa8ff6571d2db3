package schema

import (
	"fmt"
	"strings"
)

// Reference returns the Markdown page of a block: what it is, its attributes, its methods and an example. Attributes
// that every block of the kind has are left to CommonReference.
func Reference(b Body) string {
	_, fs := b.Declare()
	var w strings.Builder
	fmt.Fprintf(&w, "# %s\n\n%s\n", header(b), b.Summary)
	if b.Warning != "" {
		fmt.Fprintf(&w, "\n> **Note:** %s\n", b.Warning)
	}
	fmt.Fprintf(&w, "\n```hcl\n%s```\n", Example(b))
	if len(fs.List) > 0 {
		w.WriteString("\n## Attributes\n\n")
		table(&w, fs.List)
	}
	if len(fs.Methods) > 0 {
		w.WriteString("\n## Methods\n\nThe method is inferred from what is set; `method = \"...\"` names one.\n\n| method | needs | takes | meaning |\n|---|---|---|---|\n")
		for _, m := range fs.Methods {
			needs := code(m.Need, ", ")
			if len(m.NeedOne) > 0 {
				one := code(m.NeedOne, " or ")
				if len(m.NeedOne) > 1 {
					one = "one of " + one
				}
				needs = strings.TrimPrefix(needs+", "+one, ", ")
			}
			fmt.Fprintf(&w, "| `%s` | %s | %s | %s |\n", m.Name, needs, code(m.Allow, ", "), cell(m.Doc))
		}
	}
	for i, r := range fs.Rules {
		if i == 0 {
			w.WriteString("\n## Rules\n\n")
		}
		fmt.Fprintf(&w, "- %s\n", ruleText(r))
	}
	if len(b.Families) > 0 {
		fmt.Fprintf(&w, "\nThe `credential` is of the family %s.\n", code(b.Families, " or "))
	}
	return w.String()
}

// CommonReference returns the Markdown table of the attributes that every block of a kind has.
func CommonReference(block string, families []string) string {
	fs := &Fields{}
	CommonFields(fs, &Common{}, block, families)
	var w strings.Builder
	table(&w, fs.List)
	return w.String()
}

// Example returns an HCL example of a block, made of the examples of its required attributes.
func Example(b Body) string {
	_, fs := b.Declare()
	var w strings.Builder
	w.WriteString(header(b) + " {\n")
	var lines [][2]string
	named := map[string]bool{}
	for _, f := range fs.List {
		named[f.Name] = f.IsRequired || f.Example != "" && len(fs.Methods) == 0 && f.Deprecated == ""
	}
	if need := exampleMethod(fs); need != nil {
		for _, n := range need {
			named[n] = true
		}
	}
	for _, f := range fs.List {
		if named[f.Name] {
			lines = append(lines, [2]string{f.Name, ExampleValue(f)})
		}
	}
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	for _, l := range lines {
		fmt.Fprintf(&w, "  %-*s = %s\n", width, l[0], l[1])
	}
	w.WriteString("}\n")
	return w.String()
}

// exampleMethod returns the attributes of the first method that needs any.
func exampleMethod(fs *Fields) []string {
	for _, m := range fs.Methods {
		if len(m.Need)+len(m.NeedOne) == 0 {
			continue
		}
		need := append([]string{}, m.Need...)
		if len(m.NeedOne) > 0 {
			need = append(need, m.NeedOne[0])
		}
		return need
	}
	return nil
}

// ExampleValue returns a value of an attribute as HCL text: its example, else one that fits its kind.
func ExampleValue(f *Field) string {
	switch {
	case f.Example != "":
		return f.Example
	case f.Sensitive:
		return fmt.Sprintf("env(%q)", strings.ToUpper(f.Name))
	case len(f.Choices) > 0 && f.Kind == KindString:
		return fmt.Sprintf("%q", f.Choices[0])
	case len(f.Choices) > 0 && f.Kind == KindStrings:
		return fmt.Sprintf("[%q]", f.Choices[0])
	case f.DefaultText != "":
		return f.DefaultText
	}
	switch f.Kind {
	case KindBool:
		return "true"
	case KindInt:
		return "1"
	case KindSize:
		return `"8MiB"`
	case KindDuration:
		return `"5m"`
	case KindStrings:
		return `["a"]`
	case KindMap:
		return `{ a = "b" }`
	case KindRef:
		return "null"
	}
	return fmt.Sprintf("%q", f.Name)
}

// header is the header of a block as a user writes it.
func header(b Body) string {
	switch {
	case b.Label != "":
		return fmt.Sprintf("%s %q \"main\"", b.Block, b.Label)
	case b.Block == "script":
		return `script "jobs/**/*.star"`
	case b.Block == "store":
		return `store "main"`
	}
	return b.Block
}

func table(w *strings.Builder, list []*Field) {
	w.WriteString("| attribute | type | default | meaning |\n|---|---|---|---|\n")
	for _, f := range list {
		def := ""
		if f.DefaultText != "" {
			def = "`" + f.DefaultText + "`"
		}
		if f.IsRequired {
			def = "required"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", f.Name, typeText(f), cell(def), cell(meaning(f)))
	}
}

func typeText(f *Field) string {
	t := string(f.Kind)
	switch f.Kind {
	case KindSecret:
		return "string, sensitive"
	case KindRef:
		t = strings.Join(f.RefTo, " or ")
		if t == "" {
			t = "block"
		}
		return "reference to a " + t
	}
	if f.Sensitive {
		t += ", sensitive"
	}
	return t
}

// meaning is the documentation of an attribute with its choices, deprecation and environment names.
func meaning(f *Field) string {
	s := f.Doc
	if len(f.Choices) > 0 {
		s += " One of " + code(f.Choices, ", ") + "."
	}
	if len(f.Env) > 0 {
		s += " When nothing is set, from " + code(f.Env, ", ") + "."
	}
	if f.Deprecated != "" {
		s += " Deprecated: use " + f.Deprecated + " instead."
	}
	return s
}

func ruleText(r Rule) string {
	names := code(r.Names, ", ")
	switch r.Op {
	case "exactly_one":
		return "Exactly one of " + names + " is set."
	case "at_most_one":
		return "At most one of " + names + " is set."
	case "at_least_one":
		return "At least one of " + names + " is set."
	}
	return "All of " + names + " are set, or none."
}

func code(names []string, sep string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`"+sep+"`") + "`"
}

// cell makes a text fit into a cell of a Markdown table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
