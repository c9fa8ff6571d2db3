package starlib

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// fakeHost serves modules from a map and records log lines.
type fakeHost struct {
	modules map[string]string
	info    RunInfo

	mu   sync.Mutex
	logs []string
	read []string
}

func (h *fakeHost) Store(context.Context, string) (*store.Store, error) {
	return nil, fault.New(fault.NotFound, "no datastore")
}
func (h *fakeHost) Topic(context.Context, string) (*event.Topic, error) {
	return nil, fault.New(fault.NotFound, "no topic")
}
func (h *fakeHost) Names(string) []string { return nil }
func (h *fakeHost) Default(string) string { return "" }
func (h *fakeHost) Info() RunInfo         { return h.info }
func (h *fakeHost) Module(p string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = append(h.read, p)
	if s, ok := h.modules[p]; ok {
		return []byte(s), nil
	}
	return nil, &fault.Error{Op: "load", Key: p, Class: fault.Class{Code: fault.NotFound}, Err: fs.ErrNotExist}
}
func (h *fakeHost) Log(_ context.Context, level, msg string, fields []Field) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := level + " " + msg
	for _, f := range fields {
		line += " " + f.Name + "=" + strings.TrimSpace(strings.ReplaceAll(strconv.Quote(valueString(f.Value)), `"`, ""))
	}
	h.logs = append(h.logs, line)
}

func valueString(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case nil:
		return "nil"
	}
	return "?"
}

// script runs a source with the test functions and returns what it printed.
func script(t *testing.T, src string, o RunOptions) (string, error) {
	t.Helper()
	p, err := Parse("test.star", []byte(src), testFuncs(t)...)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if o.Stdout == nil {
		o.Stdout = &out
	}
	if o.Host == nil {
		o.Host = &fakeHost{}
	}
	err = p.Run(t.Context(), o)
	return out.String(), err
}

// testFuncs are the asserts of testdata/*.star.
func testFuncs(t testing.TB) []*Function {
	return []*Function{
		Declare(Func{Name: "assert.eq"}, func(p *Params) Impl {
			x, y := p.Value("x", "."), p.Value("y", ".")
			return func(c *Call) (starlark.Value, error) {
				if ok, err := starlark.Equal(x.Get(c), y.Get(c)); err != nil {
					return nil, err
				} else if !ok {
					t.Errorf("%s: %v != %v", c.Thread.CallFrame(1).Pos, x.Get(c), y.Get(c))
				}
				return nil, nil
			}
		}),
		Declare(Func{Name: "assert.true"}, func(p *Params) Impl {
			x := p.Value("x", ".")
			return func(c *Call) (starlark.Value, error) {
				if !x.Get(c).Truth() {
					t.Errorf("%s: not true", c.Thread.CallFrame(1).Pos)
				}
				return nil, nil
			}
		}),
		Declare(Func{Name: "assert.fails"}, func(p *Params) Impl {
			fn, pattern, code := p.Callable("fn", "."), p.String("pattern", "."), p.String("code", ".").Default("")
			return func(c *Call) (starlark.Value, error) {
				_, err := starlark.Call(c.Thread, fn.Get(c), nil, nil)
				err = c.Run.settle(c.Thread, err)
				pos := c.Thread.CallFrame(1).Pos
				if err == nil {
					t.Errorf("%s: no error, want %q", pos, pattern.Get(c))
				} else if !regexp.MustCompile(pattern.Get(c)).MatchString(err.Error()) {
					t.Errorf("%s: error %q, want %q", pos, err, pattern.Get(c))
				} else if got := string(fault.CodeOf(coded(err))); code.Set(c) && got != code.Get(c) {
					t.Errorf("%s: code %q, want %q", pos, got, code.Get(c))
				}
				return nil, nil
			}
		}),
		Declare(Func{Name: "test.panic"}, func(p *Params) Impl {
			return func(c *Call) (starlark.Value, error) { panic("secret detail\nof a defect") }
		}),
		Declare(Func{Name: "test.stream"}, func(p *Params) Impl {
			n, broken := p.Int("n", "."), p.Bool("broken", ".").Default(false)
			return func(c *Call) (starlark.Value, error) {
				return &fakeStream{run: c.Run, n: int(n.Get(c)), broken: broken.Get(c)}, nil
			}
		}),
	}
}

// fakeStream yields 0 to n-1 and then fails when broken, as a listing does whose second page cannot be had.
type fakeStream struct {
	run    *Run
	n      int
	broken bool
}

var errBroken = &fault.Error{Op: "list", Resource: "raw", Key: "a/", Class: fault.Class{Code: fault.Unavailable}, Err: errors.New("page 2: connection reset")}

func (s *fakeStream) String() string        { return "stream" }
func (s *fakeStream) Type() string          { return "stream" }
func (s *fakeStream) Freeze()               {}
func (s *fakeStream) Truth() starlark.Bool  { return true }
func (s *fakeStream) Hash() (uint32, error) { return 0, errors.New("unhashable: stream") }
func (s *fakeStream) Iterate() starlark.Iterator {
	return &fakeIter{s: s}
}

// In implements Scoped.
func (s *fakeStream) In(r *Run) starlark.Iterable {
	return &fakeStream{run: r, n: s.n, broken: s.broken}
}

// EachErr implements Source.
func (s *fakeStream) EachErr(_ *starlark.Thread, fn func(starlark.Value) error) error {
	for i := range s.n {
		if err := fn(starlark.MakeInt(i)); err != nil {
			return err
		}
	}
	if s.broken {
		return errBroken
	}
	return nil
}

type fakeIter struct {
	s *fakeStream
	i int
}

func (it *fakeIter) Next(p *starlark.Value) bool {
	if it.i < it.s.n {
		*p = starlark.MakeInt(it.i)
		it.i++
		return true
	}
	if it.s.broken {
		it.s.run.Fail(errBroken)
	}
	return false
}
func (it *fakeIter) Done() {}

var expectation = regexp.MustCompile(`###\s*("(?:[^"\\]|\\.)*")`)

// TestScripts runs testdata/*.star. A file is a sequence of scripts between lines of ---; a line that ends in
// ### "regexp" must fail with an error that matches.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".star"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			line := 0
			for _, chunk := range strings.Split(string(data), "\n---\n") {
				runChunk(t, file, strings.Repeat("\n", line)+chunk)
				line += strings.Count(chunk, "\n") + 2
			}
		})
	}
}

func runChunk(t *testing.T, file, src string) {
	t.Helper()
	want, at := "", 0
	for i, l := range strings.Split(src, "\n") {
		if m := expectation.FindStringSubmatch(l); m != nil {
			pattern, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			want, at = pattern, i+1
		}
	}
	host := &fakeHost{modules: libModules, info: RunInfo{ID: "run-1", Script: file, Started: time.Unix(1e9, 0).UTC()}}
	p, err := Parse(file, []byte(src), testFuncs(t)...)
	if err == nil {
		err = p.Run(t.Context(), RunOptions{Host: host, Stdout: t.Output(), Limits: Limits{Memory: 256 << 20, Steps: 50e6, Timeout: time.Minute}})
	}
	checkError(t, file, err, want, at)
}

func checkError(t *testing.T, file string, err error, want string, at int) {
	t.Helper()
	var e *ScriptError
	switch {
	case err == nil && want == "":
	case err == nil:
		t.Errorf("%s:%d: no error, want %q", file, at, want)
	case !errors.As(err, &e):
		t.Errorf("%s: %T: %v", file, err, err)
	case want == "":
		t.Errorf("%s: %s\n%s", file, e.Message, traceback(e))
	case !regexp.MustCompile(want).MatchString(e.Message):
		t.Errorf("%s:%d: error %q, want %q\n%s", file, at, e.Message, want, traceback(e))
	default:
		for _, f := range e.Frames {
			if f.Line == at {
				return
			}
		}
		t.Errorf("%s:%d: error %q is not on this line\n%s", file, at, e.Message, traceback(e))
	}
}

// traceback renders the frames with their underlines.
func traceback(e *ScriptError) string {
	var b strings.Builder
	for _, f := range e.Frames {
		b.WriteString(f.File + ":" + strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Col) + " " + f.Func + "\n")
		if f.Line > 0 {
			b.WriteString("  " + f.Text + "\n  " + strings.Repeat(" ", max(0, f.Col-1)) + strings.Repeat("^", max(0, f.End-f.Col)) + "\n")
		}
	}
	return b.String() + e.Message
}

// libModules are what load() finds in the tests.
var libModules = map[string]string{
	"lib/a.star":     "load('//lib/b.star', 'b')\ndef a():\n    return b() + 1\n\nlist_of_a = [1]\n",
	"lib/b.star":     "def b():\n    return 1\n\ndef fails(x):\n    return 1 // x\n",
	"lib/rel.star":   "load('b.star', 'b')\nrel = b()\n",
	"lib/loop1.star": "load('//lib/loop2.star', 'x')\n",
	"lib/loop2.star": "load('//lib/loop3.star', 'x')\n",
	"lib/loop3.star": "load('//lib/loop1.star', 'x')\n",
	"lib/bad.star":   "def f(:\n",
	"lib/name.star":  "def f():\n    return jsn.encode(1)\n",
	"lib/fail.star":  "x = [1, 2]\ny = x[7]\n",
	"lib/ctl.star":   "for x in []:\n    pass\n",
}
