package engine_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers"
)

// openShell returns a shell over a folder "raw" with a few objects, and what it prints.
func openShell(t *testing.T) (*engine.Shell, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"raw/train/a.csv", "raw/train/b.csv", "raw/test/c.csv", "raw/odd'name"} {
		if err := os.MkdirAll(dir+"/"+name[:strings.LastIndexByte(name, '/')], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, []byte("n\n1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	eng := engine.New(engine.Options{Providers: providers.All(), Stdout: &out})
	p, diags := eng.Load(engine.Source{Dir: dir, Files: []config.File{engine.File("dsrun.hcl", dir, `
datastore "local" "raw" {
  path = "raw"
}
topic "memory" "events" {}
`)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := p.Shell(engine.Script{Name: "repl"})
	t.Cleanup(func() { s.Close(nil); p.Close() })
	return s, &out
}

func TestShellComplete(t *testing.T) {
	s, _ := openShell(t)
	for _, text := range []string{"mine = [1]", "def helper(alpha, beta = 2):\n    return alpha", "text = \"x\""} {
		if err := s.Eval(t.Context(), text, true, 20); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"mi":                          "mine",
		"x = mi":                      "mine",
		"topi":                        "topics",
		"ds.ra":                       "raw",
		"ds.raw.read_j":               "read_json",
		"topics.events.publish_":      "publish_all",
		"text.upp":                    "upper",
		"path.jo":                     "join",
		"helper(":                     "alpha = |beta = |ds",
		"helper(alpha = 1, b":         "beta = ",
		"ds.raw.copy(\"a\", over":     "overwrite = ",
		"path.nope.":                  "",
		`ds.raw.read("tr`:             "train/",
		`ds.raw.read("train/`:         "train/a.csv|train/b.csv",
		`ds.raw.read('train/a`:        "train/a.csv",
		`print(ds.raw.stat("te`:       "test/",
		`ds.raw.read("*`:              "",
		`ds.raw.write("out.csv", "tr`: "",
		`"tr`:                         "",
		`x = "done" + mi`:             "mine",
		`# comment "tr`:               "train/|", // no string: a comment offers nothing
		"fo":                          "for",
		"Tru":                         "True",
		"nothing_like_it":             "",
		"mine.":                       "append",
		"mine.append(1); ds.raw.exis": "exists",
		"run.st":                      "started",
	} {
		_, got := s.Complete(t.Context(), line)
		if strings.HasPrefix(line, "#") {
			if slices.Contains(got, "train/") {
				t.Errorf("%s: %q", line, got)
			}
			continue
		}
		for _, w := range strings.Split(want, "|") {
			if w != "" && !slices.Contains(got, w) {
				t.Errorf("%s: %q lacks %q", line, got, w)
			}
		}
		if want == "" && len(got) > 0 {
			t.Errorf("%s: %q", line, got)
		}
		for _, w := range got {
			if strings.ContainsAny(w, "'()+[") {
				t.Errorf("%s: offers %q", line, w)
			}
		}
	}
}

// An interrupt ends the statement that runs, and nothing else.
func TestShellInterrupt(t *testing.T) {
	s, out := openShell(t)
	eval := func(ctx context.Context, text string) error { return s.Eval(ctx, text, true, 20) }
	if err := eval(t.Context(), "x = 1\nparts = []"); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	begin := time.Now()
	err := eval(ctx, "for i in range(1000000000):\n    x = i")
	if !errors.Is(err, stop) || time.Since(begin) > 5*time.Second {
		t.Fatalf("%v after %v", err, time.Since(begin))
	}
	if err := eval(t.Context(), "x > 0 and ds.raw.list().count()"); err != nil || !strings.HasSuffix(out.String(), "4\n") {
		t.Errorf("%v, %q", err, out)
	}
	// What failed half-way keeps what it assigned before.
	if err := eval(t.Context(), "x = \"new\"\nfail(\"stop\")"); !fault.Is(err, fault.Fail) {
		t.Error(err)
	}
	out.Reset()
	if err := eval(t.Context(), "x"); err != nil || out.String() != "\"new\"\n" {
		t.Errorf("%v, %q", err, out)
	}
}

// Functions see the globals as they are when they are called, in parallel items too, where they are frozen.
func TestShellGlobals(t *testing.T) {
	s, out := openShell(t)
	for _, c := range []struct{ text, want string }{
		{"x = 1", ""},
		{"def f(n):\n    return n + x", ""},
		{"f(1)", "2\n"},
		{"x = 10", ""},
		{"f(1)", "11\n"},
		{"def g(n):\n    return f(n) * 2", ""},
		{"def f(n):\n    return 0", ""},
		{"g(1)", "0\n"},
		{"h = lambda: [x, f(1)]\nx = 3", ""},
		{"h()", "[3, 0]\n"},
		{"def make():\n    def inner():\n        return x\n    return inner", ""},
		{"inner = make()\nx = 4\ninner()", "4\n"},
		{"seen = []\ndef note(i):\n    seen.append(i)\n    return i", ""},
		{"note(1)", "1\n"},
		{"len = 5\nlen", "5\n"},
		{"[v for v in range(3) if v < x]", "[0, 1, 2]\n"},
		{"ds.raw.list(\"train/*\").map(lambda o: {\"p\": o.path, \"x\": x})", "p            x\ntrain/a.csv  4\ntrain/b.csv  4\n"},
		{"_.count()", "2\n"},
	} {
		out.Reset()
		if err := s.Eval(t.Context(), c.text, true, 20); err != nil || out.String() != c.want {
			t.Errorf("%s: %v, got %q, want %q", c.text, err, out, c.want)
		}
	}
	err := s.Eval(t.Context(), "parallel.map(note, [1, 2, 3])", true, 20)
	if err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("parallel items changed a global: %v", err)
	}
	out.Reset()
	if err := s.Eval(t.Context(), "ds.raw.list()", true, 2); err != nil || !strings.HasSuffix(out.String(), "(more rows follow)\n") {
		t.Errorf("%v, %q", err, out)
	}
}
