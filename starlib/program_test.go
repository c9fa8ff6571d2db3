package starlib

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

const flagScript = `"""Cleans a table.

    Reads what the pattern matches,
      and writes it again.
"""
LIMIT = 10

def main(pattern, max_bad = 0, ratio = -0.5, dry = False, names = ["a", "b"], sizes = [1], limit = LIMIT, out = None, title = "x" + "y"):
    """Not this one."""
    print(repr((pattern, max_bad, ratio, dry, names, sizes, limit, out, title)))
`

func TestParams(t *testing.T) {
	p, err := Parse("x.star", []byte(flagScript))
	if err != nil {
		t.Fatal(err)
	}
	want := []Param{
		{Name: "pattern", Type: "string", Required: true},
		{Name: "max_bad", Type: "int", Default: "0"},
		{Name: "ratio", Type: "float", Default: "-0.5"},
		{Name: "dry", Type: "bool", Default: "False"},
		{Name: "names", Type: "list", Default: `["a", "b"]`},
		{Name: "sizes", Type: "list", Default: "[1]"},
		{Name: "limit", Type: "int", Default: "LIMIT"},
		{Name: "out", Type: "string", Default: "None"},
		{Name: "title", Type: "string", Default: `"x" + "y"`},
	}
	if got := p.Params(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := p.Doc(); got != "Cleans a table.\n\nReads what the pattern matches,\n  and writes it again." {
		t.Errorf("got %q", got)
	}
	p, _ = Parse("x.star", []byte("def main():\n    'Of main.'\n"))
	if p.Doc() != "Of main." || len(p.Params()) != 0 {
		t.Errorf("got %q, %v", p.Doc(), p.Params())
	}
	if p, _ = Parse("x.star", []byte("x = 1\n")); p.Doc() != "" || p.Params() != nil {
		t.Errorf("got %q, %v", p.Doc(), p.Params())
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args map[string]string
		want string // printed, or the error
	}{
		{map[string]string{"pattern": "*.csv"}, `("*.csv", 0, -0.5, False, ["a", "b"], [1], 10, None, "xy")`},
		{map[string]string{"pattern": "p", "max-bad": "3", "ratio": "2", "dry": "true", "names": "x,y z", "sizes": "1, 2", "limit": "5", "out": "o", "title": "t"},
			`("p", 3, 2.0, True, ["x", "y z"], [1, 2], 5, "o", "t")`},
		{map[string]string{"pattern": "", "names": "", "dry": "no"}, `("", 0, -0.5, False, [], [1], 10, None, "xy")`},
		{nil, "missing flag --pattern"},
		{map[string]string{"pattern": "p", "max_bad": "many"}, `invalid value for --max-bad: "many" is not a whole number`},
		{map[string]string{"pattern": "p", "ratio": "x"}, `invalid value for --ratio: "x" is not a number`},
		{map[string]string{"pattern": "p", "dry": "perhaps"}, `invalid value for --dry: "perhaps" is neither true nor false`},
		{map[string]string{"pattern": "p", "sizes": "1,b"}, `invalid value for --sizes: "b" is not a whole number`},
		{map[string]string{"pattern": "p", "max_bda": "1"}, "unknown flag --max-bda (did you mean --max-bad?)"},
	} {
		out, err := script(t, flagScript, RunOptions{Args: c.args})
		got := strings.TrimSpace(out)
		if err != nil {
			got = err.Error()
			var e *ScriptError
			if !errors.As(err, &e) || !e.Usage || !fault.Is(err, fault.InvalidArgument) || out != "" {
				t.Errorf("%v: %#v is no usage error", c.args, err)
			}
		}
		if got != c.want {
			t.Errorf("%v: got %s, want %s", c.args, got, c.want)
		}
	}
	if _, err := script(t, "print(1)", RunOptions{Args: map[string]string{"x": "1"}}); err == nil || !strings.Contains(err.Error(), "no main()") {
		t.Errorf("got %v", err)
	}
	// Wrong flags are told before anything runs.
	if out, err := script(t, "print('ran')\ndef main(n = 1):\n    pass\n", RunOptions{Args: map[string]string{"n": "x"}}); err == nil || out != "" {
		t.Errorf("got %q, %v", out, err)
	}
	for _, src := range []string{"def main(*args):\n    pass\n", "def main(a, **kw):\n    pass\n"} {
		if _, err := Parse("x.star", []byte(src)); err == nil || !strings.Contains(err.Error(), "name each parameter") {
			t.Errorf("%s: got %v", src, err)
		}
	}
	if out, err := script(t, "def main(a = 1, *, b = 2):\n    print(a + b)\n", RunOptions{Args: map[string]string{"b": "5"}}); err != nil || out != "6\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestOwnFunctions(t *testing.T) {
	greet := Declare(Func{Name: "greet", Doc: "Greets."}, func(p *Params) Impl {
		name := p.String("name", "Who.")
		return func(c *Call) (starlark.Value, error) { return starlark.String("hello " + name.Get(c)), nil }
	})
	deep := Declare(Func{Name: "shop.price", Doc: "Prices."}, func(p *Params) Impl {
		return func(c *Call) (starlark.Value, error) { return starlark.String("1"), nil }
	})
	p, err := Parse("x.star", []byte("print(greet('x'), shop.price())"), greet, deep)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Run(t.Context(), RunOptions{Stdout: &b}); err != nil || b.String() != "hello x 1\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestModulesAreKept(t *testing.T) {
	var paths []string
	var name string
	fn := Declare(Func{Name: "test.look"}, func(p *Params) Impl {
		f := p.Callable("f", ".")
		return func(c *Call) (starlark.Value, error) {
			for path, m := range c.Run.Modules() {
				if m.Tree == nil || len(m.Tree.Stmts) == 0 {
					t.Errorf("%s has no tree", path)
				}
				paths = append(paths, path)
			}
			n, ok := FuncName(f.Get(c).(*starlark.Function))
			name = fmt.Sprint(n, " ", ok)
			return nil, nil
		}
	})
	p, err := Parse("main.star", []byte("load('//lib/b.star', 'b')\ntest.look(b)"), fn)
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHost{modules: libModules}
	if err := p.Run(t.Context(), RunOptions{Host: h}); err != nil {
		t.Fatal(err)
	}
	if len(paths) != 2 || name != "lib/b.star:b true" {
		t.Errorf("got %v, %q", paths, name)
	}
	// A module is evaluated once a run, however often it is loaded.
	p, _ = Parse("main.star", []byte("load('//lib/a.star', 'a')\nload('//lib/b.star', 'b')\nload('lib/b.star', c = 'b')\n"))
	if err := p.Run(t.Context(), RunOptions{Host: h}); err != nil {
		t.Fatal(err)
	}
	reads := 0
	for _, r := range h.read {
		if r == "lib/b.star" {
			reads++
		}
	}
	if reads != 2 { // one for each of the two runs
		t.Errorf("read %v", h.read)
	}
}

func TestClock(t *testing.T) {
	c := clock.NewFake(time.Unix(1_000_000_000, 0))
	out, err := script(t, "t = time.now()\ntime.sleep('90s')\nprint(time.since(t), time.now())", RunOptions{Clock: c})
	if err != nil || out != "1m30s 2001-09-09 01:48:10 +0000 UTC\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
