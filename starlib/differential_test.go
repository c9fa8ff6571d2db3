package starlib

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	osexec "os/exec"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/internal/testbed"
)

// TestFmtLikePython compares fmt with Python's str.format over combinations of formats and values.
func TestFmtLikePython(t *testing.T) {
	python := testbed.Program(t, "python3")
	var specs []string
	for _, align := range []string{"", "<", ">", "^", "=", "*>", "0="} {
		for _, sign := range []string{"", "+", " "} {
			for _, rest := range []string{"", "8", "08", "d", ",", "12,d", "x", "#x", "#o", "b", "_d", "f", ".2f", "12.3f", "012,.2f", "e", ".1e", "g", ".3g", "%", ".1%", "E", "G", ".0f", ",.0f", "s", "6s"} {
				specs = append(specs, align+sign+rest)
			}
		}
	}
	values := []string{"0", "7", "-42", "1234567", "0.0", "3.14159", "-0.5", "1e10", "123456.789", "1e-7", "'ab'", "'é€'"}
	var src, py strings.Builder
	py.WriteString("import sys\nsys.stdout.reconfigure(encoding='utf-8')\ndef t(s, v):\n    try:\n        print(s.format(v))\n    except (ValueError, TypeError):\n        print('error')\n")
	src.WriteString("def t(s, v):\n    r, err = catch(fmt, s, v)\n    print('error' if err else r)\n")
	n := 0
	for _, s := range specs {
		for _, v := range values {
			if strings.Contains(v, "1e") && strings.IndexAny(s, "defgxobsEGX%") < 0 && !strings.Contains(s, ".") {
				continue // without a type a float is shown as str shows it, which is 1e+10 in Starlark
			}
			line := fmt.Sprintf("t('[{:%s}]', %s)\n", s, v)
			src.WriteString(line)
			py.WriteString(line)
			n++
		}
	}
	cmd := osexec.CommandContext(t.Context(), python, "-")
	cmd.Stdin = strings.NewReader(py.String())
	want, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	got, err := script(t, src.String(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	lines := strings.Split(src.String(), "\n")[3:]
	bad := 0
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			if bad++; bad <= 20 {
				t.Errorf("%s: got %s, Python %s", lines[i], g[i], w[i])
			}
		}
	}
	t.Logf("%d formats, %d different", n, bad)
}

// goValue converts a decoded value to what encoding/json gives.
func goValue(v starlark.Value) any {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.String:
		return string(v)
	case starlark.Int:
		return float64(v.Float())
	case starlark.Float:
		return float64(v)
	case *starlark.List:
		l := make([]any, 0, v.Len())
		for e := range v.Elements() {
			l = append(l, goValue(e))
		}
		return l
	case *starlark.Dict:
		m := map[string]any{}
		for k, e := range v.Entries() {
			m[string(k.(starlark.String))] = goValue(e)
		}
		return m
	}
	return "?"
}

// unsigned turns -0 into 0: an int has no such thing.
func unsigned(v any) any {
	switch v := v.(type) {
	case float64:
		return v + 0
	case []any:
		for i := range v {
			v[i] = unsigned(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = unsigned(v[k])
		}
	}
	return v
}

// checkJSON compares the decoder with encoding/json on one text, and encodes what it gave.
func checkJSON(t *testing.T, text string) {
	var want any
	werr := json.Unmarshal([]byte(text), &want)
	v, err := decodeJSON(nil, text)
	if (err == nil) != (werr == nil) {
		if err != nil && (strings.Contains(err.Error(), "nested more") || strings.Contains(err.Error(), "digits")) || strings.HasPrefix(text, "\ufeff") {
			return // bounds of ours; a byte order mark is skipped
		}
		t.Fatalf("%q: got %v, encoding/json %v", text, err, werr)
	}
	if err != nil {
		return
	}
	if got := goValue(v); fmt.Sprint(unsigned(got)) != fmt.Sprint(unsigned(want)) {
		t.Fatalf("%q: got %v, encoding/json %v", text, got, want)
	}
	out, err := encodeJSON(&starlark.Thread{}, v, "")
	if err != nil {
		t.Fatalf("%q: encode: %v", text, err)
	}
	again, err := decodeJSON(nil, out)
	if err != nil || again.String() != v.String() {
		t.Fatalf("%q: encoded %q, decoded %v, %v", text, out, again, err)
	}
}

// TestJSONLikeGo decodes random and damaged texts beside encoding/json.
func TestJSONLikeGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var gen func(depth int) any
	gen = func(depth int) any {
		switch n := r.IntN(8); {
		case n == 0:
			return nil
		case n == 1:
			return r.IntN(2) == 0
		case n == 2:
			return r.IntN(1 << 30)
		case n == 3:
			return math.Float64frombits(r.Uint64() &^ (1 << 62))
		case n < 6 || depth > 4:
			b := make([]rune, r.IntN(8))
			for i := range b {
				b[i] = []rune("a\"\\\n\x01é€😀 /<\u2028")[r.IntN(12)]
			}
			return string(b)
		case n == 6:
			l := make([]any, r.IntN(4))
			for i := range l {
				l[i] = gen(depth + 1)
			}
			return l
		}
		m := map[string]any{}
		for i := range r.IntN(4) {
			m[fmt.Sprint("k", i)] = gen(depth + 1)
		}
		return m
	}
	for range 3000 {
		b, err := json.Marshal(gen(0))
		if err != nil {
			continue // NaN and infinity
		}
		checkJSON(t, string(b))
		for range 3 { // damaged
			d := append([]byte(nil), b...)
			d[r.IntN(len(d))] = `{}[],:"\0e.-tn1 `[r.IntN(16)]
			checkJSON(t, string(d))
		}
	}
}

func FuzzJSONDecode(f *testing.F) {
	for _, s := range []string{"null", `{"a":[1,2.5,"x\u00e9\ud83d\ude00"]}`, "[[[[", `{"a":1,"a":2}`, "-0.1e+5", `"\ud800"`, "\ufeff1", " [ ] "} {
		f.Add(s)
	}
	f.Fuzz(checkJSON)
}

// FuzzParse looks for sources that crash the parser, the resolver, the rewriting or the compiler.
func FuzzParse(f *testing.F) {
	for _, s := range []string{flagScript, "x = [a + b for a in range(3) if a for b in c]", "def f(a, *b, c = 1, **d):\n    a[0] += b\n    return a[1:2]\n", "load('//a.star', 'b', c = 'd')\nx, (y, z) = b", "x = {1: 2, **y}", "f(*a, **b)", "(lambda x, *y: x % y)(1)", "if 1:\n  pass\nelif 2:\n  pass\nelse:\n  pass"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Parse("fuzz.star", []byte(src))
		if err != nil {
			e := err.(*ScriptError)
			var panicked *PanicError
			for inner := e.Err; inner != nil; inner = nil {
				if pe, ok := inner.(*PanicError); ok {
					panicked = pe
				}
			}
			if panicked != nil {
				t.Fatalf("%v\n%s", panicked.Value, panicked.Stack)
			}
			return
		}
		p.Params()
		p.Doc()
		p.file.spans()
	})
}

// FuzzFmt looks for templates that crash fmt.
func FuzzFmt(f *testing.F) {
	f.Add("{:*^+#012,.3f} {} {0!r:>5}", "a", 1.5, 3)
	f.Fuzz(func(t *testing.T, template, s string, x float64, i int) {
		thread, _ := testThread(t)
		_, err := starlark.Call(thread, fnFmt.Value(), starlark.Tuple{starlark.String(template), starlark.String(s), starlark.Float(x), starlark.MakeInt(i)}, nil)
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
	})
}
