package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/store"
)

// TestPlannedEvents: a plan hands out all events in order, of which memory holds the first thousand.
func TestPlannedEvents(t *testing.T) {
	spills := 0
	spill := func() (store.SpillFile, error) {
		spills++
		return os.Create(filepath.Join(t.TempDir(), "spill"))
	}
	at := time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)
	var p planned
	const n = 2 * firstEvents
	for i := range n {
		p.add(PlannedEvent{"t", event.Message{ID: fmt.Sprint(i), Type: "x", Source: "s", Time: at, Data: fmt.Appendf(nil, `{"n":%d}`, i), OrderingKey: "k"}}, spill)
	}
	if err := p.end(); err != nil || spills != 1 {
		t.Fatal(err, spills)
	}
	plan := &Plan{Events: p.first, rest: &p}
	seen := 0
	if err := plan.EachEvent(func(e PlannedEvent) error {
		if e.Topic != "t" || e.ID != fmt.Sprint(seen) || string(e.Data) != fmt.Sprintf(`{"n":%d}`, seen) || e.OrderingKey != "k" || !e.Time.Equal(at) {
			t.Fatalf("event %d: %+v", seen, e)
		}
		seen++
		return nil
	}); err != nil || seen != n || plan.NumEvents() != n || len(plan.Events) != firstEvents {
		t.Errorf("%d of %d events, %v", seen, plan.NumEvents(), err)
	}
	stop := errors.New("stop")
	if err := plan.EachEvent(func(e PlannedEvent) error {
		if e.ID == fmt.Sprint(firstEvents+1) {
			return stop
		}
		return nil
	}); err != stop {
		t.Error(err)
	}
	if err := errors.Join(plan.Close(), plan.Close()); err != nil {
		t.Error(err)
	}
	if spills != 1 {
		t.Errorf("%d files", spills)
	}
	// Without a place for the rest a dry run fails; it does not pretend to have shown everything.
	var q planned
	for range firstEvents + 2 {
		q.add(PlannedEvent{"t", event.Message{ID: "i", Type: "x", Source: "s"}}, func() (store.SpillFile, error) { return nil, stop })
	}
	if err := q.end(); err != stop {
		t.Error(err)
	}
}
