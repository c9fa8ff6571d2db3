package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
)

// An unfinished last line of ours is removed; whatever else stands at the end stays and gets its line end.
func TestTornLine(t *testing.T) {
	whole := `{"specversion":"1.0","id":"old","source":"s","type":"t"}`
	huge := `{"specversion":"1.0","id":"` + strings.Repeat("x", 100_000)
	for name, c := range map[string]struct{ before, kept string }{
		"empty":          {"", ""},
		"whole":          {whole + "\n", whole + "\n"},
		"half a line":    {whole + "\n" + `{"specversion":"1.0","id":"new","sou`, whole + "\n"},
		"first bytes":    {whole + "\n" + `{"spec`, whole + "\n"},
		"only half":      {`{"specversion":"1.0","id":"new`, ""},
		"long":           {whole + "\n" + huge, whole + "\n"},
		"zeros":          {whole + "\n\x00\x00\x00", whole + "\n"},
		"end missing":    {whole, whole + "\n"},
		"somebody's":     {"notes of somebody", "notes of somebody\n"},
		"somebody's two": {"a\n" + `{"specversion":"0.3"`, "a\n" + `{"specversion":"0.3"` + "\n"},
		"blank":          {"\n\n", "\n\n"},
	} {
		path := filepath.Join(t.TempDir(), "e")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := topic(t, path, false).Publish(t.Context(), event.Event{ID: "n", Type: "t"}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, _ := os.ReadFile(path)
		kept, added := string(b), ""
		if i := strings.LastIndex(strings.TrimSuffix(kept, "\n"), "\n"); true {
			kept, added = kept[:i+1], kept[i+1:]
		}
		if kept != c.kept || !strings.Contains(added, `"id":"n"`) || !strings.HasSuffix(added, "}\n") {
			t.Errorf("%s: %q remains, %q was added", name, kept, added)
		}
	}
}

func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "folder"), 0o700), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.WriteFile(outside, nil, 0o600), os.Symlink(outside, filepath.Join(dir, "link")), os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "folder"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "plain", "x"), "/dev/null", ""} {
		done := make(chan error, 1)
		go func() {
			_, err := topic(t, path, true).Publish(t.Context(), event.Event{Type: "t"})
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%q takes events", path)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%q: still waiting", path)
		}
	}
	if b, _ := os.ReadFile(outside); len(b) != 0 {
		t.Error("a link was followed out of the folder")
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e")
	tp := topic(t, path, false)
	for i := range 3 {
		if _, err := tp.Publish(t.Context(), event.Event{ID: fmt.Sprint(i), Type: "t"}); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, fmt.Sprint(path, ".", i)); err != nil {
			t.Fatal(err)
		}
	}
	// Renamed while a writer waits for the lock: the event goes to the new file.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := state.LockFile(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tp.Publish(ctx, event.Event{Type: "t"}); !fault.Is(err, fault.DeadlineExceeded) {
		t.Errorf("waiting for the lock: %v", err)
	}
	done := make(chan error, 1)
	go func() { _, err := tp.Publish(t.Context(), event.Event{ID: "late", Type: "t"}); done <- err }()
	time.Sleep(50 * time.Millisecond)
	if err := errors.Join(os.Rename(path, path+".old"), f.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); len(got) != 1 || got[0].ID != "late" {
		t.Errorf("%v", got)
	}
	if b, _ := os.ReadFile(path + ".old"); len(b) != 0 {
		t.Errorf("the rotated file got %q", b)
	}
}
