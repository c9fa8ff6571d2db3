package starlib

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/rows"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/google/go-cmp/cmp"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// TestConvertRoundTrip: plain data survives the way through Starlark.
func TestConvertRoundTrip(t *testing.T) {
	big1, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, x := range []any{nil, true, int64(-5), int64(math.MaxInt64), big1, 1.5, math.Inf(1), "é\x00", []byte{0xff, 0}, time.Unix(5, 7).UTC(),
		[]any{int64(1), "a", nil}, []any{}, &rows.Object{Keys: []string{"z", "a"}, Vals: []any{int64(1), []any{"x"}}}, &rows.Object{Keys: []string{}, Vals: []any{}}} {
		got, err := toGo(fromGo(x))
		if err != nil {
			t.Errorf("%v: %v", x, err)
		} else if d := cmp.Diff(x, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); d != "" {
			t.Errorf("%v: %s", x, d)
		}
	}
	if got, err := toGo(fromGo(math.NaN())); err != nil || !math.IsNaN(got.(float64)) {
		t.Errorf("NaN: %v %v", got, err)
	}
}

// TestToGo: values that only scripts have, and what cannot be data.
func TestToGo(t *testing.T) {
	self := starlark.NewList(nil)
	self.Append(starlark.Tuple{self})
	loop := starlark.NewDict(1)
	loop.SetKey(starlark.String("d"), starlark.Tuple{loop})
	deep := starlark.Value(starlark.None)
	for range maxNesting + 1 {
		deep = starlark.NewList([]starlark.Value{deep})
	}
	twice := starlark.NewList([]starlark.Value{starlark.MakeInt(1)})
	odd := starlark.NewDict(1)
	odd.SetKey(starlark.MakeInt(1), starlark.None)
	for _, c := range []struct {
		v    starlark.Value
		want string
	}{
		{starlark.Tuple{starlark.MakeInt(1), starlark.String("a")}, "[1 a]"},
		{startime.Duration(90 * time.Minute), "1h30m0s"},
		{starlark.NewList([]starlark.Value{twice, twice}), "[[1] [1]]"}, // the same list twice is no cycle
		{starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"b": starlark.True, "a": starlark.None}), "&{[a b] [<nil> true]}"},
		{self, "error: at [0][0]: list contains itself"},
		{loop, `error: at ["d"][0]: dict contains itself`},
		{deep, "nested deeper than 128 levels"},
		{starlark.NewList([]starlark.Value{starlark.NewBuiltin("f", nil)}), "error: at [0]: invalid_argument: builtin_function_or_method is not data"},
		{&Stream{}, "error: invalid_argument: a stream is not data"},
		{odd, "error: invalid_argument: a key is int, want string"},
	} {
		got := ""
		if x, err := toGo(c.v); err != nil {
			got = "error: " + err.Error()
		} else {
			got = fmt.Sprint(x)
		}
		got = strings.ReplaceAll(got, ": invalid_argument: list", ": list")
		got = strings.ReplaceAll(got, ": invalid_argument: dict", ": dict")
		if !strings.Contains(got, c.want) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestPlanJSON: a stream is data: functions go by name where they have one.
func TestPlanJSON(t *testing.T) {
	h := newDataHost(t)
	var plans []string
	asserts = append(asserts[:2:2], Declare(Func{Name: "plan", Returns: "None", Doc: "Keeps the plan."}, func(p *Params) Impl {
		s := p.Value("s", "Stream.")
		return func(c *Call) (starlark.Value, error) {
			j, err := s.Get(c).(*Stream).Plan().JSON()
			plans = append(plans, string(j))
			return nil, err
		}
	}))
	defer func() { asserts = asserts[:2:2] }()
	h.must(t, `
def clean(r):
    return r

plan(ds.lake.read("raw/*.csv", types = {"n": "int"}, on_bad = "skip").map(clean).filter(lambda r: r.n).select("n").take(5))
plan(ds.lake.list("a/**", limit = 3).group("path", n = agg.sum("size")).join([{"path": 1}], on = "path"))
`)
	want := []string{`{
  "source": {
    "op": "read",
    "store": "lake",
    "pattern": "raw/*.csv",
    "read": {
      "format": "auto",
      "types": {
        "n": "int"
      },
      "header": true,
      "on_bad": "skip"
    }
  },
  "steps": [
    {
      "op": "map",
      "fn": "main.star:clean"
    },
    {
      "op": "filter",
      "fn": "main.star:5:89"
    },
    {
      "op": "select",
      "columns": [
        "n"
      ]
    },
    {
      "op": "take",
      "n": 5
    }
  ]
}`, `{
  "source": {
    "op": "list",
    "store": "lake",
    "pattern": "a/**",
    "limit": 3
  },
  "steps": [
    {
      "op": "group",
      "columns": [
        "path"
      ],
      "aggs": [
        {
          "name": "n",
          "op": "sum",
          "column": "size"
        }
      ]
    },
    {
      "op": "join",
      "pairs": [
        [
          "path",
          "path"
        ]
      ],
      "how": "inner",
      "plans": [
        {
          "source": {
            "op": "of"
          }
        }
      ]
    }
  ]
}`}
	if d := cmp.Diff(want, plans); d != "" {
		t.Error(d)
	}
}

// TestShow: tables are aligned by what a terminal shows, bounded, and cannot drive it.
func TestShow(t *testing.T) {
	h := newDataHost(t)
	for _, c := range []struct{ src, want string }{
		{`stream.of([{"name": "ø", "n": 5}, {"name": "日本", "n": 1234}, {"name": None, "x": True}]).show()`,
			"name     n  x\nø        5\n日本  1234\nNone        True\n"},
		{`stream.of(range(30)).show(n = 2)`, "value\n    0\n    1\n(more rows follow)\n"},
		{`stream.of(range(2)).show(n = 2)`, "value\n    0\n    1\n"},
		{`stream.of([]).show()`, "(no rows)\n"},
		{`stream.of([{"a\x1b[31m": "x\x1b]0;y\x07\n\u202ez"}]).show()`, "a\\x1b[31m\nx\\x1b]0;y\\x07\\n\\u202ez\n"},
		{`stream.of([{"t": "y" * 100}]).show()`, "t\n" + strings.Repeat("y", 39) + "…\n"},
		{`stream.of([{"c0" + str(i): "v" * 30 for i in range(10)}]).show()`,
			strings.TrimRight(fmt.Sprintf("%-32s%-32s%-32s", "c00", "c01", "c02"), " ") + "\n" + strings.Join([]string{strings.Repeat("v", 30), strings.Repeat("v", 30), strings.Repeat("v", 30)}, "  ") +
				"\n(7 columns not shown: c03, c04, c05, c06, c07, c08, c09)\n"},
		{`ds.lake.list("raw/a.csv").map(lambda o: {"p": o.path, "s": o.size}).show()`, "p           s\nraw/a.csv  15\n"},
	} {
		if got := h.must(t, c.src); got != c.want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
	if out := h.must(t, `ds.lake.list().show()`); !strings.HasPrefix(out, "path       size  modified") {
		t.Errorf("got\n%s", out)
	}
}

// unordered lists in no order.
type unordered struct{ *memory.Driver }

func (u unordered) Caps() store.Caps {
	c := u.Driver.Caps()
	c.Order = store.OrderNone
	return c
}

func (u unordered) List(ctx context.Context, q store.Query) (store.Page, error) {
	p, err := u.Driver.List(ctx, q)
	slices.Reverse(p.Entries)
	return p, err
}

// TestReadInKeyOrder: a pattern is read in the order of the paths whatever the store's order is.
func TestReadInKeyOrder(t *testing.T) {
	h := newDataHost(t)
	h.addStore(t, "mess", unordered{memory.New("mess", 1<<30, clock.Real)}, store.Options{})
	for i := range 20 {
		h.put(t, "mess", fmt.Sprintf("k%02d.csv", i), fmt.Sprintf("n\n%d\n", i))
	}
	out := h.must(t, `print([int(r.n) for r in ds.mess.read("*.csv")] == list(range(20)))`)
	if out != "True\n" {
		t.Error("not in order")
	}
}

// TestBadRowsCounted: what is skipped is logged when the reading ends.
func TestBadRowsCounted(t *testing.T) {
	h := newDataHost(t)
	h.put(t, "lake", "bad.csv", "n\n1\nx\n3\ny\n")
	h.must(t, `ds.lake.read("bad.csv", types = {"n": "int"}, on_bad = "skip").count()`)
	if len(h.logs) != 1 || !strings.Contains(h.logs[0], "warn bad rows skipped store=lake path=bad.csv rows=2 first=bad.csv:3: record 2") {
		t.Errorf("logs %q", h.logs)
	}
}

// plainStore has no optional abilities and refuses one key.
type plainStore struct {
	store.Driver
	bad string
}

func (p plainStore) Put(ctx context.Context, key string, b store.Body, o store.PutOptions) (store.Entry, error) {
	if key == p.bad {
		return store.Entry{}, fault.New(fault.PermissionDenied, "key refused")
	}
	return p.Driver.Put(ctx, key, b, o)
}

func (p plainStore) Delete(ctx context.Context, key string, c store.Cond) error {
	if key == p.bad {
		return fault.New(fault.PermissionDenied, "key refused")
	}
	return p.Driver.Delete(ctx, key, c)
}

// TestPartialFailure: with collect the failures are values, with fail the first is raised and nothing after it runs.
func TestPartialFailure(t *testing.T) {
	h := newDataHost(t)
	h.addStore(t, "part", plainStore{memory.New("part", 1<<30, clock.Real), "raw/a.csv"}, store.Options{})
	out := h.must(t, `
r = ds.lake.copy("raw/*.csv", ds.part, on_error = "collect")
print(r.copied, [(f.path, f.code) for f in r.failed], r.bytes, r.client_bytes)
print("key refused" in r.failed[0].message)
v, err = catch(ds.lake.copy, "raw/*.csv", ds.part, overwrite = "always")
print(err.code)
`)
	if want := "1 [(\"raw/a.csv\", \"permission_denied\")] 11 11\nTrue\npermission_denied\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	d := memory.New("some", 1<<30, clock.Real)
	seed := store.New("seed", "memory", d.Handle(), store.Options{})
	for _, k := range []string{"a", "b", "c"} {
		if _, err := seed.Put(t.Context(), k, store.BytesBody([]byte("x")), store.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	h.addStore(t, "some", plainStore{d, "b"}, store.Options{})
	out = h.must(t, `
r = ds.some.delete_all("**", on_error = "collect")
print(r.deleted, [(f.path, f.code) for f in r.failed])
v, err = catch(ds.some.delete_all, "**")
print(err.code, [o.path for o in ds.some.list()])
`)
	if want := "2 [(\"b\", \"permission_denied\")]\npermission_denied [\"b\"]\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
