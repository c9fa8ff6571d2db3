package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/secret"
)

// Mode says what a store may be used for.
type Mode int

const (
	ModeWrite  Mode = iota // create, overwrite, delete
	ModeAppend             // create new keys only
	ModeRead               // nothing is changed
)

// String returns the word of the `mode` attribute.
func (m Mode) String() string {
	switch m {
	case ModeAppend:
		return "append"
	case ModeRead:
		return "read"
	}
	return "write"
}

// The defaults of Options.
const (
	DefaultConcurrency  = 256
	DefaultPartWorkers  = 8
	DefaultStallTimeout = 30 * time.Second
	DefaultIdleTimeout  = 60 * time.Second
	DefaultRetryBudget  = 100 // retries of one store that an outage may cost before calls fail at once
)

// Options say how a Store treats its driver. The zero value works.
type Options struct {
	Prefix       string // prepended to every key, so that a store can be a part of a bucket
	Mode         Mode
	Default      bool
	Description  string
	Labels       map[string]string
	Retry        retry.Policy
	RetryBudget  *retry.Budget // shared by all calls of the store; nil means one of DefaultRetryBudget
	Concurrency  int           // most driver calls at once; 0 means 256
	PartSize     int64         // bytes of a part where the size of an object is known; 0 chooses by its size
	PartWorkers  int           // most parts of one object under way; 0 means 8, and for ranges of a download as many as make it faster
	Timeout      time.Duration // of one metadata call; 0 means none
	StallTimeout time.Duration // no byte of a reply's head; 0 means 30 s
	IdleTimeout  time.Duration // no byte of a body under way; 0 means 60 s
	// Clock is used for the waits between tries. Time-outs run on the machine's clock: a fake clock fires at once, which
	// would end every read.
	Clock    clock.Clock
	Redactor *secret.Redactor
	Budget   *Budget // memory of parts whose source cannot be read again; nil means unbounded
	// Spill makes a file for parts of unknown length that do not fit the budget. nil means none: such parts wait until
	// the budget has room for the whole part, so that writers which one caller feeds in turn can wait for each other.
	Spill func() (SpillFile, error)
	Stats *Stats
	// Witness is told of each object that is read, written or deleted, once that is done; it is called from many goroutines.
	Witness func(Act)
	Layers  []Interceptor // outermost; the engine's own. A layer must not end the context of a "get" when next returns: the body lives on
}

// Store is an open datastore. It is safe for concurrent use.
type Store struct {
	name, kind string
	d          Driver
	caps       Caps
	o          Options
	tune       tuning
	lists      listTuning
	fixed      bool // Options.PartWorkers was given
	layers     []Interceptor

	mu     sync.Mutex
	closed bool
	calls  int                 // driver calls, open bodies and uploads under way
	idle   chan struct{}       // closed when calls reaches 0 after Close
	live   map[*lease]struct{} // what Close cancels
}

// New returns the store of a driver. It owns the driver: Close closes it.
//
// The layers of a call, outermost first, and the reason for the order:
//
//	error wrap, redaction  whatever is refused or fails inside is reported in one form
//	Options.Layers         the engine's own: trace, grants of a script
//	WithMode               a refused call must cost no try and no slot
//	WithRetry              each try below waits for a slot of its own, so that a wait between tries blocks nobody
//	WithConcurrency
//	closed check, time-out of metadata calls, panic recovery, statistics
func New(name, kind string, d Driver, o Options) *Store {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	fixed := o.PartWorkers > 0
	if !fixed {
		o.PartWorkers = DefaultPartWorkers
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Stats == nil {
		o.Stats = &Stats{}
	}
	if o.RetryBudget == nil {
		o.RetryBudget = retry.NewBudget(DefaultRetryBudget)
	}
	s := &Store{name: name, kind: kind, d: d, caps: d.Caps(), o: o, tune: defaultTuning, lists: defaultLists, fixed: fixed, live: map[*lease]struct{}{}}
	r := &retry.Retrier{Policy: o.Retry, Clock: o.Clock, Budget: o.RetryBudget,
		OnRetry: func(int, time.Duration, error) { o.Stats.Retries.Add(1) }}
	s.layers = append(s.layers, o.Layers...)
	s.layers = append(s.layers, WithMode(o.Mode), WithRetry(r, s.classify), WithConcurrency(o.Concurrency))
	return s
}

// Name returns the name of the store as declared.
func (s *Store) Name() string { return s.name }

// Kind returns the label of the store's kind, such as "s3".
func (s *Store) Kind() string { return s.kind }

// Caps returns the facts of the store's driver.
func (s *Store) Caps() Caps { return s.caps }

// Mode returns what the store may be used for.
func (s *Store) Mode() Mode { return s.o.Mode }

// Driver returns the driver, for a Copier of the same family and for tests. Its keys carry the store's prefix.
func (s *Store) Driver() Driver { return s.d }

// Default reports whether the store is the default one.
func (s *Store) Default() bool { return s.o.Default }

// Description returns the declared description.
func (s *Store) Description() string { return s.o.Description }

// Labels returns the declared labels; they must not be changed.
func (s *Store) Labels() map[string]string { return s.o.Labels }

// Stats returns the counters that the store feeds.
func (s *Store) Stats() *Stats { return s.o.Stats }

// URI returns the address of a key in the family's own form, else "name:key". It holds no secret.
func (s *Store) URI(key string) string {
	if l, ok := s.d.(Locator); ok {
		if uri := l.URI(s.full(key)); uri != "" {
			return uri
		}
	}
	return s.name + ":" + key
}

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, key string, c Cond) (Entry, error) {
	call := Call{Op: "stat", Key: key, Retryable: true}
	if err := s.checkKey(key); err != nil {
		return Entry{}, s.wrap(ctx, call, err)
	}
	var e Entry
	err := s.do(ctx, call, func(ctx context.Context) (err error) {
		e, err = s.d.Stat(ctx, s.full(key), c)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	e.Key = key
	return e, nil
}

// SignURL makes a URL that works without credentials.
func (s *Store) SignURL(ctx context.Context, key string, o SignOptions) (string, error) {
	write := o.Method == "PUT" || o.Method == "DELETE"
	// A URL is used later and by anyone, so that what it may do counts as done now.
	call := Call{Op: "sign", Key: key, Write: write, Replace: write, Retryable: true}
	if err := s.checkKey(key); err != nil {
		return "", s.wrap(ctx, call, err)
	}
	signer, ok := s.d.(Signer)
	if !ok {
		return "", s.wrap(ctx, call, fault.New(fault.Unimplemented, "stores of kind %q have no signed URLs", s.kind))
	}
	var url string
	err := s.do(ctx, call, func(ctx context.Context) (err error) {
		url, err = signer.SignURL(ctx, s.full(key), o)
		return err
	})
	return url, err
}

// Check proves that the store exists and may be used. A driver without a check of its own is asked for a listing of one
// entry.
func (s *Store) Check(ctx context.Context) error {
	return s.do(ctx, Call{Op: "check", Retryable: true}, func(ctx context.Context) error {
		if c, ok := s.d.(Checker); ok {
			return c.Check(ctx)
		}
		_, err := s.d.List(ctx, Query{Prefix: s.o.Prefix, Max: 1})
		return err
	})
}

// closeWait is how long Close waits for calls under way, and an abort for its answer.
const closeWait = 10 * time.Second

// Close frees the store and its driver. Reads and uploads under way are cancelled; uploads get 10 s to be aborted. A
// second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.idle = make(chan struct{})
	if s.calls == 0 {
		close(s.idle)
	}
	for l := range s.live {
		l.cancel(errClosed)
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-time.After(closeWait):
	}
	if err := contain(s.d.Close); err != nil {
		return s.wrap(context.Background(), Call{Op: "close"}, err)
	}
	return nil
}

// String names the store for messages.
func (s *Store) String() string { return fmt.Sprintf("datastore %q", s.name) }
