package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/state"
)

// Options say how a Topic treats its driver. The zero value works.
type Options struct {
	Source      string // the CloudEvents source; "" means "dsrun/" and the topic's name
	RunID       string // ids are made from it; "" means a random one
	Description string
	Retry       retry.Policy
	Clock       clock.Clock
	Redactor    *secret.Redactor
	DryRun      func(Message) // records instead of sending, when set; called from many goroutines
	// Accepted is told of each event that the bus, or the outbox of the topic, has taken; it is called from many goroutines.
	Accepted func(Message)
	// Batch is told of each batch of n events that is sent, tries and all; end is called with the first error of its events.
	Batch func(ctx context.Context, n int) (_ context.Context, end func(error))
	// Check refuses data that is not as the topic promises; nil allows all.
	Check func(data []byte) error
	// Outbox keeps events until the bus has taken them, when set. The topic owns it.
	Outbox *state.Spool
	// DeadLetter stores an event that the bus refused for good; it is then no error.
	DeadLetter func(context.Context, Letter) error
	Log        *slog.Logger // nil: nothing is said of events that are kept or refused
}

// Event is what a caller publishes. Empty fields are filled in.
type Event struct {
	ID         string // used as given; "" means one made from the run, the topic and the place
	Type       string
	Subject    string
	Time       time.Time // zero means now
	Data       []byte    // JSON; nil means {}
	Attributes map[string]string
	// Site is where the event is published, for its id: "file.star:12:7" and the indices of the enclosing parallel
	// items. Events of one site are numbered in the order of publishing.
	Site    string
	Indices []int
}

// Topic is an open event topic. It is safe for concurrent use.
type Topic struct {
	name, kind string
	d          Driver
	o          Options
	ids        *ids
	retrier    *retry.Retrier
	box        *outbox // nil unless the topic is durable
	dead       atomic.Int64

	checked  atomic.Bool
	checking chan struct{} // holds one token while the bus is being checked
	ordered  chan struct{} // holds one token while a batch of an ordered bus is under way

	mu     sync.Mutex
	closed bool
	under  sync.WaitGroup // calls under way
}

// retries is how many retries all events of a topic have together before successes earn more.
const retries = 100

// New returns the topic of a driver. It owns the driver: Close closes it.
func New(name, kind string, d Driver, o Options) *Topic {
	if o.Source == "" {
		o.Source = "dsrun/" + name
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	return &Topic{name: name, kind: kind, d: d, o: o, ids: newIDs(o.RunID, name),
		retrier: &retry.Retrier{Policy: o.Retry, Clock: o.Clock, Budget: retry.NewBudget(retries)},
		box:     newOutbox(o.Outbox), checking: make(chan struct{}, 1), ordered: make(chan struct{}, 1)}
}

// Name returns the declared name.
func (t *Topic) Name() string { return t.name }

// Kind returns the label of the kind, such as "file".
func (t *Topic) Kind() string { return t.kind }

// Description returns what the declaration says of the topic.
func (t *Topic) Description() string { return t.o.Description }

// Driver returns the driver, for kinds that can do more than publish.
func (t *Topic) Driver() Driver { return t.d }

// Publish sends one event and returns its id once the bus has accepted it, or once the outbox or the dead letters of the
// topic hold it. An event that fails may have been accepted all the same when the connection was lost; publishing it
// again under the same id lets receivers drop the repeat.
func (t *Topic) Publish(ctx context.Context, e Event) (string, error) {
	if err := t.enter("publish"); err != nil {
		return "", err
	}
	defer t.under.Done()
	limits, err := t.limits()
	if err != nil {
		return "", t.fail(ctx, "publish", err)
	}
	m, size, err := t.message(e, limits)
	if err != nil {
		if err = t.unfit(ctx, m, err); err == nil {
			return m.ID, nil
		}
		return "", t.fail(ctx, "publish", err)
	}
	if t.o.DryRun != nil {
		t.o.DryRun(m)
		return m.ID, nil
	}
	if err := t.ready(ctx); err != nil && !t.kept(ctx, err) {
		return "", t.fail(ctx, "publish", err)
	}
	if limits, _, err = t.refit(m, size, limits); err != nil {
		if err = t.unfit(ctx, m, err); err == nil {
			return m.ID, nil
		}
		return "", t.fail(ctx, "publish", err)
	}
	if err := t.send(ctx, []Message{m}, limits)[0]; err != nil {
		if t.final(ctx, err) {
			err = t.deadLetter(ctx, m, err)
		}
		if err != nil {
			return "", t.fail(ctx, "publish", err)
		}
	}
	return m.ID, nil
}

// kept reports whether an error of ready is no reason to stop: the events of a durable topic wait for the bus.
func (t *Topic) kept(ctx context.Context, err error) bool { return t.box != nil && t.outage(ctx, err) }

// DeadLetters is how many events were stored as dead letters so far.
func (t *Topic) DeadLetters() int { return int(t.dead.Load()) }

// Check proves that the bus exists.
func (t *Topic) Check(ctx context.Context) error {
	if err := t.enter("check"); err != nil {
		return err
	}
	defer t.under.Done()
	t.checked.Store(false)
	if err := t.ready(ctx); err != nil {
		return t.fail(ctx, "check", err)
	}
	return nil
}

// Close waits for what is under way and frees the driver. Publishing after it is an error; closing again is none.
func (t *Topic) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.under.Wait()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	t.under.Wait()
	err := contain(t.d.Close)
	if t.box != nil {
		if n := t.box.kept.Load(); n > 0 && t.o.Log != nil {
			t.o.Log.Warn("events wait in the outbox; the next run or `dsrun events flush` sends them", "topic", t.name, "events", n)
		}
		if berr := t.box.spool.Close(); err == nil {
			err = berr
		}
	}
	if err != nil {
		return t.fail(context.Background(), "close", err)
	}
	return nil
}

// enter counts a call in, unless the topic is closed.
func (t *Topic) enter(op string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return &fault.Error{Op: op, Resource: t.name, Class: fault.Class{Code: fault.FailedPrecondition}, Err: fmt.Errorf("the topic is closed")}
	}
	t.under.Add(1)
	return nil
}

// ready asks the driver once whether the bus exists. A failure is not remembered: the next event asks again.
func (t *Topic) ready(ctx context.Context) error {
	if t.checked.Load() {
		return nil
	}
	select {
	case t.checking <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-t.checking }()
	if t.checked.Load() {
		return nil
	}
	err := t.retrier.Do(ctx, t.classify, true, func(ctx context.Context, _ int) error {
		return contain(func() error { return t.d.Check(ctx) })
	})
	if err == nil {
		t.checked.Store(true)
	}
	return err
}

// message fills an event in, refuses what the bus would refuse, and returns what the bus counts for it.
func (t *Topic) message(e Event, limits Limits) (m Message, size int64, _ error) {
	m = Message{ID: e.ID, Type: e.Type, Source: t.o.Source, Subject: e.Subject, Time: e.Time.UTC(),
		DataContentType: "application/json", Data: e.Data, Attributes: maps.Clone(e.Attributes)}
	if e.Time.IsZero() {
		m.Time = t.o.Clock.Now().UTC()
	}
	if m.Data == nil {
		m.Data = []byte("{}")
	}
	if m.ID == "" {
		m.ID = t.ids.make(e.Site, e.Indices)
	}
	if err := Validate(m); err != nil {
		return m, 0, err
	}
	if t.o.Check != nil {
		if err := t.o.Check(m.Data); err != nil {
			return m, 0, err
		}
	}
	size, err := t.fits(m, limits)
	if err != nil {
		err = &unfitError{err}
	}
	return m, size, err
}

// refit holds a message against the limits once more when the bus was checked: it may have told bounds of its own.
func (t *Topic) refit(m Message, size int64, old Limits) (now Limits, _ int64, err error) {
	if now, err = t.limits(); err != nil {
		return now, 0, err
	}
	if now.MessageBytes == old.MessageBytes && now.BatchBytes == old.BatchBytes {
		return now, size, nil
	}
	if size, err = t.fits(m, now); err != nil {
		err = &unfitError{err}
	}
	return now, size, err
}

// unfitError is that of a valid event that the bus would refuse for good, as its limits say.
type unfitError struct{ error }

// unfit handles an error of message: an event that the bus would refuse is stored as a dead letter where the topic has
// them; all else is the caller's mistake.
func (t *Topic) unfit(ctx context.Context, m Message, err error) error {
	u, ok := err.(*unfitError)
	if !ok {
		return err
	}
	if t.o.DryRun != nil {
		return u.error
	}
	return t.deadLetter(ctx, m, u.error)
}

// fits refuses what the bus would refuse, and returns what the bus counts for the message.
func (t *Topic) fits(m Message, limits Limits) (size int64, _ error) {
	err := contain(func() error {
		if limits.Valid != nil {
			if err := limits.Valid(m); err != nil {
				var classed *fault.Error
				if errors.As(err, &classed) {
					return err
				}
				return fault.New(fault.InvalidArgument, "%w", err)
			}
		}
		most := limits.MessageBytes
		if limits.BatchBytes > 0 && (most == 0 || limits.BatchBytes < most) {
			most = limits.BatchBytes
		}
		if size = limits.size(m); most > 0 && size > most {
			return fault.Hinted(fault.InvalidArgument, "Put the data into a datastore and publish its place instead.",
				"the event has %d bytes and the bus takes at most %d", size, most)
		}
		return nil
	})
	return size, err
}

// size is what the bus counts for a message.
func (l Limits) size(m Message) int64 {
	if l.Size != nil {
		return l.Size(m)
	}
	return Size(m)
}
