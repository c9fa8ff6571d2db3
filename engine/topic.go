package engine

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// newTopic puts the portable layers around a driver: the check of data, the outbox and the dead letters of the
// declaration. With a record function nothing is sent.
func (p *Project) newTopic(d *config.Decl, driver event.Driver, c schema.Common, runID string, record func(event.Message), w watch) (*event.Topic, error) {
	o := event.Options{Source: c.Source, RunID: runID, Description: c.Description, Retry: p.e.o.Retry, Clock: p.e.o.Clock,
		Redactor: p.e.o.Redactor, DryRun: record, Log: p.e.o.Log}
	if t := w.telemetry; t != nil {
		o.Batch = func(ctx context.Context, n int) (context.Context, func(error)) {
			return t.Batch(ctx, d.Name, d.Type, n)
		}
	}
	o.Accepted = func(e event.Message) {
		p.events.Add(1)
		if w.manifest != nil {
			w.manifest.accepted(d.Name, e)
		}
	}
	if c.MaxAttempts > 0 {
		o.Retry.MaxAttempts = int(c.MaxAttempts)
	}
	err := func() (err error) {
		if c.Schema != "" {
			if o.Check, err = event.Schema([]byte(c.Schema)); err != nil {
				return err
			}
		}
		if record != nil {
			return nil
		}
		if c.Durable {
			s, err := p.State()
			if err != nil {
				return fmt.Errorf("durable: %w", err)
			}
			o.Outbox = s.Sub(d.Kind + "." + d.Name).Sub("outbox").Spool()
		}
		if !c.DeadLetter.IsZero() {
			o.DeadLetter = func(ctx context.Context, l event.Letter) error { return p.putLetter(ctx, c.DeadLetter.Name, l) }
		}
		return nil
	}()
	if err != nil {
		return nil, p.opened(d, errorsJoinClose(err, driver))
	}
	return event.New(d.Name, d.Type, driver, o), nil
}

// errorsJoinClose closes what cannot be used and returns err.
func errorsJoinClose(err error, driver event.Driver) error {
	_ = driver.Close() // nothing was sent
	return err
}

// letterKey is where a dead letter lies: one object an event, so that a second refusal of the same event replaces the
// first.
func letterKey(topic, id string) string { return topic + "/" + url.PathEscape(id) + ".json" }

func (p *Project) putLetter(ctx context.Context, storeName string, l event.Letter) error {
	s, err := p.Store(ctx, storeName)
	if err != nil {
		return err
	}
	text, err := l.Encode()
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, letterKey(l.Topic, l.Message.ID), store.BytesBody(append(text, '\n')),
		store.WriteOptions{Overwrite: true, Attrs: store.Attributes{ContentType: "application/json"}})
	return err
}

// maxLetter bounds one dead letter, in bytes.
const maxLetter = 64 << 20

// DeadLetters hands out the dead letters of a topic in the order of their keys. A letter for which fn returns true is
// removed. It returns how many there were.
func (p *Project) DeadLetters(ctx context.Context, topic string, fn func(event.Letter) (done bool, _ error)) (n int, err error) {
	d, err := p.find(provider.KindTopic, topic)
	if err != nil {
		return 0, err
	}
	if d.Common.DeadLetter.IsZero() {
		return 0, &fault.Error{Op: "replay", Resource: topic, Class: fault.Class{Code: fault.FailedPrecondition,
			Hint: "Give the topic a place for them: dead_letter = datastore.KIND.NAME"}, Err: fmt.Errorf("the topic has no dead letters")}
	}
	s, err := p.Store(ctx, d.Common.DeadLetter.Name)
	if err != nil {
		return 0, err
	}
	l := s.List(ctx, store.ListOptions{Prefix: topic + "/"})
	defer l.Close()
	err = l.Each(ctx, func(e store.Entry) error {
		if !strings.HasSuffix(e.Key, ".json") {
			return nil
		}
		text, entry, err := s.ReadAll(ctx, e.Key, maxLetter)
		if err != nil {
			return err
		}
		letter, err := event.DecodeLetter(text)
		if err != nil {
			return &fault.Error{Op: "replay", Resource: s.Name(), Key: e.Key, Class: fault.Class{Code: fault.DataLoss}, Err: err}
		}
		n++
		done, err := fn(letter)
		if err == nil && done {
			err = s.DeletePinned(ctx, entry)
		}
		return err
	})
	return n, err
}

// Durable returns the names of the topics that keep events in an outbox, in the order of declaration.
func (p *Project) Durable() []string {
	var out []string
	for _, d := range p.cfg.Decls {
		if d.Kind == provider.KindTopic && d.Common.Durable {
			out = append(out, d.Name)
		}
	}
	return out
}

// flushOutboxes sends what earlier runs left, before a script starts. A bus that still cannot be reached is no reason not
// to run; the topic logs what happened.
func (p *Project) flushOutboxes(ctx context.Context, runID string, w watch) error {
	for _, name := range p.Durable() {
		s, err := p.State()
		if err != nil {
			return nil // who publishes will hear of it
		}
		spool := s.Sub(provider.KindTopic + "." + name).Sub("outbox").Spool()
		n, err := spool.Waiting(ctx)
		if err == nil && n == 0 {
			continue
		}
		t, err := p.topic(ctx, name, runID, w)
		if err == nil {
			_, err = t.Flush(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			p.e.o.Log.Warn("events of an earlier run stay in the outbox", "topic", name, "error", p.e.o.Redactor.Redact(err.Error()))
		}
	}
	return nil
}
