package providers_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
)

// The table of credentials has a row for each method of each family, names kinds that take the family, and names tests
// that exist.
func TestCredentialTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../internal/docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	all := providers.All()
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:`(\\w+)`)? ?\\| (.*?) \\| (.*?) \\|$").FindAllStringSubmatch(string(text), -1) {
		family, method, kinds, tests := m[1], m[2], m[3], m[4]
		rows[family+" "+method] = true
		for _, kind := range strings.Split(kinds, ", ") {
			p, ok := all.Get(provider.KindStore, kind)
			if !ok {
				p, ok = all.Get(provider.KindTopic, kind)
			}
			if !ok || !slices.Contains(p.Body.Families, family) {
				t.Errorf("%s, %s: there is no kind %q that takes the family", family, method, kind)
			}
		}
		for _, at := range strings.Split(tests, "; ") {
			folder, names, ok := strings.Cut(at, ": ")
			if !ok || names == "" {
				t.Errorf("%s, %s: %q names no test", family, method, at)
			}
			src := source(t, folder)
			for _, name := range strings.Fields(names) {
				if !strings.Contains(src, "func "+name+"(t *testing.T)") {
					t.Errorf("%s, %s: there is no test %s in %s", family, method, name, folder)
				}
			}
		}
	}
	for _, p := range all.All() {
		if p.Body.Block != provider.KindCredential {
			continue
		}
		_, fields := p.Body.Declare()
		want := []string{p.Body.Label + " "}
		if len(fields.Methods) > 0 {
			want = nil
		}
		for _, m := range fields.Methods {
			want = append(want, p.Body.Label+" "+m.Name)
		}
		for _, w := range want {
			if !rows[w] {
				t.Errorf("there is no row for %s", w)
			}
			delete(rows, w)
		}
	}
	for row := range rows {
		t.Errorf("the row %q is of no method", row)
	}
}

// source is the text of all tests of a folder.
func source(t *testing.T, folder string) string {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("there are no tests in %s", folder)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
