package starlib

import (
	"testing"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// benchmarkLoop runs body in a loop of b.N, plain or rewritten.
func benchmarkLoop(b *testing.B, src string, rewritten bool) {
	b.Helper()
	opts := &syntax.FileOptions{Set: true, GlobalReassign: true, TopLevelControl: true}
	tree, err := opts.Parse("bench.star", src, 0)
	if err != nil {
		b.Fatal(err)
	}
	predeclared := starlark.StringDict{"path": pathModule, "base": pathModule.attrs["base"]}
	if rewritten {
		for n, v := range universal {
			predeclared[n] = v
		}
		for n, v := range hidden {
			predeclared[n] = v
		}
		resolved, _ := opts.Parse("bench.star", src, 0)
		if err := resolve.File(resolved, predeclared.Has, starlark.Universe.Has); err != nil {
			b.Fatal(err)
		}
		rewrite(tree, resolved)
	}
	prog, err := starlark.FileProgram(tree, predeclared.Has)
	if err != nil {
		b.Fatal(err)
	}
	thread, _ := testThread(b)
	g, err := prog.Init(thread, predeclared)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if _, err := starlark.Call(thread, g["run"], starlark.Tuple{starlark.MakeInt(b.N)}, nil); err != nil {
		b.Fatal(err)
	}
}

var loops = []struct{ name, src string }{
	{"empty", "def run(n):\n    for i in range(n):\n        pass\n"},
	{"count", "def run(n):\n    total = 0\n    for i in range(n):\n        total += i * 2 + 1\n"},
	{"unknown", "def add(a, b):\n    return a + b\ndef run(n):\n    for i in range(n):\n        add(i, i)\n"},
	{"text", "def run(n):\n    s = 'abc'\n    for i in range(n):\n        t = s + '-' + s\n"},
	{"row", `
def clean(r):
    name = r["name"].strip().upper()
    if r["price"] > 10.0:
        return {"name": name, "price": r["price"] * 2, "label": name + ":" + r["id"]}
    return None

def run(n):
    r = {"name": " abc ", "price": 12.5, "id": "x17"}
    for i in range(n):
        clean(r)
`},
	{"split", "def run(n):\n    for i in range(n):\n        'a,b,c,d,e'.split(',')\n"},
	{"host1", "def run(n):\n    for i in range(n):\n        base('a/b.csv')\n"},
	{"module", "def run(n):\n    for i in range(n):\n        path.base('a/b.csv')\n"},
}

func BenchmarkLoops(b *testing.B) {
	for _, l := range loops {
		b.Run(l.name+"/plain", func(b *testing.B) { benchmarkLoop(b, l.src, false) })
		b.Run(l.name+"/rewritten", func(b *testing.B) { benchmarkLoop(b, l.src, true) })
	}
}

// BenchmarkCall measures a declared function alone: three positional arguments, and one with two by name.
func BenchmarkCall(b *testing.B) {
	fn := Declare(Func{Name: "f"}, func(p *Params) Impl {
		x, y, z := p.String("x", "."), p.Int("y", ".").Default(1), p.Bool("z", ".").Default(false)
		return func(c *Call) (starlark.Value, error) {
			_, _, _ = x.Get(c), y.Get(c), z.Get(c)
			return starlark.None, nil
		}
	})
	thread, _ := testThread(b)
	args := starlark.Tuple{starlark.String("a"), starlark.MakeInt(2), starlark.True}
	kwargs := []starlark.Tuple{{starlark.String("y"), args[1]}, {starlark.String("z"), args[2]}}
	b.Run("positional", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = starlark.Call(thread, fn.Value(), args, nil)
		}
	})
	b.Run("keywords", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = starlark.Call(thread, fn.Value(), args[:1], kwargs)
		}
	})
}
