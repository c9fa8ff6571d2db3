package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/store"
)

// Plan is what a dry run would have done.
type Plan struct {
	Changes []Change // as they were made, one after another
	Events  []PlannedEvent
	// Keep asks for Steps: what Apply needs, with the content that the script made.
	Keep  bool
	Steps []Step

	stores map[string]storeID
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

func (r *recorder) add(topic string, m event.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, PlannedEvent{Topic: topic, Message: m})
}

// taken returns what was recorded so far, in order.
func (r *recorder) taken() []PlannedEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
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
		return h.p.newTopic(d, driver, common, h.info.ID, func(m event.Message) { h.recorded.add(name, m) }, nil)
	})
}

// close ends what belongs to the run alone and fills the plan.
func (h *host) close(ctx context.Context, plan *Plan) error {
	var errs []error
	overlays := h.overlays.take()
	slices.SortFunc(overlays, func(a, b *overlaid) int { return strings.Compare(a.Name(), b.Name()) })
	for _, o := range overlays {
		if plan != nil {
			plan.Changes = append(plan.Changes, Changes(o.Store, o.overlay)...)
		}
	}
	if plan != nil && plan.Keep {
		var err error
		plan.Steps, err = h.steps(ctx, overlays)
		errs = append(errs, err)
		plan.stores = map[string]storeID{}
		for _, o := range overlays {
			plan.stores[o.Name()] = identify(o.Store)
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
