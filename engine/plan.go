package engine

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/store"
)

// Plan is what a dry run would have done.
type Plan struct {
	Changes []Change
	Events  []PlannedEvent
}

// Change is one planned change of a datastore.
type Change struct {
	Action string `json:"action"` // create, overwrite, delete or copy
	Store  string `json:"store"`
	Path   string `json:"path"`
	Size   int64  `json:"size"` // bytes; -1 unknown
	From   string `json:"from,omitempty"`
}

// Changes returns the steps of a dry run over s, with paths as s has them.
func Changes(s *store.Store, o *store.OverlayDriver) []Change {
	var out []Change
	for _, c := range o.Plan() {
		op := c.Op
		if op == "copy" && c.Replaces {
			op = "overwrite"
		}
		out = append(out, Change{op, s.Name(), strings.TrimPrefix(c.Key, s.Prefix()), c.Bytes, c.From})
	}
	return out
}

// PlannedEvent is one event that would have been published.
type PlannedEvent struct {
	Topic string
	event.Message
}

// recorder collects the events of a dry run.
type recorder struct {
	mu     sync.Mutex
	events []PlannedEvent
	topics lazy[*event.Topic]
}

// dryTopic opens the topic's driver, so that its limits are checked, and records instead of sending.
func (h *host) dryTopic(ctx context.Context, name string) (*event.Topic, error) {
	return h.recorded.topics.get(ctx, name, func(ctx context.Context) (*event.Topic, error) {
		d, err := h.p.find("topic", name)
		if err != nil {
			return nil, err
		}
		driver, common, err := h.p.openTopic(ctx, d)
		if err != nil {
			return nil, err
		}
		return h.p.newTopic(d, driver, common, h.info.ID, func(m event.Message) {
			h.recorded.mu.Lock()
			defer h.recorded.mu.Unlock()
			h.recorded.events = append(h.recorded.events, PlannedEvent{Topic: name, Message: m})
		}, nil)
	})
}

// close ends what belongs to the run alone and fills the plan.
func (h *host) close(plan *Plan) error {
	var errs []error
	for _, o := range h.overlays.take() {
		if plan != nil {
			plan.Changes = append(plan.Changes, Changes(o.Store, o.overlay)...)
		}
	}
	for _, t := range h.recorded.topics.take() {
		errs = append(errs, t.Close())
	}
	if plan != nil {
		plan.Events = h.recorded.events
	}
	return errors.Join(errs...)
}
