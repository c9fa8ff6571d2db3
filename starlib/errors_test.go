package starlib

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// TestFrames checks what is shown of an uncaught error: every place with its line and the guilty expression.
func TestFrames(t *testing.T) {
	for name, c := range map[string]struct {
		src  string
		want string
	}{
		"chain of calls": {`
def price(row):
    return int(row["price"]) * 2

def total(rows):
    return [price(r) for r in rows]

total([{"price": "x"}])
`, `
test.star:8:1 <toplevel>
  total([{"price": "x"}])
  ^^^^^^^^^^^^^^^^^^^^^^^
test.star:6:13 total
      return [price(r) for r in rows]
              ^^^^^^^^
test.star:3:12 price
      return int(row["price"]) * 2
             ^^^^^^^^^^^^^^^^^
:0:0 int
int: invalid literal with base 10: x`},
		"operator": {"x = [1]\ny = 2 + (x + 1) * 3\n", `
test.star:2:10 <toplevel>
  y = 2 + (x + 1) * 3
           ^^^^^
unknown binary op: list + int`},
		"index": {"x = {}\ny = x[\"a\"][0]\n", `
test.star:2:5 <toplevel>
  y = x["a"][0]
      ^^^^^^
key "a" not in dict`},
		"slice": {"x = 1\ny = x[1:2]\n", `
test.star:2:5 <toplevel>
  y = x[1:2]
      ^^^^^^
invalid slice operand int`},
		"attribute": {"x = 1\ny = (x.join)\n", `
test.star:2:6 <toplevel>
  y = (x.join)
       ^^^^^^
int has no .join field or method`},
		"name": {"def f():\n    return later\n\nf()\nlater = 1\n", `
test.star:4:1 <toplevel>
  f()
  ^^^
test.star:2:12 f
      return later
             ^^^^^
global variable later referenced before assignment`},
		"loop": {"for x in 1:\n    pass\n", `
test.star:1:10 <toplevel>
  for x in 1:
           ^
int value is not iterable`},
		"augmented": {"x = 'a'\nx += 1\n", `
test.star:2:1 <toplevel>
  x += 1
  ^^^^^^
unknown binary op: string + int`},
		"augmented element": {"x = ['a']\nx[0] += [2]\n", `
test.star:2:1 <toplevel>
  x[0] += [2]
  ^^^^^^^^^^^
unknown binary op: string + list`},
		"unpack": {"a, b = [1]\n", `
test.star:1:1 <toplevel>
  a, b = [1]
  ^^^^
too few values to unpack (got 1, want 2)`},
		"unary": {"x = 'a'\ny = -x\n", `
test.star:2:5 <toplevel>
  y = -x
      ^^
unknown unary op: - string`},
		"over lines": {"x = (\"a b\"\n    .split()\n    .nosuch(1))\n", `
test.star:3:5 <toplevel>
      .nosuch(1))
      ^^^^^^^
list has no .nosuch field or method`},
		"beyond ASCII": {"# é\nx = \"日本\" + (\"ü\" + 1)\n", `
test.star:2:13 <toplevel>
  x = "日本" + ("ü" + 1)
              ^^^^^^^
unknown binary op: string + int`},
		"parallel item": {"def f(x):\n    return 1 // x\n\nparallel.map(f, [0])\n", `
test.star:4:1 <toplevel>
  parallel.map(f, [0])
  ^^^^^^^^^^^^^^^^^^^^
:0:0 parallel.map
test.star:2:12 f
      return 1 // x
             ^^^^^^
parallel.map: item 0 (0): floored division by zero`},
		"key function": {"def f(x):\n    return x.a\n\nsorted([1], key = f)\n", `
test.star:4:1 <toplevel>
  sorted([1], key = f)
  ^^^^^^^^^^^^^^^^^^^^
:0:0 sorted
test.star:2:12 f
      return x.a
             ^^^
int has no .a field or method`},
		"limit": {"x = [0]\ny = x * (1 << 29)\n", `
test.star:2:5 <toplevel>
  y = x * (1 << 29)
      ^^^^^^^^^^^^^
memory limit of 256.0 MiB: this would take 8.0 GiB more`},
		"stream": {"def f():\n    for x in test.stream(2, broken = True):\n        pass\n\nf()\n", `
test.star:5:1 <toplevel>
  f()
  ^^^
test.star:2:14 f
      for x in test.stream(2, broken = True):
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
list raw a/: unavailable: page 2: connection reset`},
		"syntax": {"def f(:\n    pass\n", `
test.star:1:7 <toplevel>
  def f(:
        ^
syntax error: got ':', want ')'`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := script(t, c.src, RunOptions{Limits: Limits{Memory: 256 << 20}})
			var e *ScriptError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			got, want := traceback(e), strings.TrimPrefix(c.want, "\n")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestErrorCodes(t *testing.T) {
	for src, want := range map[string]fault.Code{
		"fail('x')":                         fault.Fail,
		"{}['x']":                           fault.InvalidArgument,
		"1 // 0":                            fault.InvalidArgument,
		"path.base(1)":                      fault.InvalidArgument,
		"x = nosuch":                        fault.InvalidArgument,
		"list(test.stream(1, broken=True))": fault.Unavailable,
		"test.panic()":                      fault.Internal,
		"load('//nosuch.star', 'x')":        fault.NotFound,
		"_, e = catch(json.decode, '[')\nfail(e)": fault.InvalidArgument,
	} {
		_, err := script(t, src, RunOptions{})
		var e *ScriptError
		if !errors.As(err, &e) || e.Class().Code != want {
			t.Errorf("%s: got %v of code %q, want %q", src, err, fault.CodeOf(err), want)
		}
	}
	_, err := script(t, "list(test.stream(1, broken=True))", RunOptions{})
	var e *ScriptError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if op, store, key := e.About(); op != "list" || store != "raw" || key != "a/" {
		t.Errorf("got %q %q %q", op, store, key)
	}
	_, err = Parse("x.star", []byte("a = nope1\nb = nope2\n"))
	if !errors.As(err, &e) || len(e.Others) != 1 || e.Others[0].Frames[0].Line != 2 {
		t.Errorf("got %+v, want both names", err)
	}
}

// A panic stays within its run, and says nothing of Go to the script.
func TestPanicsAreContained(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := script(t, "total = 0\nfor i in range(100000):\n    total += i\nprint(total)", RunOptions{})
			if err != nil || out != "4999950000\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	for _, src := range []string{"test.panic()", "parallel.map(lambda x: test.panic(), [1, 2, 3])", "sorted([1, 2], key = lambda x: test.panic())"} {
		_, err := script(t, src, RunOptions{})
		if !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "goroutine") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q", src, err)
		}
		var p *PanicError
		if !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("harness_test.go")) {
			t.Errorf("%s: the stack is lost", src)
		}
	}
	wg.Wait()
}

// An interrupt is not lost at the moment at which catch frees the thread.
func TestInterruptDuringCatch(t *testing.T) {
	p, err := Parse("race.star", []byte(`
def consume():
    for x in test.stream(1, broken = True):
        pass

for i in range(1 << 40):
    catch(consume)
`), testFuncs(t)...)
	if err != nil {
		t.Fatal(err)
	}
	n := 200
	if os.Getenv("DSRUN_TEST_LONG") != "" {
		n = 5000
	}
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i%97)*7*time.Microsecond, cancel)
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, RunOptions{Host: &fakeHost{}}) }()
		select {
		case err := <-done:
			if !fault.Is(err, fault.Cancelled) {
				t.Fatalf("run %d: got %v", i, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("run %d: the interrupt was lost", i)
		}
		cancel()
	}
}

// With on_error="fail" the first failure ends the other items soon, and no further item begins.
func TestParallelFailsFast(t *testing.T) {
	var begun atomic.Int64
	fn := Declare(Func{Name: "test.begin"}, func(p *Params) Impl {
		return func(c *Call) (starlark.Value, error) { begun.Add(1); return nil, nil }
	})
	src := `
def f(x):
    test.begin()
    if x == 3:
        fail("three")
    for i in range(1 << 40):
        pass

parallel.map(f, range(1000), workers = 4)
`
	p, err := Parse("test.star", []byte(src), fn)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err = p.Run(t.Context(), RunOptions{Host: &fakeHost{}})
	if !fault.Is(err, fault.Fail) || !strings.Contains(err.Error(), "item 3 (3): fail: three") {
		t.Errorf("got %v", err)
	}
	if n := begun.Load(); n > 8 {
		t.Errorf("%d items were begun", n)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// Items know their place: event ids are made of it.
func TestIndices(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	fn := Declare(Func{Name: "test.where"}, func(p *Params) Impl {
		return func(c *Call) (starlark.Value, error) {
			mu.Lock()
			defer mu.Unlock()
			key := ""
			for _, i := range c.Run.Indices {
				key += "/" + string(rune('0'+i))
			}
			seen[key] = true
			return nil, nil
		}
	})
	p, err := Parse("test.star", []byte("test.where()\nparallel.map(lambda x: parallel.map(lambda y: test.where(), range(2)), range(2))"), fn)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), RunOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "/0/0", "/0/1", "/1/0", "/1/1"} {
		if !seen[want] {
			t.Errorf("%q is missing in %v", want, seen)
		}
	}
}

// logCloser records that it was closed.
type logCloser struct {
	log *[]string
	id  string
	err error
}

func (c logCloser) Close() error { *c.log = append(*c.log, c.id); return c.err }

func TestTrack(t *testing.T) {
	var log []string
	broken := errors.New("close failed")
	open := Declare(Func{Name: "test.open"}, func(p *Params) Impl {
		id, keep := p.String("id", "."), p.Bool("keep", ".").Default(true)
		return func(c *Call) (starlark.Value, error) {
			cl := logCloser{log: &log, id: id.Get(c)}
			if id.Get(c) == "broken" {
				cl.err = broken
			}
			if untrack := c.Run.Track(cl); !keep.Get(c) {
				untrack()
			}
			return nil, nil
		}
	})
	run := func(src string) error {
		p, err := Parse("test.star", []byte(src), open)
		if err != nil {
			t.Fatal(err)
		}
		return p.Run(t.Context(), RunOptions{})
	}
	if err := run("test.open('a')\ntest.open('b', keep = False)\ntest.open('c')\nfail('x')"); !fault.Is(err, fault.Fail) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(log, " "); got != "c a" {
		t.Errorf("closed %q, want the last opened first", got)
	}
	log = nil
	if err := run("parallel.map(lambda x: test.open(x), ['i'])\ntest.open('o')"); err != nil || strings.Join(log, " ") != "i o" {
		t.Errorf("got %v, closed %q", err, log)
	}
	if err := run("test.open('broken')"); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of closing", err)
	}
}

func TestPrint(t *testing.T) {
	hostile := `print("a\x1b[31mb\u202e\r\x07c\n\td\u009b")`
	out, err := script(t, hostile, RunOptions{})
	if err != nil || out != "a\x1b[31mb\u202e\r\x07c\n\td\u009b\n" {
		t.Errorf("a pipe got %q, %v", out, err)
	}
	out, err = script(t, hostile, RunOptions{TTY: true})
	if err != nil || out != `a\x1b[31mb\u202e\r\x07c`+"\n\td"+`\u009b`+"\n" {
		t.Errorf("a terminal got %q, %v", out, err)
	}
	r, w := io.Pipe()
	_ = r.Close()
	_, err = script(t, "for i in range(1 << 40):\n    print(i)", RunOptions{Stdout: w})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the closed pipe", err)
	}
	// Lines of parallel items do not mix.
	out, err = script(t, "parallel.map(lambda x: print('x' * 5000), range(50))", RunOptions{})
	if err != nil || out != strings.Repeat(strings.Repeat("x", 5000)+"\n", 50) {
		t.Errorf("lines are mixed: %v", err)
	}
}

func TestLog(t *testing.T) {
	h := &fakeHost{}
	if _, err := script(t, `
log.info("read", rows = 3, file = "a.csv", none = None)
log.warn([1, "a"])
log.error("x", nested = {"a": [1, {"b": 2}]})
`, RunOptions{Host: h}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.logs, "|"); got != `info read rows=3 file=a.csv none=nil|warn [1, "a"]|error x nested=?` {
		t.Errorf("got %s", got)
	}
}
