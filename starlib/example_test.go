package starlib

import (
	"strings"
	"testing"
	"time"
)

// TestExamples runs the example of every declared function: a line that ends in `# -> value` must have that value.
func TestExamples(t *testing.T) {
	for _, f := range Functions() {
		t.Run(f.Name, func(t *testing.T) {
			if strings.TrimSpace(f.Example) == "" {
				t.Fatal("no example")
			}
			src := exampleScript(f.Example)
			host := exampleHost(t)
			p, err := Parse("example.star", []byte(src), testFuncs(t)...)
			if strings.HasPrefix(f.Name, "assert.") || strings.HasPrefix(f.Name, "test.") {
				host = newExampleTestHost(t)
				p, err = ParseTest("example.star", []byte(src), nil)
			}
			if err == nil {
				err = p.Run(t.Context(), RunOptions{Host: host, Stdout: t.Output(), Limits: Limits{Memory: 256 << 20, Timeout: time.Minute}})
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, src)
			}
		})
	}
}

// exampleScript turns `expr  # -> value` into an assertion.
func exampleScript(example string) string {
	var b strings.Builder
	for l := range strings.SplitSeq(example, "\n") {
		if expr, want, ok := strings.Cut(l, "# -> "); ok {
			l = "assert.eq(" + strings.TrimSpace(expr) + ", " + want + ")"
		}
		b.WriteString(l + "\n")
	}
	return b.String()
}

// exampleHost is what examples reach.
func exampleHost(t *testing.T) Host { return newDataHost(t) }

// TestDocs checks that every declaration is documented in sentences.
func TestDocs(t *testing.T) {
	sentence := func(what, s string) {
		if s == "" || !strings.HasSuffix(s, ".") || strings.ToUpper(s[:1]) != s[:1] && !strings.HasPrefix(s, "e ") {
			t.Errorf("%s: %q is not a sentence", what, s)
		}
	}
	for _, w := range append(words(), testWords()...) {
		sentence(w.Name, w.doc())
	}
	for _, f := range Functions() {
		sentence(f.Name, f.Doc)
		for _, p := range f.all() {
			sentence(f.Name+" "+p.name, p.doc)
		}
		if f.Returns == "" {
			t.Errorf("%s: says not what it returns", f.Name)
		}
	}
	for _, m := range types() {
		sentence(m.Type, m.Doc)
		for _, a := range m.Fields {
			sentence(m.Type+"."+a.Name, a.Doc)
		}
	}
}
