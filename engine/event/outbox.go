package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
)

// outbox keeps the events of a durable topic until the bus has taken them.
//
// An event is in the spool before it is sent and leaves it after the bus has accepted or refused it for good. So a process
// that dies at any point loses none that Publish returned for, and may send one twice, under the same id. What stays is
// sent when the bus is back: by this process before its next event, by the next run that opens the topic, or by Flush.
type outbox struct {
	spool *state.Spool
	// gate lets sends run together and a drain alone: what a drain finds in the spool nobody else is sending.
	gate    *semaphore.Weighted
	drained atomic.Bool  // nothing older waits that was not tried: of earlier processes, or of an outage in this one
	kept    atomic.Int64 // events of this process that stay in the spool
	hold    atomic.Int64 // until when nothing is sent, Unix nanoseconds
}

const (
	gateSize = 1 << 20
	// holdTime is how long a bus that failed for every try is left alone: events go to the spool only.
	holdTime = 30 * time.Second
)

// spooled is the record of one event.
type spooled struct {
	Event       json.RawMessage `json:"event"` // structured CloudEvents
	OrderingKey string          `json:"ordering_key,omitempty"`
}

func newOutbox(s *state.Spool) *outbox {
	if s == nil {
		return nil
	}
	return &outbox{spool: s, gate: semaphore.NewWeighted(gateSize)}
}

func (b *outbox) put(batch []Message) ([]uint64, error) {
	list := make([][]byte, len(batch))
	for i, m := range batch {
		text, err := Encode(m)
		if err != nil {
			return nil, err
		}
		if list[i], err = json.Marshal(spooled{text, m.OrderingKey}); err != nil {
			return nil, err
		}
	}
	return b.spool.Append(list)
}

func unspool(b []byte) (Message, error) {
	var s spooled
	if err := json.Unmarshal(b, &s); err != nil {
		return Message{}, err
	}
	m, err := Decode(s.Event)
	m.OrderingKey = s.OrderingKey
	return m, err
}

// sendKept sends a batch that is in the spool first. An event that cannot be sent now is no error: it is kept.
func (t *Topic) sendKept(ctx context.Context, batch []Message, limits Limits) []error {
	b := t.box
	errs := make([]error, len(batch))
	all := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if !b.drained.Load() && !t.held() { // what is older goes first
		if err := t.drain(ctx, limits); err != nil && ctx.Err() != nil {
			return all(err)
		}
	}
	if err := b.gate.Acquire(ctx, 1); err != nil {
		return all(context.Cause(ctx))
	}
	defer b.gate.Release(1)
	seqs, err := b.put(batch)
	if err != nil {
		return all(fault.Hinted(fault.ClassOf(err).Code, "The outbox is in the state folder (settings { state_dir = ... }).", "the event cannot be kept: %w", err))
	}
	if t.held() {
		t.keep(len(batch), nil)
		return errs
	}
	if err := t.ready(ctx); err != nil {
		if t.outage(ctx, err) {
			t.keep(len(batch), err)
			return errs
		}
		return all(err) // and the events stay for a run with better luck
	}
	errs = t.sendNow(ctx, batch, limits)
	var done []uint64
	for i, err := range errs {
		switch {
		case err == nil || t.final(ctx, err):
			done = append(done, seqs[i])
		case t.outage(ctx, err):
			t.keep(1, err)
			errs[i] = nil
		default:
			b.kept.Add(1)
		}
	}
	if err := b.spool.Remove(done); err != nil && t.o.Log != nil { // they will be sent again, under the same ids
		t.o.Log.Warn("events that were sent stay in the outbox", "topic", t.name, "error", t.o.Redactor.Redact(err.Error()))
	}
	return errs
}

// outage reports whether an error says that the bus cannot be reached now, and nothing of the event.
func (t *Topic) outage(ctx context.Context, err error) bool {
	return ctx.Err() == nil && t.classOf(err).Retryable()
}

// final reports whether an error says that the bus will never take this event.
func (t *Topic) final(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch c := t.classOf(err); c.Code {
	case fault.InvalidArgument, fault.Limit, fault.AlreadyExists, fault.Unimplemented, fault.DataLoss:
		return true
	}
	return false
}

func (t *Topic) held() bool { return t.o.Clock.Now().UnixNano() < t.box.hold.Load() }

// keep notes that n events stay in the spool. The first time, it says so.
func (t *Topic) keep(n int, cause error) {
	t.box.drained.Store(false) // what comes later must not overtake them
	if cause != nil {
		t.box.hold.Store(t.o.Clock.Now().Add(holdTime).UnixNano())
	}
	if t.box.kept.Add(int64(n)) == int64(n) && t.o.Log != nil {
		var attrs []any
		if cause != nil {
			attrs = append(attrs, "cause", t.o.Redactor.Redact(cause.Error()))
		}
		t.o.Log.Warn("the bus cannot be reached: events are kept in the outbox", append([]any{slog.String("topic", t.name)}, attrs...)...)
	}
}

// Flush sends what the outbox holds from earlier runs, and returns how many events the bus accepted, how many it refused
// for good, and how many stay. Without an outbox there is nothing to do. A refused event goes to the dead letters, where
// the topic has them; else it stays, and the first such refusal is the error.
func (t *Topic) Flush(ctx context.Context) (f Flushed, err error) {
	if err := t.enter("flush"); err != nil {
		return f, err
	}
	defer t.under.Done()
	if t.box == nil {
		return f, nil
	}
	limits, err := t.limits()
	if err == nil {
		t.box.hold.Store(0)
		f, err = t.flush(ctx, limits)
	}
	if err != nil {
		return f, t.fail(ctx, "flush", err)
	}
	return f, nil
}

// Waiting counts the events in the outbox.
func (t *Topic) Waiting(ctx context.Context) (int, error) {
	if t.box == nil {
		return 0, nil
	}
	n, err := t.box.spool.Waiting(ctx)
	if err != nil {
		return n, t.fail(ctx, "flush", err)
	}
	return n, nil
}

// Durable reports whether the topic has an outbox.
func (t *Topic) Durable() bool { return t.box != nil }

// Flushed says what became of the events of an outbox.
type Flushed struct {
	Sent    int `json:"sent"`
	Refused int `json:"refused"` // for good
	Left    int `json:"left"`
}

// drain sends what waits in the outbox before a new event: once what earlier processes left, and after an outage what
// this one kept. An error of it is a warning: the new event says for itself whether it can be sent, and is kept as well
// while the outage lasts.
func (t *Topic) drain(ctx context.Context, limits Limits) error {
	f, err := t.flush(ctx, limits)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && t.outage(ctx, err) {
		t.box.hold.Store(t.o.Clock.Now().Add(holdTime).UnixNano())
	} else {
		t.box.drained.Store(true)
	}
	if t.o.Log == nil || f == (Flushed{}) && err == nil {
		return err
	}
	if err != nil {
		t.o.Log.Warn("events stay in the outbox", "topic", t.name, "sent", f.Sent, "left", f.Left, "cause", t.o.Redactor.Redact(err.Error()))
	} else {
		t.o.Log.Info("sent events that waited in the outbox", "topic", t.name, "sent", f.Sent, "refused", f.Refused)
	}
	return err
}

func (t *Topic) flush(ctx context.Context, limits Limits) (f Flushed, first error) {
	b := t.box
	if err := b.gate.Acquire(ctx, gateSize); err != nil {
		return f, context.Cause(ctx)
	}
	defer b.gate.Release(gateSize)
	checked := false
	err := b.spool.Left(ctx, func(page []state.Record) (done []uint64, _ error) {
		if !checked { // only when there is something to send
			if err := t.ready(ctx); err != nil {
				return nil, err
			}
			checked = true
		}
		for _, part := range split(page, limits) {
			finished, sent, refused, wait, err := t.flushBatch(ctx, part, limits)
			done = append(done, finished...)
			f.Sent, f.Refused, f.Left = f.Sent+sent, f.Refused+refused, f.Left+len(part)-len(finished)
			if err == nil {
				continue
			}
			if first == nil {
				first = err
			}
			if limits.Ordered && wait || ctx.Err() != nil || t.outage(ctx, err) {
				return done, err // what follows must wait
			}
		}
		return done, nil
	})
	if err != nil && first == nil {
		first = err
	}
	if left, werr := b.spool.Waiting(context.WithoutCancel(ctx)); werr == nil {
		f.Left = left
	}
	if f.Left == 0 {
		b.kept.Store(0)
	}
	return f, first
}

// flushBatch sends records that fit into one call, and returns the numbers of those that are finished with, and whether
// one stays that a later try may send.
func (t *Topic) flushBatch(ctx context.Context, part []state.Record, limits Limits) (done []uint64, sent, refused int, wait bool, first error) {
	var batch []Message
	var seqs []uint64
	for _, r := range part {
		m, err := unspool(r.Bytes)
		if err != nil { // another version's, or damaged: nobody else can send it either
			first = fault.New(fault.DataLoss, "an event of the outbox cannot be read: %w", err)
			continue
		}
		batch, seqs = append(batch, m), append(seqs, r.Seq)
	}
	if len(batch) == 0 {
		return nil, 0, 0, false, first
	}
	for i, err := range t.sendNow(ctx, batch, limits) {
		switch {
		case err == nil:
			sent++
			done = append(done, seqs[i])
			continue
		case t.final(ctx, err):
			refused++
			if err = t.deadLetter(ctx, batch[i], err); err == nil {
				done = append(done, seqs[i])
				continue
			}
		default:
			wait = true
		}
		if first == nil || wait && !t.outage(ctx, first) && t.outage(ctx, err) {
			first = err
		}
	}
	return done, sent, refused, wait, first
}

// split cuts a page into batches that the bus takes.
func split(page []state.Record, limits Limits) [][]state.Record {
	most := limits.Batch
	if most <= 0 {
		most = openBatch
	}
	var out [][]state.Record
	var size int64
	for i := range page {
		n := int64(len(page[i].Bytes))
		if m, err := unspool(page[i].Bytes); err == nil && limits.Size != nil {
			n = limits.Size(m)
		}
		if len(out) == 0 || len(out[len(out)-1]) == most || limits.BatchBytes > 0 && size+n > limits.BatchBytes {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], page[i])
		size += n
	}
	return out
}
