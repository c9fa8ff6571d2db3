package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/httpstore"
)

// dsrunIn runs a command line in process and returns the exit code and both streams.
func dsrunIn(t *testing.T, dir string, tty bool, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	w := testWorld(dir, args)
	w.Providers, w.Stdout, w.Stderr, w.StdoutTTY, w.StderrTTY = withHTTPStore, &stdout, &stderr, tty, tty
	code := Main(w)
	return code, stdout.String(), stderr.String()
}

// faultyWeb is an object store over HTTP that refuses the requests which broken matches.
type faultyWeb struct {
	m      *memory.Driver
	url    string
	broken atomic.Pointer[func(*http.Request) bool]
}

func newFaultyWeb(t *testing.T) *faultyWeb {
	f := &faultyWeb{m: memory.New("web", 1<<30, nil)}
	h := &httpstore.Server{Driver: f.m}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b := f.broken.Load(); b != nil && (*b)(r) {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *faultyWeb) fail(match func(*http.Request) bool) { f.broken.Store(&match) }

func (f *faultyWeb) put(t *testing.T, key, text string) {
	t.Helper()
	if _, err := f.m.Put(t.Context(), key, store.BytesBody([]byte(text)), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f *faultyWeb) has(t *testing.T, key string) bool {
	t.Helper()
	_, err := f.m.Stat(t.Context(), key, store.Cond{})
	return err == nil
}

func (f *faultyWeb) config(t *testing.T, dir string) {
	t.Helper()
	write(t, dir, "dsrun.hcl", fmt.Sprintf("datastore \"web\" \"web\" {\n  url = %q\n}\n", f.url)+outHCL)
}

func laterPage(r *http.Request) bool {
	return r.URL.Path == "/list" && r.URL.Query().Get("token") != ""
}

// Nothing is deleted when the listing of either side breaks off on a later page, or when an object could not be copied.
func TestSyncDeletesAfterWholeListings(t *testing.T) {
	f, dir := newFaultyWeb(t), t.TempDir()
	f.config(t, dir)
	for i := range 2500 { // three pages
		f.put(t, fmt.Sprintf("k%04d", i), "x")
	}
	if code, _, text := dsrunIn(t, dir, false, "sync", "web:", "out:", "--delete"); code != 0 || !strings.HasPrefix(text, "copied 2500,") {
		t.Fatalf("exit code %d: %s", code, text)
	}
	out := filepath.Join(dir, "out")
	write(t, out, "extra", "x")
	if err := os.Remove(filepath.Join(out, "k2400")); err != nil {
		t.Fatal(err)
	}
	for name, match := range map[string]func(*http.Request) bool{
		"a later page of the source": laterPage,
		"one object":                 func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/k2400") },
	} {
		f.fail(match)
		for _, more := range []string{"--keep-going", "--workers=4"} {
			code, _, text := dsrunIn(t, dir, false, "sync", "web:", "out:", "--delete", more)
			if _, err := os.Stat(filepath.Join(out, "extra")); err != nil || code == 0 {
				t.Fatalf("%s fails, %s: exit code %d, extra object: %v: %s", name, more, code, err, text)
			}
		}
	}
	f.put(t, "z-extra", "x")
	f.fail(laterPage)
	if code, _, text := dsrunIn(t, dir, false, "sync", "out:", "web:", "--delete"); code != 4 || !f.has(t, "z-extra") {
		t.Fatalf("a later page of the target fails: exit code %d: %s", code, text)
	}
	f.fail(func(*http.Request) bool { return false })
	write(t, out, "another", "x")
	code, _, text := dsrunIn(t, dir, false, "sync", "web:", "out:", "--delete")
	if _, err := os.Stat(filepath.Join(out, "another")); code != 0 || err == nil || strings.Contains(text, "deleted 0") {
		t.Errorf("exit code %d, extra object: %v: %s", code, err, text)
	}
}

// A move deletes no source whose copy failed, whose target cannot be looked at, or whose delete is refused, and says so.
func TestMoveOverHTTP(t *testing.T) {
	for name, match := range map[string]func(*http.Request) bool{
		"copy":   func(r *http.Request) bool { return r.Method == "PUT" },
		"look":   func(r *http.Request) bool { return r.Method == "HEAD" && strings.Contains(r.URL.Path, "/to") },
		"delete": func(r *http.Request) bool { return r.Method == "DELETE" },
	} {
		f, dir := newFaultyWeb(t), t.TempDir()
		f.config(t, dir)
		f.put(t, "from/a", "a")
		f.put(t, "from/b", "b")
		f.fail(match)
		code, _, text := dsrunIn(t, dir, false, "mv", "-r", "--keep-going", "web:from/", "web:to/")
		if code != 1 || !f.has(t, "from/a") || !f.has(t, "from/b") || strings.Count(text, "failed: ") != 2 {
			t.Errorf("%s refused: exit code %d: %s", name, code, text)
		}
		f.fail(func(*http.Request) bool { return false })
		code, _, text = dsrunIn(t, dir, false, "mv", "-r", "web:from/", "web:to/", "--overwrite", "if_changed")
		if code != 0 || f.has(t, "from/a") || !f.has(t, "to/a") || !f.has(t, "to/b") {
			t.Errorf("after %s was refused: exit code %d: %s", name, code, text)
		}
	}
}

// No name of an object sends a control character to the terminal.
func TestTransferNames(t *testing.T) {
	f, dir := newFaultyWeb(t), t.TempDir()
	f.config(t, dir)
	evil := "evil\x1b]0;title\a\r\u009b2J"
	f.put(t, evil, "x")
	if _, err := f.m.Begin(t.Context(), evil, store.PutOptions{}, -1); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"sync", "web:", "out:", "--dry-run"}, {"mv", "-r", "web:", "out:", "--dry-run"}, {"uploads", "ls"},
		{"uploads", "abort", "web:", "--older-than", "0s", "--dry-run"}, {"cp", "--resume", "web:" + evil + "2", "out:"},
		{"sync", "web:", "out:", "--keep-going"},
	} {
		if args[len(args)-1] == "--keep-going" {
			f.fail(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/o/") })
		}
		_, stdout, stderr := dsrunIn(t, dir, true, args...)
		for _, text := range []string{stdout, stderr} {
			if strings.ContainsAny(strings.ReplaceAll(text, "\r\x1b[K", ""), "\x1b\a\r\u009b") {
				t.Errorf("%v: %q", args[0], text)
			}
		}
		if !strings.Contains(stdout+stderr, "evil") {
			t.Errorf("%v does not name the object: %q %q", args, stdout, stderr)
		}
	}
}
