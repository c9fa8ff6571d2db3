package store

import (
	"context"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
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

// Options say how a Store treats its driver. The zero value works.
type Options struct {
	Prefix       string // prepended to every key, so that a store can be a part of a bucket
	Mode         Mode
	Default      bool
	Description  string
	Labels       map[string]string
	Retry        retry.Policy
	Concurrency  int           // most driver calls at once; 0 means 64
	Timeout      time.Duration // of one metadata call; 0 means none
	StallTimeout time.Duration // no byte of a reply's head; 0 means 30 s
	IdleTimeout  time.Duration // no byte of a body under way; 0 means 60 s
	Clock        clock.Clock
	Redactor     *secret.Redactor
	Budget       *Budget
	Stats        *Stats
	Layers       []Interceptor // outermost; the engine's own
}

// Store is an open datastore. It is safe for concurrent use.
type Store struct{}

// New returns the store of a driver. It owns the driver: Close closes it.
func New(name, kind string, d Driver, o Options) *Store { panic("to be built") }

func (s *Store) Name() string          { panic("to be built") }
func (s *Store) Kind() string          { panic("to be built") }
func (s *Store) Caps() Caps            { panic("to be built") }
func (s *Store) Mode() Mode            { panic("to be built") }
func (s *Store) Driver() Driver        { panic("to be built") }
func (s *Store) URI(key string) string { panic("to be built") }

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, key string, c Cond) (Entry, error) { panic("to be built") }

// ListOptions say what to list.
type ListOptions struct {
	Pattern       string    // glob over whole keys: * within a segment, ** across; "" means all
	Prefix        string    // literal
	OneLevel      bool      // roll up what lies below the next "/": Listing yields such prefixes as entries with Size -1 and a Key that ends with "/"
	Since         time.Time // only objects modified at or after
	After, Before string
	Limit         int
}

// List returns the matching objects, in key order where Caps.Order says so.
func (s *Store) List(ctx context.Context, o ListOptions) *Listing { panic("to be built") }

// Listing yields entries in batches.
type Listing struct{}

// Next returns the next entries, at least one, valid until the next call; (nil, io.EOF) at the end. Any other error
// means that the listing is incomplete.
func (l *Listing) Next(ctx context.Context) ([]Entry, error) { panic("to be built") }

// Close stops the listing.
func (l *Listing) Close() error { panic("to be built") }

// ReadOptions say what to read.
type ReadOptions struct {
	Range   *Range
	IfMatch string
	Version string
}

// Reader reads one state of one object: it resumes at its offset after a lost connection, pinned to the entry, and ends
// with an error when the bytes are short, long or altered.
type Reader struct{}

func (r *Reader) Read(p []byte) (int, error) { panic("to be built") }
func (r *Reader) Close() error               { panic("to be built") }

// Entry describes the object as served.
func (r *Reader) Entry() Entry { panic("to be built") }

// Open opens an object.
func (s *Store) Open(ctx context.Context, key string, o ReadOptions) (*Reader, error) {
	panic("to be built")
}

// ReaderAt returns random access to an object, pinned to e.
func (s *Store) ReaderAt(ctx context.Context, e Entry) io.ReaderAt { panic("to be built") }

// ReadAll reads an object of at most max bytes; a larger one is a Limit error.
func (s *Store) ReadAll(ctx context.Context, key string, max int64) ([]byte, Entry, error) {
	panic("to be built")
}

// WriteOptions say how to write.
type WriteOptions struct {
	Attrs     Attributes
	Overwrite bool   // false: the key must not exist; atomic where Caps.IfAbsent, else checked first
	Exclusive bool   // with Overwrite false: Unimplemented where the check is not atomic
	IfMatch   string // the existing object must have this ETag
}

// Create returns a writer of a new object, which becomes visible when Commit returns and never before.
func (s *Store) Create(ctx context.Context, key string, o WriteOptions) (*Writer, error) {
	panic("to be built")
}

// Writer writes one object.
type Writer struct{}

func (w *Writer) Write(p []byte) (int, error) { panic("to be built") }

// Commit makes the object visible.
func (w *Writer) Commit() (Entry, error) { panic("to be built") }

// Abort drops what was written; after Commit it does nothing.
func (w *Writer) Abort() error { panic("to be built") }

// Put stores a body.
func (s *Store) Put(ctx context.Context, key string, b Body, o WriteOptions) (Entry, error) {
	panic("to be built")
}

// Delete removes an object; an absent one is NotFound unless missingOK.
func (s *Store) Delete(ctx context.Context, key string, missingOK bool) error { panic("to be built") }

// DeleteKeys removes many objects and returns the error of each that is still there, in the order of keys.
func (s *Store) DeleteKeys(ctx context.Context, keys []string) ([]KeyError, error) {
	panic("to be built")
}

// KeyError is what happened to one object of many.
type KeyError struct {
	Key string
	Err error
}

// SignURL makes a URL that works without credentials.
func (s *Store) SignURL(ctx context.Context, key string, o SignOptions) (string, error) {
	panic("to be built")
}

// Check proves that the store exists and may be used.
func (s *Store) Check(ctx context.Context) error { panic("to be built") }

// Close frees the store and its driver.
func (s *Store) Close() error { panic("to be built") }

// Overwrite says what a copy does with targets that exist.
type Overwrite int

const (
	OverwriteNever     Overwrite = iota
	OverwriteIfChanged           // where size, checksum or time say that the source differs
	OverwriteAlways
)

// CopyJob says what Copy copies.
type CopyJob struct {
	List        ListOptions // of the source
	Keys        []Entry     // instead of List: these
	Prefix      string      // put before each key in the target
	Strip       string      // taken off each key first
	Rename      string      // with a single source object: its whole key in the target
	Overwrite   Overwrite
	DeleteExtra bool // delete what the target holds below Prefix and the source does not
	MaxDelete   int  // refuse to delete more; 0 means no bound
	Workers     int  // 0 means 8
	Collect     bool // go on after a failure
}

// CopyResult counts what Copy did.
type CopyResult struct {
	Copied, Skipped, Deleted int64
	Failed                   []KeyError
	Bytes                    int64 // of the objects copied
	ClientBytes              int64 // that passed through this process
}

// Copy copies many objects. Without Collect the first failure ends it.
func Copy(ctx context.Context, src, dst *Store, job CopyJob) (CopyResult, error) {
	panic("to be built")
}

// Stats counts what the stores of a run did. All fields are atomic counters.
type Stats struct{}
