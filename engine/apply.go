package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
)

// applyWorkers is how many objects are looked at, copied or deleted at once.
const applyWorkers = 16

// Applying is one execution of a plan.
type Applying struct {
	// Beside opens content that does not stand in the plan, by its name.
	Beside func(name string) ([]byte, error)
	// Check looks whether the plan can be carried out and does nothing.
	Check bool
	// Done is told of each step or event that was carried out, one call at a time; nil: nobody is.
	Done func(s *Step, e *PlannedEvent) error

	p       *Project
	f       *PlanFile
	journal *state.Journal
	mu      sync.Mutex
	records map[int]doneRecord // by step, of this and earlier executions
	sent    []bool             // by event: it was published
}

// Applied counts what Apply did.
type Applied struct {
	Steps, Events               int // carried out by this execution
	EarlierSteps, EarlierEvents int // carried out by an earlier one
	Bytes                       int64
}

// Changed is one difference between what a plan was made for and what is there.
type Changed struct {
	Step   int    `json:"step"` // from 1; 0 of a datastore
	What   string `json:"what"` // target, source or datastore
	Store  string `json:"store"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

// ChangedError is the refusal of a plan whose ground has changed. Nothing was done, unless an earlier execution of the same
// plan had done a part.
type ChangedError struct{ Changed []Changed }

func (e *ChangedError) Error() string {
	if len(e.Changed) == 1 {
		return "one thing has changed since the plan was made"
	}
	return fmt.Sprintf("%d things have changed since the plan was made", len(e.Changed))
}

// Apply carries out a plan. Before the first change it looks at every target and source; when one is not in the state that
// the plan is pinned to, it does nothing and returns a *ChangedError. Each change is made under the condition that its target is still
// so, where the datastore can do that in one step, else right after another look.
//
// What was carried out is recorded in the project's state, durably, so that another execution of the same plan goes on
// where one was ended. A step that was carried out and not yet recorded is known by its content. Events are published
// after all steps; one that was accepted and not yet recorded is published again, under the same id.
func (p *Project) Apply(ctx context.Context, f *PlanFile, a *Applying) (Applied, error) {
	a.p, a.f = p, f
	a.records, a.sent = map[int]doneRecord{}, make([]bool, len(f.Events))
	var out Applied
	s, err := p.State()
	if err != nil {
		return out, err
	}
	if a.journal, err = s.Sub("plans").OpenJournal(ctx, f.id); err != nil {
		if fault.Is(err, fault.FailedPrecondition) {
			err = fault.Hinted(fault.FailedPrecondition, "Wait for it to end.", "another process carries out the same plan")
		}
		return out, err
	}
	defer a.journal.Close()
	if err := a.recall(); err != nil {
		return out, err
	}
	if err := a.look(ctx); err != nil {
		return out, err
	}
	out.EarlierSteps = len(a.records)
	for i := range a.sent {
		if a.sent[i] {
			out.EarlierEvents++
		}
	}
	if a.Check {
		return out, nil
	}
	for i := 0; i < len(f.Steps); {
		j := a.together(i)
		err := a.each(ctx, i, j, func(ctx context.Context, i int) error {
			if _, done := a.recorded(i); done {
				return nil
			}
			s := &f.Steps[i]
			e, err := a.step(ctx, s)
			if err != nil {
				return err
			}
			if err := a.record(i, e); err != nil {
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			out.Steps++
			if s.Action != "delete" {
				out.Bytes += max(0, s.Size)
			}
			if a.Done != nil {
				return a.Done(s, nil)
			}
			return nil
		})
		if err != nil {
			return out, err
		}
		i = j
	}
	if err := a.publish(ctx, &out); err != nil {
		return out, err
	}
	return out, a.compact()
}

// together returns the end of the steps from i on that need no order among them: copies, or deletions, none of which reads
// what another one changes.
func (a *Applying) together(i int) int {
	steps := a.f.Steps
	if steps[i].Action != "copy" && steps[i].Action != "delete" {
		return i + 1
	}
	read := map[place]bool{}
	j := i
	for ; j < len(steps) && steps[j].Action == steps[i].Action && j-i < 1000; j++ {
		if read[place{steps[j].Store, steps[j].Path}] {
			break
		}
		if s := steps[j].From; s != nil {
			read[place{s.Store, s.Path}] = true
		}
	}
	return j
}

func (a *Applying) each(ctx context.Context, from, to int, fn func(context.Context, int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(applyWorkers)
	for i := from; i < to && gctx.Err() == nil; i++ {
		g.Go(func() error { return fn(gctx, i) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// doneRecord is what the journal keeps of a step.
type doneRecord struct {
	State *State `json:"state,omitempty"` // of the target; nil: it was deleted
}

// wholeName is the record of a plan that was carried out to its end, in place of those of its steps and events.
const wholeName = "whole"

func stepName(i int) string  { return fmt.Sprintf("step-%d", i) }
func eventName(i int) string { return fmt.Sprintf("event-%d", i) }

// recall reads the records of earlier executions.
func (a *Applying) recall() error {
	read := func(name string, v any) (bool, error) {
		b, err := a.journal.Get(name)
		if b == nil || err != nil {
			return false, err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return false, fault.New(fault.DataLoss, "the record %s of the plan: %w", name, err)
		}
		return true, nil
	}
	var all []doneRecord
	whole, err := read(wholeName, &all)
	if err != nil {
		return err
	}
	for i := range a.f.Steps {
		if whole && i < len(all) {
			a.records[i] = all[i]
			continue
		}
		var r doneRecord
		if ok, err := read(stepName(i), &r); err != nil {
			return err
		} else if ok {
			a.records[i] = r
		}
	}
	for i := range a.sent {
		if a.sent[i], err = read(eventName(i), &struct{}{}); err != nil {
			return err
		}
		a.sent[i] = a.sent[i] || whole
	}
	return nil
}

func (a *Applying) recorded(i int) (doneRecord, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.records[i]
	return r, ok
}

func (a *Applying) record(i int, e *store.Entry) error {
	var r doneRecord
	if e != nil {
		st := stateOf(*e)
		r.State = &st
	}
	b, err := json.Marshal(r)
	if err == nil && !a.Check {
		err = a.journal.Put(stepName(i), b)
	}
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.records[i] = r
	}
	return err
}

// compact makes one record of all, once nothing is left to do.
func (a *Applying) compact() error {
	all := make([]doneRecord, len(a.f.Steps))
	for i := range all {
		all[i] = a.records[i]
	}
	b, err := json.Marshal(all)
	if err == nil {
		err = a.journal.Put(wholeName, b)
	}
	names, nerr := a.journal.Names()
	if err = errors.Join(err, nerr); err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "step-") || strings.HasPrefix(name, "event-") {
			if err := a.journal.Delete(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// step carries out one step and returns the new state of its target.
func (a *Applying) step(ctx context.Context, s *Step) (*store.Entry, error) {
	dst, err := a.p.Store(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	if s.Action == "delete" {
		return nil, dst.DeletePinned(ctx, s.Target.entry(s.Path))
	}
	if s.Target != nil && !(s.Content != nil && dst.Caps().IfMatch && s.Target.ETag != "") {
		now, err := dst.Stat(ctx, s.Path, store.Cond{})
		if err != nil {
			return nil, err
		}
		if same, _ := store.SameState(s.Target.entry(s.Path), now); !same {
			return nil, &fault.Error{Op: "apply", Resource: s.Store, Key: s.Path, Class: fault.Class{Code: fault.FailedPrecondition}, Err: errors.New("the object has just changed")}
		}
	}
	var e store.Entry
	if s.From != nil {
		src, err := a.p.Store(ctx, s.From.Store)
		if err != nil {
			return nil, err
		}
		e, err = store.CopyObject(ctx, src, s.From.State.entry(s.From.Path), dst, s.Path, s.Target != nil)
		if err != nil {
			return nil, err
		}
	} else {
		data, err := a.content(s)
		if err != nil {
			return nil, err
		}
		o := store.WriteOptions{Attrs: s.Attrs.store(), Overwrite: s.Target != nil}
		if s.Target != nil && dst.Caps().IfMatch && s.Target.ETag != "" {
			o.Overwrite, o.IfMatch = false, s.Target.ETag
		}
		if e, err = dst.Put(ctx, s.Path, store.BytesBody(data), o); err != nil {
			return nil, err
		}
	}
	if e.ETag == "" && e.Version == "" {
		if e, err = dst.Stat(ctx, s.Path, store.Cond{}); err != nil {
			return nil, err
		}
	}
	return &e, nil
}

// content returns what a step writes, checked against its checksum.
func (a *Applying) content(s *Step) ([]byte, error) {
	data := []byte(s.Content.Text)
	if s.Content.Beside {
		var err error
		if data, err = a.Beside(s.Content.SHA256); err != nil {
			return nil, err
		}
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != s.Content.SHA256 {
		return nil, fault.New(fault.DataLoss, "the plan's content of %s:%s is not what its checksum says", s.Store, s.Path)
	}
	return data, nil
}

// publish sends the events that were not sent yet.
func (a *Applying) publish(ctx context.Context, out *Applied) error {
	for i, fe := range a.f.Events {
		if a.sent[i] {
			continue
		}
		m, err := event.Decode(fe.Event)
		if err != nil {
			return err
		}
		t, err := a.p.Topic(ctx, fe.Topic)
		if err != nil {
			return err
		}
		if _, err := t.Publish(ctx, event.Event{ID: m.ID, Type: m.Type, Subject: m.Subject, Time: m.Time, Data: m.Data, Attributes: m.Attributes}); err != nil {
			return err
		}
		if err := a.journal.Put(eventName(i), []byte("{}")); err != nil {
			return err
		}
		out.Events++
		if a.Done != nil {
			if err := a.Done(nil, &PlannedEvent{Topic: fe.Topic, Message: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

// equalBytes reports whether a reader gives exactly what another gives, or what has a checksum.
func equalBytes(r io.Reader, want io.Reader) (bool, error) {
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, a)
		m, werr := io.ReadFull(want, b)
		if e := firstOther(err, werr); e != nil {
			return false, e
		}
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if err != nil && werr != nil {
			return true, nil
		}
	}
}

// firstOther returns the first error that is not an end.
func firstOther(errs ...error) error {
	for _, err := range errs {
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
	}
	return nil
}
