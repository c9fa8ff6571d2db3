package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/internal/testbed"
)

// TestManPages writes the pages and has mandoc judge them.
func TestManPages(t *testing.T) {
	mandoc := testbed.Program(t, "mandoc")
	dir := t.TempDir()
	w := testWorld(dir, []string{"man", "man1"})
	var out bytes.Buffer
	w.Stdout = &out
	if code := Main(w); code != 0 {
		t.Fatalf("exit code %d: %s", code, w.Stderr)
	}
	files := strings.Fields(out.String())
	if len(files) < 20 || files[0] != "man1/dsrun.1" {
		t.Fatalf("written: %v", files)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lint := func(path string) string {
		out, _ := exec.CommandContext(ctx, mandoc, "-T", "lint", "-W", "warning", path).CombinedOutput()
		return string(out)
	}
	text := func(path string) string {
		out, err := exec.CommandContext(ctx, mandoc, "-T", "ascii", path).Output()
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		plain := strings.NewReplacer("_\b", "").Replace(string(out))
		for i := strings.IndexByte(plain, '\b'); i > 0; i = strings.IndexByte(plain, '\b') { // bold is a letter over itself
			plain = plain[:i-1] + plain[i+1:]
		}
		return plain
	}
	for _, f := range files {
		for line := range strings.Lines(lint(filepath.Join(dir, f))) {
			if !strings.Contains(line, "missing date") { // a date would make every build another
				t.Error(strings.TrimPrefix(line, dir))
			}
		}
	}
	cp := strings.Join(strings.Fields(text(filepath.Join(dir, "man1/dsrun-cp.1"))), " ")
	for _, want := range []string{"dsrun-cp - copy objects between any two places", "dsrun cp FROM TO [flags]", "--dry-run change nothing; print what would be done",
		"dsrun cp raw:a.csv ./a.csv", "--config FILE|DIR", "SEE ALSO dsrun(1)"} {
		if !strings.Contains(cp, want) {
			t.Errorf("dsrun-cp.1 lacks %q in:\n%s", want, cp)
		}
	}
	if repl := text(filepath.Join(dir, "man1/dsrun-repl.1")); !strings.Contains(repl, ":time STMT     run a statement") {
		t.Errorf("lines of the list are joined:\n%s", repl)
	}
	if bad := lint(filepath.Join(dir, "nothing.1")); bad == "" {
		t.Error("mandoc says nothing of a page that is not there")
	}
}
