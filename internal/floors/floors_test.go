package floors

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The import law of this module holds.
func TestLaw(t *testing.T) {
	root, err := Root(".")
	if err != nil {
		// Root walks up from a path; "." has no parent of its own.
		wd, _ := os.Getwd()
		if root, err = Root(wd); err != nil {
			t.Fatal(err)
		}
	}
	found, files, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were looked at below %s", files, root)
	}
	for _, v := range found {
		t.Error(v)
	}
}

var wantLine = regexp.MustCompile(`// WANT "([^"]*)"`)

// The law catches what breaks it: in testdata/module, every line that breaks it says so, and no other does.
func TestLawCatches(t *testing.T) {
	root := filepath.Join("testdata", "module")
	found, files, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		file string
		line int
	}
	got := map[place][]string{}
	for _, v := range found {
		p := place{v.File, v.Line}
		got[p] = append(got[p], v.Text)
	}
	wanted, seen := 0, 0
	err = filepath.WalkDir(root, func(full string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(full, ".go") || strings.Contains(full, "nested") {
			return err
		}
		seen++
		src, err := os.ReadFile(full)
		rel, _ := filepath.Rel(root, full)
		for i, line := range strings.Split(string(src), "\n") {
			p := place{filepath.ToSlash(rel), i + 1}
			list := got[p]
			delete(got, p)
			m := wantLine.FindStringSubmatch(line)
			switch {
			case m == nil && len(list) > 0:
				t.Errorf("%s:%d breaks no law and is reported: %q", p.file, p.line, list)
			case m != nil:
				wanted++
				if !strings.Contains(strings.Join(list, "\n"), m[1]) {
					t.Errorf("%s:%d: want a report with %q, got %q", p.file, p.line, m[1], list)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for p, list := range got {
		t.Errorf("%s:%d is reported and was not read: %q", p.file, p.line, list)
	}
	if wanted < 40 || seen != files {
		t.Errorf("%d expectations in %d files, %d files checked", wanted, seen, files)
	}
}

func TestFloorOf(t *testing.T) {
	for pkg, want := range map[string]int{"config": 2, "config/schema": 0, "engine": 4, "engine/store": 1, "engine/store/storetest": 2, "engine/providers": 4, "engine/providers/s3": 3,
		"engine/providers/internal/awsauth": 3, "engine/provider": 2, "engine/provider/providertest": 2, "starlib": 2, "cmd/dsrun": 5, "engine/format/parquet": 1} {
		if got, ok := floorOf(pkg); !ok || got != want {
			t.Errorf("%s: floor %d, %v, want %d", pkg, got, ok, want)
		}
	}
	for _, pkg := range []string{"engine/unheard", "pkg/util", "."} {
		if _, ok := floorOf(pkg); ok {
			t.Errorf("%s has a floor", pkg)
		}
	}
}
