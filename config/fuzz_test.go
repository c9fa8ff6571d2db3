package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seed adds the fixtures and small hostile files to a fuzz target's corpus.
func seed(f *testing.F, suffix string) {
	f.Helper()
	_ = filepath.WalkDir("testdata", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			if b, err := os.ReadFile(path); err == nil {
				f.Add(b)
			}
		}
		return nil
	})
	for _, b := range hostile(30) {
		f.Add(b)
	}
	for _, b := range hostileJSON(30) {
		f.Add(b)
	}
}

// noPanics fails the test when evaluation met a panic that became a diagnostic.
func noPanics(t *testing.T) {
	t.Helper()
	old := onPanic
	onPanic = func(p any) { t.Errorf("panic in evaluation: %v", p) }
	t.Cleanup(func() { onPanic = old })
}

// loadAny loads a source in both syntaxes, resolves what it declares and shows what is wrong.
func loadAny(t *testing.T, src []byte, values bool) {
	for _, name := range []string{"f.dsrun.hcl", "f.dsrun.hcl.json"} {
		o := Options{Schemas: testSchemas(), ReadFile: func(string, string) ([]byte, error) { return []byte(`{"a":[1]}`), nil }}
		files := []File{{Name: name, Dir: "/conf", Bytes: src}}
		if values {
			o.VarFiles = []File{{Name: strings.Replace(name, "dsrun", "dsvars", 1), Dir: "/conf", Bytes: src}}
			files = []File{{Name: "m.dsrun.hcl", Dir: "/conf", Bytes: []byte("variable \"a\" {\n default = 1\n}\nvariable \"b\" {\n type = map(list(string))\n default = {}\n sensitive = true\n}\n")}}
			o.Vars = map[string]string{"b": string(src)}
		}
		c, diags := Load(files, o)
		var b bytes.Buffer
		if err := Render(&b, c.Diags(diags), 80, true); err != nil {
			t.Fatal(err)
		}
		if diags.HasErrors() {
			continue
		}
		w := &fakeSecrets{env: map[string]string{"A": "x"}, files: map[string]string{"a": "y"}}
		for _, d := range c.Decls {
			_, _, late := c.Resolve(t.Context(), d, w)
			c.Diags(late)
		}
		if _, d := c.ResolveSettings(t.Context(), w); d.HasErrors() {
			c.Diags(d)
		}
	}
}

func FuzzLoad(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, src []byte) {
		noPanics(t)
		loadAny(t, src, false)
	})
}

func FuzzVars(f *testing.F) {
	seed(f, "")
	f.Add([]byte("a = 1\nb = { x = [\"y\"] }\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		noPanics(t)
		loadAny(t, src, true)
	})
}

// FuzzPreScan checks that a file that is refused is refused with a place inside of it, and always in the same way.
func FuzzPreScan(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, json := range []bool{false, true} {
			file := File{Name: "f", Bytes: src}
			diags := prescan(file, json)
			if again := prescan(file, json); len(again) != len(diags) {
				t.Fatalf("%v, then %v", diags, again)
			}
			for _, d := range diags {
				if d.Subject == nil || d.Subject.Start.Byte > len(src) || d.Subject.Start.Line < 1 {
					t.Errorf("place of %v", d)
				}
			}
		}
		if d := prescanExpr(src, "f"); d.HasErrors() && d[0].Subject == nil {
			t.Errorf("place of %v", d)
		}
	})
}

// FuzzFormat checks that formatting is idempotent and does not change what a file means to the parser.
func FuzzFormat(f *testing.F) {
	seed(f, ".hcl")
	f.Fuzz(func(t *testing.T, src []byte) {
		out, _, diags := Format(File{Name: "f.dsrun.hcl", Bytes: src})
		if diags.HasErrors() {
			if !bytes.Equal(out, src) {
				t.Fatal("a file with mistakes was changed")
			}
			return
		}
		again, _, diags := Format(File{Name: "f.dsrun.hcl", Bytes: out})
		if diags.HasErrors() || !bytes.Equal(out, again) {
			t.Fatalf("not idempotent: %q, then %q, %v", out, again, diags)
		}
	})
}
