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
	Changes []Change       // as they were made, one after another
	Events  []PlannedEvent // the first thousand; EachEvent hands out all
	// Keep asks for Steps: what Apply needs, with the content that the script made.
	Keep  bool
	Steps []Step

	stores map[string]storeID
	rest   *planned
}

// NumEvents is how many events would have been published.
func (p *Plan) NumEvents() int {
	if p.rest == nil {
		return len(p.Events)
	}
	return p.rest.n
}

// EachEvent hands out all events that would have been published, in order.
func (p *Plan) EachEvent(fn func(PlannedEvent) error) error {
	for _, e := range p.Events {
		if err := fn(e); err != nil {
			return err
		}
	}
	if p.rest == nil {
		return nil
	}
	return p.rest.each(fn)
}

// Close frees the private file that holds more events than memory is to hold.
func (p *Plan) Close() error {
	if p.rest == nil || p.rest.file == nil {
		return nil
	}
	err := p.rest.file.Close()
	p.rest = nil
	return err
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
	events planned
	topics lazy[*event.Topic]
}

// add keeps an event. spill makes a file for those that are too many for memory; nil keeps all in memory.
func (r *recorder) add(topic string, m event.Message, spill func() (store.SpillFile, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events.add(PlannedEvent{Topic: topic, Message: m}, spill)
}

// taken returns what was recorded in memory so far, in order.
func (r *recorder) taken() []PlannedEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events.first)
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
		return h.p.newTopic(d, driver, common, h.info.ID, func(m event.Message) { h.recorded.add(name, m, h.p.spill) }, h.watch)
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
	if h.recorded.events.n > 0 {
		errs = append(errs, h.recorded.events.end())
	}
	if plan != nil {
		plan.Events, plan.rest = h.recorded.events.first, &h.recorded.events
	} else if f := h.recorded.events.file; f != nil {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
