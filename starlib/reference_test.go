package starlib

import (
	osexec "os/exec"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
)

func TestReferencePages(t *testing.T) {
	pages := map[string]string{}
	for _, p := range ReferencePages() {
		if pages[p.Name] != "" {
			t.Errorf("two pages %q", p.Name)
		}
		pages[p.Name] = p.Markdown
		if strings.Contains(p.Markdown, "\n\n\n") || !strings.HasSuffix(p.Markdown, "\n") {
			t.Errorf("page %s is untidy", p.Name)
		}
	}
	named := map[string]int{} // stream.concat is both a function of the module and a method
	for _, f := range Functions() {
		named[f.Name]++
	}
	for _, f := range Functions() {
		n := 0
		for _, md := range pages {
			n += strings.Count(md, "\n## "+f.Name+"\n")
		}
		if n != named[f.Name] {
			t.Errorf("%s stands on %d pages", f.Name, n)
		}
	}
	if want := "## path.match\n\n```python\npath.match(pattern, name) -> bool\n```\n\n"; !strings.Contains(pages["path"], want) {
		t.Errorf("got %s", pages["path"])
	}
	if want := "| `on_error` | \"fail\" or \"collect\" | `\"fail\"` | "; !strings.Contains(pages["parallel"], want) {
		t.Errorf("got %s", pages["parallel"])
	}
}

func TestStubs(t *testing.T) {
	s := Stubs()
	for _, want := range []string{"class _JsonModule:", "    def encode(self, x: Any, indent: str = \"\") -> str:", "def catch(fn: Callable, /, *args: Any, **kwargs: Any) -> Any:", "\njson: _JsonModule\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing in\n%s", want, s)
		}
	}
	python := testbed.Program(t, "python3")
	cmd := osexec.CommandContext(t.Context(), python, "-c", "import ast, sys; ast.parse(sys.stdin.read())")
	cmd.Stdin = strings.NewReader(s)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("Python refuses the stubs: %v\n%s", err, out)
	}
}

func TestHelp(t *testing.T) {
	out, err := script(t, `
def clean(row, limit = 3, *rest, **kw):
    """Cleans a row."""

help(json.decode)
help(clean)
help(math)
help(catch(fail)[1])
help("".join)
help()
`, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"json.decode(text, default=None) -> any", "clean(row, limit=3, *rest, **kw)\n\nCleans a row.", "math.round(x, decimals=None) -> int or float", ".code (string): The class of the failure", "join: a function of the language", "parallel   Work on several items"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
