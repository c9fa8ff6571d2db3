package config

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var expectation = regexp.MustCompile(`# (ERROR|WARNING): ([A-Za-z0-9 -]+)`)

// TestInvalid loads each file of testdata/invalid: exactly the lines that say `# ERROR: summary` give that error. A
// file in a folder of its own is loaded with its neighbours.
func TestInvalid(t *testing.T) {
	cases, _ := filepath.Glob("testdata/invalid/*")
	if len(cases) < 40 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, name := range cases {
		t.Run(filepath.Base(name), func(t *testing.T) { checkFixture(t, name) })
	}
}

// TestValid loads each file of testdata/valid, which give no errors; warnings are marked.
func TestValid(t *testing.T) {
	cases, _ := filepath.Glob("testdata/valid/*")
	if len(cases) < 5 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, name := range cases {
		t.Run(filepath.Base(name), func(t *testing.T) { checkFixture(t, name) })
	}
}

// readFixture returns the files of a configuration: one file, or those of a folder.
func readFixture(t *testing.T, name string) ([]File, Options) {
	t.Helper()
	read := func(n string) File {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		return File{Name: filepath.Base(n), Dir: "/conf", Bytes: b}
	}
	o := Options{Schemas: testSchemas(), Version: "1.4.2", ReadFile: func(_, path string) ([]byte, error) {
		if path == "words.txt" {
			return []byte("one two"), nil
		}
		return nil, os.ErrNotExist
	}}
	if st, err := os.Stat(name); err != nil || !st.IsDir() {
		return []File{read(name)}, o
	}
	entries, _ := os.ReadDir(name)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	main, over, vars := Select(names)
	var files []File
	for _, n := range append(main, over...) {
		files = append(files, read(filepath.Join(name, n)))
	}
	for _, n := range vars {
		o.VarFiles = append(o.VarFiles, read(filepath.Join(name, n)))
	}
	return files, o
}

func checkFixture(t *testing.T, name string) {
	files, o := readFixture(t, name)
	c, diags := Load(files, o)
	var got, want []string
	for _, d := range c.Diags(diags) {
		kind := strings.ToUpper(d.Severity)
		got = append(got, line(d.File, d.Line, kind, d.Summary))
		if d.Detail == "" || !strings.HasSuffix(strings.TrimSpace(d.Detail), ".") && !strings.HasSuffix(d.Detail, "?") {
			t.Errorf("%s: detail is no sentence: %q", d.Summary, d.Detail)
		}
		if strings.HasSuffix(d.Summary, ".") {
			t.Errorf("summary with a stop: %q", d.Summary)
		}
		if d.Line > 0 && d.Snippet == nil {
			t.Errorf("%s line %d: no source line", d.File, d.Line)
		}
	}
	for _, f := range append(files, o.VarFiles...) {
		for i, l := range bytes.Split(f.Bytes, []byte("\n")) {
			for _, m := range expectation.FindAllStringSubmatch(string(l), -1) {
				want = append(want, line(f.Name, i+1, m[1], strings.TrimSpace(m[2])))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		var b bytes.Buffer
		_ = Render(&b, c.Diags(diags), 100, false)
		t.Errorf("got:\n  %s\nwant:\n  %s\n\n%s", strings.Join(got, "\n  "), strings.Join(want, "\n  "), b.String())
	}
}

func line(file string, n int, kind, summary string) string {
	return strings.Join([]string{file, strings.Repeat("0", 4-len(itoa(n))) + itoa(n), kind, summary}, " ")
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
