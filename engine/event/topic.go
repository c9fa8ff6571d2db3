package event

import (
	"context"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/secret"
)

// Options say how a Topic treats its driver. The zero value works.
type Options struct {
	Source      string // the CloudEvents source; "" means "dsrun/" and the topic's name
	RunID       string // ids are made from it
	Description string
	Retry       retry.Policy
	Clock       clock.Clock
	Redactor    *secret.Redactor
	DryRun      func(Message) // records instead of sending, when set
}

// Event is what a caller publishes. Empty fields are filled in.
type Event struct {
	ID         string
	Type       string
	Subject    string
	Time       time.Time
	Data       []byte // JSON; nil means {}
	Attributes map[string]string
	// Site is where the event is published, for its id: "file.star:12:7" and the indices of the enclosing parallel
	// items. Events of one site are numbered in the order of publishing.
	Site    string
	Indices []int
}

// Topic is an open event topic. It is safe for concurrent use.
type Topic struct{}

// New returns the topic of a driver. It owns the driver: Close closes it.
func New(name, kind string, d Driver, o Options) *Topic { panic("to be built") }

func (t *Topic) Name() string { panic("to be built") }
func (t *Topic) Kind() string { panic("to be built") }

// Publish sends one event and returns its id once the bus has accepted it.
func (t *Topic) Publish(ctx context.Context, e Event) (string, error) { panic("to be built") }

// PublishAll sends every event that next yields until io.EOF, packed into batches, in bounded memory, and returns how
// many were accepted. onError is called with each event that was refused for good; when it returns an error (or is nil)
// the publishing ends.
func (t *Topic) PublishAll(ctx context.Context, next func(context.Context) (Event, error), onError func(Message, error) error) (int, error) {
	panic("to be built")
}

// Check proves that the bus exists.
func (t *Topic) Check(ctx context.Context) error { panic("to be built") }

// Close sends what is under way and frees the driver.
func (t *Topic) Close() error { panic("to be built") }
