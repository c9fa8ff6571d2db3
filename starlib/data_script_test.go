package starlib

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"go.uber.org/goleak"
)

// TestDataScripts runs testdata/data/*.star. A line of dashes separates scripts, each of which has a host of its own; a
// line that ends in `### "regexp"` must fail with a message or hint that matches.
func TestDataScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/data/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for _, part := range strings.SplitAfter(string(src), "\n---\n") {
			name := strings.TrimSuffix(filepath.Base(file), ".star") + "/" + strconv.Itoa(line)
			part, first := strings.TrimSuffix(part, "---\n"), line
			t.Run(name, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				checkScript(t, part, first)
			})
			line += strings.Count(part, "\n") + 1
		}
	}
}

var wantRE = regexp.MustCompile(`### (".*")`)

func checkScript(t *testing.T, src string, first int) {
	h := newDataHost(t)
	wantLine, want := 0, ""
	for i, l := range strings.Split(src, "\n") {
		if m := wantRE.FindStringSubmatch(l); m != nil {
			var err error
			if want, err = strconv.Unquote(m[1]); err != nil {
				t.Fatalf("line %d: %v", first+i, err)
			}
			wantLine = i + 1
		}
	}
	out, err := h.run(src)
	if err == nil {
		if want != "" {
			t.Errorf("line %d: no error, want %q", first+wantLine-1, want)
		}
		return
	}
	text := describeScriptError(err)
	if want == "" {
		t.Fatalf("from line %d: %s\n%s", first, text, out)
	}
	var s *ScriptError
	if !errors.As(err, &s) {
		t.Fatalf("not a script error: %v", err)
	}
	at := false
	for _, f := range s.Frames {
		at = at || f.Line == wantLine
	}
	if !at {
		t.Errorf("no frame on line %d: %s", first+wantLine-1, text)
	}
	if full := err.Error() + "\n" + fault.ClassOf(err).Hint; !regexp.MustCompile(want).MatchString(full) {
		t.Errorf("line %d: got %s\nwant %q", first+wantLine-1, text, want)
	}
}
