// Package event is the portable event topic: one concrete Topic over the small Driver interface that each kind of bus
// implements. Every sentence with "must" in this file is a check in eventtest.
package event

import (
	"context"
	"fmt"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Driver is what a kind of event bus implements. Methods are called concurrently.
type Driver interface {
	// Publish sends the messages in order, at most Limits.Batch of them. A nil error must mean that the bus has accepted
	// every one; when some were refused the error must be a *BatchError that names them by index. It must not retry.
	Publish(ctx context.Context, batch []Message) error
	Limits() Limits
	// Check proves that the bus exists and takes events, before the first is sent. A bus that does not exist must be an
	// error that Classify calls NotFound.
	Check(ctx context.Context) error
	Classify(err error) fault.Class
	Close() error
}

// Message is one event in the terms of CloudEvents 1.0 (https://github.com/cloudevents/spec).
type Message struct {
	ID              string
	Type            string
	Source          string
	Subject         string
	Time            time.Time
	DataContentType string // application/json
	Data            []byte // JSON
	Attributes      map[string]string
	OrderingKey     string // "" means that the driver takes its own, where the bus has such a thing
}

// Limits bound one call of Publish. Zero fields do not bind. A bus that sets its own bounds may tell them when Check asks:
// before, Limits are those that no bus of the kind exceeds.
type Limits struct {
	Batch        int   // messages
	BatchBytes   int64 // sum of Size over the batch
	MessageBytes int64 // Size of one message
	// Size is the number of bytes the bus counts for a message; nil counts its structured CloudEvents form.
	Size func(Message) int64
	// Valid refuses a message that the bus would refuse or silently drop; nil allows all.
	Valid func(Message) error
	// Ordered: messages of one batch are accepted in order and failures must be retried before later ones are sent.
	Ordered bool
}

// BatchError says which messages of a batch were not accepted. The others were.
type BatchError struct{ Failed []Failure }

// Failure is one message that was not accepted.
type Failure struct {
	Index int // in the batch given to Publish
	Err   error
}

// Error names the first failure and counts the rest.
func (e *BatchError) Error() string {
	if len(e.Failed) == 0 {
		return "0 messages refused"
	}
	return fmt.Sprintf("%d messages refused, the first (index %d): %v", len(e.Failed), e.Failed[0].Index, e.Failed[0].Err)
}

// Unwrap returns the first failure's cause.
func (e *BatchError) Unwrap() error {
	if len(e.Failed) == 0 {
		return nil
	}
	return e.Failed[0].Err
}
