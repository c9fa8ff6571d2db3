package starlib

import (
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// TestPythonHints: what is right in Python and not in Starlark is answered with what to write instead.
func TestPythonHints(t *testing.T) {
	for src, want := range map[string]string{
		"import os":                    "load(",
		"from os import path":          "load(",
		"class A:\n  pass":             "struct(",
		"try:\n  x = 1\nexcept: pass":  "catch(",
		"raise ValueError('x')":        "fail(",
		"assert 1 == 1":                "fail(",
		"with open('x') as f:\n  pass": "closed",
		"def f():\n  yield 1":          "stream.of",
		"x = 5 is None":                "==",
		"def f(x):\n  del x[0]":        "pop(",
		"def f():\n  global x":         "return the value",
		"while True:\n  pass":          "for loop",
		"print \"x\"":                  "parentheses",
		"x = 1\nprint(f\"{x}\")":       "fmt(",
		"x = (":                        "",
		"x = 1 +":                      "",
	} {
		_, err := Parse("a.star", []byte(src))
		var s *ScriptError
		if !errors.As(err, &s) {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if hint := fault.ClassOf(s).Hint; !strings.Contains(hint, want) || want == "" && hint != "" {
			t.Errorf("%q: %v: hint %q, want %q", src, err, hint, want)
		}
	}
}

// TestDeepValues: values that nest millions deep, and values that hold themselves, give short errors; none of these
// ends the process.
func TestDeepValues(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(64 << 20)) // what descends into such a value needs 100 MB
	deep := "x = ()\nfor i in range(400000):\n  x = (x,)\n"
	for _, last := range []string{"str(x)", "print(x)", "'%s' % x", "'%r' % (x,)", "fmt('{}', x)", "json.encode(x)", "fail(x)",
		"log.info('x', v = x)", "repr(x)", "parallel.map(lambda i: x, [1])", "x == (x,)"} {
		_, err := script(t, deep+last, RunOptions{})
		if err == nil {
			t.Errorf("%s: no error", last)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: the message has %d bytes: %.200s", last, len(err.Error()), err)
		}
	}
	if out, err := script(t, deep+"stream.of([x]).show()\ncatch(parallel.map, lambda i: fail('x'), [x])", RunOptions{}); err != nil || len(out) > 200 {
		t.Errorf("%v: %.200s", err, out)
	}
	for _, src := range []string{"l = []\nl.append(l)\njson.encode(l)", "d = {}\nd['a'] = d\njson.encode(d)"} {
		_, err := script(t, src, RunOptions{})
		if err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %.200v", src, err)
		}
	}
}
