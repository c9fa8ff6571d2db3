package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

func topic(t *testing.T, path string, create bool) *event.Topic {
	t.Helper()
	tp := event.New("events", "file", New(path, create), event.Options{RunID: "r"})
	t.Cleanup(func() { tp.Close() })
	return tp
}

// read returns the events of the file, each of which must be on a line of its own.
func read(t testing.TB, path string) []event.Message {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []event.Message
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("the last line has no end: %q", line)
		}
		m, err := event.Decode(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

func TestPublishAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	tp := topic(t, path, false)
	var ids []string
	for i := range 3 {
		id, err := tp.Publish(t.Context(), event.Event{Type: "x", Site: "s", Data: fmt.Appendf(nil, "{\n \"i\": %d, \"u\": \"\u2028\"}", i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	n := 0
	count, err := tp.PublishAll(t.Context(), func(context.Context) (event.Event, error) {
		if n++; n > 2500 {
			return event.Event{}, io.EOF
		}
		return event.Event{Type: "y", Site: "all"}, nil
	}, nil)
	if count != 2500 || err != nil {
		t.Fatal(count, err)
	}
	got := read(t, path)
	if len(got) != 2503 {
		t.Fatalf("%d events", len(got))
	}
	for i, id := range ids {
		if got[i].ID != id || string(got[i].Data) != fmt.Sprintf(`{"i":%d,"u":"\u2028"}`, i) {
			t.Errorf("event %d: %+v %s", i, got[i], got[i].Data)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "events.jsonl")
	tp := topic(t, path, false)
	_, err := tp.Publish(t.Context(), event.Event{Type: "x"})
	if c := fault.ClassOf(err); c.Code != fault.NotFound || !strings.Contains(c.Hint, "create") {
		t.Fatalf("%v, hint %q", err, c.Hint)
	}
	if err := topic(t, path, true).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a check made the file")
	}
	if _, err := topic(t, path, true).Publish(t.Context(), event.Event{Type: "x"}); err != nil {
		t.Fatal(err)
	}
	if len(read(t, path)) != 1 {
		t.Error("the event is not there")
	}
}
