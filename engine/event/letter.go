package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Letter is an event that a bus refused for good, and why.
type Letter struct {
	Topic   string
	Refused time.Time
	Code    fault.Code
	Reason  string
	Message Message
}

// letterJSON is a letter as it is stored: one JSON object, the event in its structured CloudEvents form.
type letterJSON struct {
	Topic       string          `json:"topic"`
	Refused     time.Time       `json:"refused"`
	Code        fault.Code      `json:"code"`
	Reason      string          `json:"reason"`
	OrderingKey string          `json:"ordering_key,omitempty"`
	Event       json.RawMessage `json:"event"`
}

// Encode returns the letter as one JSON object.
func (l Letter) Encode() ([]byte, error) {
	text, err := Encode(l.Message)
	if err != nil {
		return nil, err
	}
	return json.Marshal(letterJSON{l.Topic, l.Refused.UTC(), l.Code, l.Reason, l.Message.OrderingKey, text})
}

// DecodeLetter reads what Encode wrote.
func DecodeLetter(b []byte) (Letter, error) {
	var j letterJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Letter{}, fmt.Errorf("not a dead letter: %w", err)
	}
	m, err := Decode(j.Event)
	if err != nil {
		return Letter{}, fmt.Errorf("not a dead letter: %w", err)
	}
	m.OrderingKey = j.OrderingKey
	return Letter{j.Topic, j.Refused, j.Code, j.Reason, m}, nil
}

// deadLetter stores an event that was refused for good, with the reason. Without a place for it, or when it cannot be
// stored, the refusal stays an error.
func (t *Topic) deadLetter(ctx context.Context, m Message, cause error) error {
	if t.o.DeadLetter == nil {
		return cause
	}
	wrapped := t.fail(ctx, "publish", cause)
	err := t.o.DeadLetter(ctx, Letter{Topic: t.name, Refused: t.o.Clock.Now(), Code: fault.CodeOf(wrapped), Reason: wrapped.Error(), Message: m})
	if err != nil {
		return errors.Join(cause, fmt.Errorf("and it could not be stored as a dead letter: %w", err))
	}
	t.dead.Add(1)
	if t.o.Log != nil {
		t.o.Log.Warn("the bus refused an event; it is stored as a dead letter", "topic", t.name, "id", m.ID, "type", m.Type, "reason", wrapped.Error())
	}
	return nil
}

// Replay sends an event again that was refused before, under its old id, without numbering it anew.
func (t *Topic) Replay(ctx context.Context, m Message) error {
	if err := t.enter("replay"); err != nil {
		return err
	}
	defer t.under.Done()
	limits, err := t.limits()
	if err != nil {
		return t.fail(ctx, "replay", err)
	}
	if _, err := t.fits(m, limits); err != nil {
		return t.fail(ctx, "replay", err)
	}
	if t.o.DryRun != nil {
		t.o.DryRun(m)
		return nil
	}
	if err := t.ready(ctx); err != nil {
		return t.fail(ctx, "replay", err)
	}
	if err := t.sendNow(ctx, []Message{m}, limits)[0]; err != nil {
		return t.fail(ctx, "replay", err)
	}
	return nil
}
