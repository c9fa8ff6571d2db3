package starlib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/store"
	"go.starlark.net/starlark"
	"go.uber.org/goleak"
)

// flaky lists two objects a page and fails from the given page on; it counts what was changed.
type flaky struct {
	*memory.Driver
	fail    int32 // the page that fails, from 1; 0: none
	pages   atomic.Int32
	deletes atomic.Int32
}

var errPage = fault.New(fault.PermissionDenied, "page refused")

func (f *flaky) List(ctx context.Context, q store.Query) (store.Page, error) {
	if q.Token == "" {
		f.pages.Store(0)
	}
	if n := f.pages.Add(1); f.fail > 0 && n >= f.fail {
		return store.Page{}, errPage
	}
	q.Max = 2
	return f.Driver.List(ctx, q)
}

func (f *flaky) Delete(ctx context.Context, key string, c store.Cond) error {
	f.deletes.Add(1)
	return f.Driver.Delete(ctx, key, c)
}

func (f *flaky) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	f.deletes.Add(int32(len(keys)))
	return f.Driver.DeleteBatch(ctx, keys)
}

func (f *flaky) Classify(err error) fault.Class { return fault.ClassOf(err) }

// newFlakyHost returns a host whose store flaky holds six objects and fails on the second page of every listing.
func newFlakyHost(t testing.TB) (*dataHost, *flaky) {
	h := newDataHost(t)
	f := &flaky{Driver: memory.New("flaky", 1<<30, clock.Real)}
	h.addStore(t, "flaky", f, store.Options{Retry: retry.Policy{}})
	for i := range 6 {
		h.put(t, "flaky", fmt.Sprintf("k%d.csv", i), fmt.Sprintf("n\n%d\n", i))
	}
	f.fail = 2
	return h, f
}

// TestFailingListing: whoever consumes a listing that fails half-way, nothing goes on with the half, and the error is
// reported at the place that consumed it.
func TestFailingListing(t *testing.T) {
	for name, src := range map[string]string{
		"for":                   "for o in ds.flaky.list():\n    pass",
		"comprehension":         "x = [o.path for o in ds.flaky.list()]",
		"dict":                  "x = {o.path: 1 for o in ds.flaky.list()}",
		"list":                  "x = list(ds.flaky.list())",
		"sorted":                "x = sorted(ds.flaky.list(), key = lambda o: o.path)",
		"zip":                   "x = zip(ds.flaky.list(), range(100))",
		"enumerate":             "x = enumerate(ds.flaky.list())",
		"tuple":                 "x = tuple(ds.flaky.list())",
		"max":                   "x = max(ds.flaky.list(), key = lambda o: o.size)",
		"any":                   "x = any(ds.flaky.list().map(lambda o: False))",
		"extend":                "x = []\nx.extend(ds.flaky.list())",
		"join":                  "x = \",\".join(ds.flaky.list().map(lambda o: o.path))",
		"unpack":                "a, b = ds.flaky.list()",
		"collect":               "x = ds.flaky.list().collect()",
		"count":                 "x = ds.flaky.list().count()",
		"each":                  "x = ds.flaky.list().each(lambda o: None)",
		"reduce":                "x = ds.flaky.list().reduce(lambda a, o: a, 0)",
		"sort":                  "x = ds.flaky.list().sort(\"path\").collect()",
		"sort fn":               "x = ds.flaky.list().sort(lambda o: o.path).first()",
		"distinct":              "x = ds.flaky.list().distinct().count()",
		"map":                   "x = ds.flaky.list().map(lambda o: o.path).collect()",
		"batch":                 "x = ds.flaky.list().batch(100).first()",
		"flat_map":              "x = ds.flaky.list().flat_map(lambda o: o.read()).collect()",
		"concat":                "x = ds.lake.list().concat(ds.flaky.list()).count()",
		"parallel.map":          "x = parallel.map(lambda o: ds.out.write_text(o.path, \"x\"), ds.flaky.list())",
		"parallel.each":         "parallel.each(lambda o: ds.out.write_text(o.path, \"x\"), ds.flaky.list(), on_error = \"collect\")",
		"read":                  "x = ds.flaky.read(\"*.csv\").count()",
		"write":                 "ds.out.write(\"w.csv\", ds.flaky.read(\"*.csv\"))",
		"write objects":         "ds.out.write(\"w.csv\", ds.flaky.list())",
		"write_parts":           "ds.out.write_parts(\"p/{key}.csv\", ds.flaky.read(\"*.csv\"), by = \"n\")",
		"create":                "ds.out.create(\"c.csv\", lambda w: [w.row({\"p\": o.path}) for o in ds.flaky.list()])",
		"copy":                  "ds.flaky.copy(\"**\", ds.out)",
		"delete_all":            "ds.flaky.delete_all(\"**\")",
		"json":                  "x = json.encode(ds.flaky.list())",
		"write_json":            "ds.out.write_json(\"j.json\", ds.flaky.list())",
		"show":                  "ds.flaky.list().show()",
		"publish":               "topics.events.publish_all(ds.flaky.list(), type = \"t\", on_error = \"skip\")",
		"generator in function": "def f():\n    for o in ds.flaky.list():\n        if o.size < 0:\n            return o\n    return None\nx = f()",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			h, f := newFlakyHost(t)
			out, err := h.run(src + "\nprint(\"went on\")\nds.out.write_text(\"after\", \"x\")\n")
			if err == nil {
				t.Fatalf("no error; printed %q", out)
			}
			if !errors.Is(err, errPage) && !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), "page refused") {
				t.Errorf("got %v, want the listing's own error", err)
			}
			if out != "" {
				t.Errorf("printed %q after the failure", out)
			}
			if name != "copy" { // a copy of many objects may have done some
				if keys := h.keys(t, "out"); keys != "" {
					t.Errorf("wrote %s", keys)
				}
			}
			if n := f.deletes.Load(); n != 0 {
				t.Errorf("%d deletes", n)
			}
			var s *ScriptError
			if !errors.As(err, &s) || len(s.Frames) == 0 || s.Frames[0].Line == 0 || s.Frames[0].Line > 1+strings.Count(src, "\n") {
				t.Errorf("not placed: %v", describeScriptError(err))
			}
		})
	}
}

// TestFailingListingCaught: catch gives the cause, and the script goes on as it should.
func TestFailingListingCaught(t *testing.T) {
	h, _ := newFlakyHost(t)
	out := h.must(t, `
def walk():
    for o in ds.flaky.list():
        pass
    print("not here")

v, err = catch(walk)
print(err.code, err.store)
v, err = catch(lambda: list(ds.flaky.list()))
print(err.code)
# inside of a function of another stream
def inner(n):
    v, err = catch(walk)
    return err.code

print(stream.of([1, 2]).map(inner).collect())
for c in stream.of([1, 2]).map(inner):
    print(c)
print(parallel.map(lambda n: catch(walk)[1].code, [1, 2, 3]))
print([r.code for r in parallel.map(lambda n: walk(), [1, 2], on_error = "collect")])
`)
	want := `permission_denied flaky
permission_denied
["permission_denied", "permission_denied"]
permission_denied
permission_denied
["permission_denied", "permission_denied", "permission_denied"]
["permission_denied", "permission_denied"]
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// holds counts the bodies that are open.
type holds struct {
	*memory.Driver
	open atomic.Int32
	cut  bool // bodies fail after some bytes
}

type heldBody struct {
	io.ReadCloser
	h    *holds
	n    int
	shut bool
}

func (d *holds) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	obj, err := d.Driver.Get(ctx, key, o)
	if err == nil {
		d.open.Add(1)
		obj.Body = &heldBody{ReadCloser: obj.Body, h: d}
	}
	return obj, err
}

func (b *heldBody) Read(p []byte) (int, error) {
	if b.h.cut && b.n > 100 {
		return 0, fault.New(fault.PermissionDenied, "body refused")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), 64)])
	b.n += n
	return n, err
}

func (b *heldBody) Close() error {
	if !b.shut {
		b.shut = true
		b.h.open.Add(-1)
	}
	return b.ReadCloser.Close()
}

func newHoldsHost(t testing.TB) (*dataHost, *holds) {
	h := newDataHost(t)
	d := &holds{Driver: memory.New("held", 1<<30, clock.Real)}
	h.addStore(t, "held", d, store.Options{})
	var b strings.Builder
	b.WriteString("n\n")
	for i := range 5000 {
		fmt.Fprintln(&b, i)
	}
	h.put(t, "held", "a.csv", b.String())
	h.put(t, "held", "b.csv", b.String())
	return h, d
}

// TestIteratorsClose: what a loop opened is closed at once when the loop ends, however it ends.
func TestIteratorsClose(t *testing.T) {
	for name, src := range map[string]string{
		"break":         "for r in ds.held.read(\"*.csv\"):\n    break\ncheck()",
		"end":           "for r in ds.held.read(\"*.csv\"):\n    pass\ncheck()",
		"return":        "def f():\n    for r in ds.held.read(\"*.csv\"):\n        return r\nf()\ncheck()",
		"error":         "def f():\n    for r in ds.held.read(\"*.csv\"):\n        fail(\"x\")\ncatch(f)\ncheck()",
		"comprehension": "catch(lambda: [1 // 0 for r in ds.held.read(\"*.csv\")])\ncheck()",
		"nested":        "for r in ds.held.read(\"*.csv\"):\n    for q in ds.held.read(\"*.csv\"):\n        break\n    break\ncheck()",
		"first":         "ds.held.read(\"*.csv\").map(lambda r: r).first()\ncheck()",
		"take":          "ds.held.read(\"*.csv\").take(2).collect()\ncheck()",
		"collect limit": "catch(lambda: ds.held.read(\"*.csv\").collect(limit = 3))\ncheck()",
		"flat_map":      "stream.of([1, 2]).flat_map(lambda n: ds.held.read(\"*.csv\")).first()\ncheck()",
		"sort fails":    "catch(lambda: ds.held.read(\"*.csv\").sort(lambda r: 1 // 0).first())\ncheck()",
		"join":          "ds.held.read(\"*.csv\").join(ds.held.read(\"a.csv\"), on = \"n\").first()\ncheck()",
		"write fails":   "catch(lambda: ds.out.write(\"w.csv\", ds.held.read(\"*.csv\").map(lambda r: 1 // 0)))\ncheck()",
		"any":           "any(ds.held.read(\"*.csv\"))\ncheck()",
		"show":          "ds.held.read(\"*.csv\").show(2)\ncheck()",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			h, d := newHoldsHost(t)
			var open []int32
			asserts = append(asserts[:2:2], starlibCheck(func() { open = append(open, d.open.Load()) }))
			defer func() { asserts = asserts[:2:2] }()
			h.must(t, src)
			if len(open) != 1 || open[0] != 0 {
				t.Errorf("open bodies %v, want none", open)
			}
		})
	}
}

// TestFailingBody: a body that ends with an error in the middle never passes for the end.
func TestFailingBody(t *testing.T) {
	for name, src := range map[string]string{
		"for":        "for r in ds.held.read(\"a.csv\"):\n    pass",
		"list":       "list(ds.held.read(\"a.csv\"))",
		"write":      "ds.out.write(\"w.csv\", ds.held.read(\"a.csv\"))",
		"read_text":  "ds.held.read_text(\"a.csv\")",
		"read_lines": "ds.held.read_lines(\"a.csv\").count()",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			h, d := newHoldsHost(t)
			d.cut = true
			out, err := h.run(src + "\nprint(\"went on\")\n")
			if err == nil || !strings.Contains(err.Error(), "body refused") {
				t.Errorf("got %v", err)
			}
			if keys := h.keys(t, "out"); keys != "" || out != "" {
				t.Errorf("wrote %q, printed %q", keys, out)
			}
			if n := d.open.Load(); n != 0 {
				t.Errorf("%d bodies open", n)
			}
		})
	}
}

// TestFailingStreamOfAnotherScope: a stream that was made outside of parallel.map and is consumed inside of it fails the
// item that consumes it, and only that one.
func TestFailingStreamOfAnotherScope(t *testing.T) {
	for name, fn := range map[string]string{
		"for":           "def item(n):\n    for o in s:\n        pass\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
		"comprehension": "def item(n):\n    x = [o.path for o in s]\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
		"list":          "def item(n):\n    x = list(s)\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
		"unpack":        "def item(n):\n    a, b = s\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
		"count":         "def item(n):\n    s.count()\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
		"steps":         "def item(n):\n    for o in s.map(lambda o: o):\n        pass\n    ds.out.write_text(\"x%d\" % n, \"x\")\n",
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			h, _ := newFlakyHost(t)
			out := h.must(t, "s = ds.flaky.list()\n"+fn+"print([e.code for e in parallel.map(item, [1, 2, 3], on_error = \"collect\")])\nprint(\"after\")\n")
			if want := "[\"permission_denied\", \"permission_denied\", \"permission_denied\"]\nafter\n"; out != want {
				t.Errorf("got %q", out)
			}
			if keys := h.keys(t, "out"); keys != "" {
				t.Errorf("wrote %s", keys)
			}
		})
	}
}

// TestLoopsLeaveNoThreads: a loop whose stream calls functions has a thread of its own, which goes with the loop.
func TestLoopsLeaveNoThreads(t *testing.T) {
	h := newDataHost(t)
	most, open := 0, 0
	asserts = append(asserts[:2:2], Declare(Func{Name: "check", Returns: "None", Doc: "Counts threads."}, func(*Params) Impl {
		return func(c *Call) (starlark.Value, error) {
			c.Run.mu.Lock()
			defer c.Run.mu.Unlock()
			most, open = max(most, len(c.Run.threads), len(c.Run.stops)), max(open, len(c.Run.open))
			return nil, nil
		}
	}))
	defer func() { asserts = asserts[:2:2] }()
	h.must(t, `
for i in range(200):
    for r in ds.lake.read("raw/*.csv").map(lambda r: r):
        check()
        break
    check()
`)
	if most > 2 || open > 1 {
		t.Errorf("%d threads and %d open streams at once", most, open)
	}
}
