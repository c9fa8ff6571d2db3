package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
)

func TestTopic(t *testing.T) {
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB) event.Driver { return New(filepath.Join(t.TempDir(), "events.jsonl"), false) },
		Received: func(t testing.TB, d event.Driver) []event.Message {
			path := filepath.Join(d.(*Topic).dir, d.(*Topic).name)
			if _, err := os.Stat(path); os.IsNotExist(err) {
				return nil
			}
			return read(t, path)
		},
		Missing: func(t testing.TB) event.Driver { return New(filepath.Join(t.TempDir(), "no", "events.jsonl"), false) },
	})
}
