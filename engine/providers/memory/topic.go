package memory

import (
	"context"
	"sync"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// TopicOptions are the attributes of `topic "memory"`. There are none.
type TopicOptions struct{}

// Fields implements schema.Fielder.
func (*TopicOptions) Fields(*schema.Fields) {}

// TopicProvider is the kind `topic "memory"`.
func TopicProvider() provider.Provider {
	return provider.Topic("memory", "Records events in memory for the time of one run, for tests.",
		func(context.Context, provider.Env, *TopicOptions) (event.Driver, error) {
			return NewTopic(event.Limits{}), nil
		})
}

// Topic is a bus that records. It is safe for concurrent use.
type Topic struct {
	limits event.Limits

	mu     sync.Mutex
	events []event.Message
}

// NewTopic returns an empty bus with the given limits; the zero value bounds nothing.
func NewTopic(limits event.Limits) *Topic { return &Topic{limits: limits} }

// Events returns the events that were accepted so far, in order.
func (t *Topic) Events() []event.Message {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]event.Message(nil), t.events...)
}

// Publish implements event.Driver.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, batch...)
	return nil
}

// Limits implements event.Driver.
func (t *Topic) Limits() event.Limits {
	l := t.limits
	l.Ordered = true
	return l
}

// Check implements event.Driver.
func (t *Topic) Check(ctx context.Context) error { return ctx.Err() }

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class { return fault.Plain(err) }

// Close implements event.Driver. What was recorded stays readable.
func (t *Topic) Close() error { return nil }
