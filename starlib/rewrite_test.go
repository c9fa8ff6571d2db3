package starlib

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	starjson "go.starlark.net/lib/json"
	starmath "go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/starlarktest"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/internal/testbed"
)

// outcome is all that can be told of an execution from outside.
type outcome struct {
	Err    string
	Stack  []string
	Printe []string
	Assert []string
}

// report collects failed assertions.
type report struct{ lines []string }

func (r *report) Error(args ...any) { r.lines = append(r.lines, fmt.Sprint(args...)) }

// TestRewrittenMeansTheSame runs the interpreter's own test scripts as they are and rewritten: results, messages and
// places must be equal.
func TestRewrittenMeansTheSame(t *testing.T) {
	dir := interpreterTests(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.star"))
	if err != nil || len(files) == 0 {
		testbed.Missing(t, "the interpreter's test scripts", "none in "+dir)
	}
	chunks, failing := 0, 0
	for _, file := range files {
		if base := filepath.Base(file); base == "proto.star" || base == "benchmark.star" {
			continue // one needs generated descriptors, the other is no test
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, src := range strings.Split(string(data), "\n---\n") {
			name := fmt.Sprintf("%s/%d", filepath.Base(file), i)
			want := execute(t, name, src, false)
			got := execute(t, name, src, true)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\n rewritten: %+v\n plain:     %+v", name, got, want)
			}
			if len(want.Assert) > 0 {
				failing++
				t.Logf("%s: asserts of the plain run: %q", name, want.Assert)
			}
			chunks++
		}
	}
	t.Logf("%d scripts, %d with failing asserts of their own", chunks, failing)
	if chunks < 80 || failing > 3 {
		t.Errorf("%d scripts, %d with failing asserts: the comparison proves little", chunks, failing)
	}
}

// interpreterTests returns where the interpreter's module keeps its test scripts.
func interpreterTests(t *testing.T) string {
	out, err := osexec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.starlark.net").Output()
	if err != nil {
		testbed.Missing(t, "the go command, to find the interpreter's test scripts", err.Error())
	}
	return filepath.Join(strings.TrimSpace(string(out)), "starlark", "testdata")
}

// execute runs a source in a run of its own.
func execute(t *testing.T, name, src string, rewritten bool) (o outcome) {
	t.Helper()
	opts := &syntax.FileOptions{Set: true}
	has := func(s string) bool { return strings.Contains(src, "option:"+s) }
	opts.GlobalReassign, opts.TopLevelControl = has("globalreassign"), has("toplevelcontrol")
	opts.While, opts.Recursion, opts.LoadBindsGlobally = has("while"), has("recursion"), has("loadbindsglobally")
	predeclared := starlark.StringDict{
		"struct":    starlark.NewBuiltin("struct", starlarkstruct.Make),
		"fibonacci": fibonacci{},
		"hasfields": starlark.NewBuiltin("hasfields", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return &fields{attrs: starlark.StringDict{}}, nil
		}),
	}
	if rewritten {
		for n, v := range universal {
			predeclared[n] = v
		}
	}
	tree, err := opts.Parse(name, src, 0)
	if err != nil {
		return outcome{Err: err.Error()}
	}
	if rewritten {
		resolved, _ := opts.Parse(name, src, 0)
		if err := resolve.File(resolved, predeclared.Has, starlark.Universe.Has); err != nil {
			return outcome{Err: resolveText(err)}
		}
		rewrite(tree, resolved)
		for n, b := range hidden {
			predeclared[n] = b
		}
	}
	prog, err := starlark.FileProgram(tree, predeclared.Has)
	if err != nil {
		return outcome{Err: resolveText(err)}
	}
	thread, rep := testThread(t)
	thread.Print = func(_ *starlark.Thread, msg string) { o.Printe = append(o.Printe, msg) }
	thread.Load = func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		switch module {
		case "assert.star":
			return starlarktest.LoadAssertModule()
		case "json.star":
			return starlark.StringDict{"json": starjson.Module}, nil
		case "time.star":
			return starlark.StringDict{"time": startime.Module}, nil
		case "math.star":
			return starlark.StringDict{"math": starmath.Module}, nil
		}
		return nil, errors.New("no such module")
	}
	g, err := prog.Init(thread, predeclared)
	g.Freeze()
	o.Assert = rep.lines
	if err != nil {
		o.Err = err.Error()
		var eval *starlark.EvalError
		if errors.As(err, &eval) {
			for _, f := range eval.CallStack {
				if hidden[f.Name] == nil && f.Pos.Filename() != hiddenFile {
					o.Stack = append(o.Stack, f.Name+" "+f.Pos.String())
				}
			}
		}
	}
	return o
}

// resolveText is the text of all mistakes that the resolver found.
func resolveText(err error) string {
	var list resolve.ErrorList
	if errors.As(err, &list) {
		return fmt.Sprint([]resolve.Error(list))
	}
	return err.Error()
}

// testThread returns a thread of a run with generous limits.
func testThread(t testing.TB) (*starlark.Thread, *report) {
	l := Limits{Memory: 4 << 30}
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &Run{Ctx: ctx, Limits: l, execution: &execution{cancel: cancel, meter: newMeter(l), out: &printer{}}}
	th := r.NewThread("test")
	rep := &report{}
	starlarktest.SetReporter(th, rep)
	t.Cleanup(func() { _ = r.end(); cancel(nil) })
	return th, rep
}

// fibonacci is an endless iterable.
type fibonacci struct{}

func (fibonacci) String() string        { return "fibonacci" }
func (fibonacci) Type() string          { return "fibonacci" }
func (fibonacci) Freeze()               {}
func (fibonacci) Truth() starlark.Bool  { return true }
func (fibonacci) Hash() (uint32, error) { return 0, errors.New("unhashable: fibonacci") }
func (fibonacci) Iterate() starlark.Iterator {
	return &fibIterator{a: 0, b: 1}
}

type fibIterator struct{ a, b int }

func (it *fibIterator) Next(p *starlark.Value) bool {
	*p = starlark.MakeInt(it.a)
	it.a, it.b = it.b, it.a+it.b
	return true
}
func (*fibIterator) Done() {}

// fields is a value whose fields can be set, and for which list + fields is 42.
type fields struct {
	attrs  starlark.StringDict
	frozen bool
}

func (f *fields) String() string        { return "hasfields" }
func (f *fields) Type() string          { return "hasfields" }
func (f *fields) Freeze()               { f.frozen = true; f.attrs.Freeze() }
func (f *fields) Truth() starlark.Bool  { return true }
func (f *fields) Hash() (uint32, error) { return 42, nil }
func (f *fields) Attr(name string) (starlark.Value, error) {
	return f.attrs[name], nil
}
func (f *fields) AttrNames() []string { return slices.Sorted(slices.Values(f.attrs.Keys())) }
func (f *fields) SetField(name string, v starlark.Value) error {
	switch {
	case f.frozen:
		return errors.New("cannot set field on a frozen hasfields")
	case strings.HasPrefix(name, "no"):
		return starlark.NoSuchAttrError("no ." + name + " field")
	}
	f.attrs[name] = v
	return nil
}
func (f *fields) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if _, ok := y.(*starlark.List); ok && op == syntax.PLUS {
		return starlark.MakeInt(42), nil
	}
	return nil, nil
}

// TestOperators compares operations on all pairs of kinds of values.
func TestOperators(t *testing.T) {
	values := []string{"1", "-3", "0", "2.5", `"ab"`, `""`, `b"x"`, "[1, 2]", "[]", "(1,)", "()", `{"a": 1}`, "set([1])", "None", "True", "range(3)", "(1 << 70)", "hasfields()", "len", `"%s"`, `"%(a)s"`}
	ops := []string{"x + y", "x * y", "x % y", "x | y", "x - y", "x & y", "x[0:2]", "x[::-1]", "x.join(y)", "x.format(y)", "x.replace(y, y)", "x.split(y)", "x.extend(y)", "x.update(y)", "x.items()", "x.union(y)", "getattr(x, 'join')(y)", "list(x)", "sorted(x, reverse = y)", "set(x)", "dict(x)", "tuple(x)", "zip(x, y)", "enumerate(x, y)", "str(x) + repr(y)", "any(x)", "max(x, y)", "bytes(x)", "x < y", "[v for v in x]", "len(*x)", "x.nosuch", "x.items", "x.splitlines(y)"}
	stmts := []string{"x += y", "x *= y", "x %= y", "x |= y", "z[0] += y", "z[0] *= y", "z[0] |= y", "z[0] %= y", "h.f += y", "h.f |= y", "a, b = x", "x += x", "for v in x: x += y"}
	n := 0
	for i, x := range values {
		for j, y := range values {
			if os.Getenv("DSRUN_TEST_LONG") == "" && (i+j)%5 != 0 {
				continue
			}
			for _, op := range ops {
				compare(t, "x = "+x+"\ny = "+y+"\ndef f(x, y):\n    return "+op+"\nprint(f(x, y))\n", &n)
			}
			for _, st := range stmts {
				compare(t, "def f(x, y):\n    z = [x]\n    h = hasfields()\n    h.f = x\n    "+st+"\n    return (x, z, h.f)\nprint(f("+x+", "+y+"))\n", &n)
			}
		}
	}
	t.Logf("%d comparisons", n)
}

var columns = regexp.MustCompile(`(\.star:\d+):\d+`)

func compare(t *testing.T, src string, n *int) {
	t.Helper()
	*n++
	got, want := fmt.Sprint(execute(t, "x.star", src, true)), fmt.Sprint(execute(t, "x.star", src, false))
	if strings.Contains(src, "x[") { // the compiler places a slice at its operand; rewritten it is at the bracket
		got, want = columns.ReplaceAllString(got, ""), columns.ReplaceAllString(want, "")
	}
	if got != want {
		t.Errorf("%s\n rewritten: %s\n plain:     %s", src, got, want)
	}
}
