// Package file is the topic that appends events to a file: one CloudEvent in structured JSON a line. It needs no
// service, and many processes can append to one file.
package file

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// Options are the attributes of `topic "file"`.
type Options struct {
	Path   string
	Create bool
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Path(&o.Path, "path", "File that events are appended to, one CloudEvent in JSON a line.").Required().Eg(`"events.jsonl"`)
	f.Bool(&o.Create, "create", "Make the folder of the file when it is missing.").Default("false")
}

// Provider is the kind `topic "file"`.
func Provider() provider.Provider {
	return provider.Topic("file", "Appends events to a file, one CloudEvent in JSON a line.",
		func(_ context.Context, _ provider.Env, o *Options) (event.Driver, error) {
			return New(o.Path, o.Create), nil
		})
}

// Topic is a file of events. Nothing is touched before the first Check or Publish.
type Topic struct {
	dir, name string
	create    bool

	mu   sync.Mutex
	root *os.Root // of dir; nil until it is needed
}

// New returns the topic of the file at path. Its folder must exist, unless create is set.
func New(path string, create bool) *Topic {
	return &Topic{dir: filepath.Dir(path), name: filepath.Base(path), create: create}
}

// Publish appends the batch: all lines in one write that is on the disk before Publish returns. When that fails, the file
// is cut back to its old end, so that none of the batch is in it.
func (t *Topic) Publish(ctx context.Context, batch []event.Message) error {
	var lines []byte
	for _, m := range batch {
		line, err := event.Encode(m)
		if err != nil {
			return fault.New(fault.InvalidArgument, "%w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if len(lines) == 0 {
		return ctx.Err()
	}
	root, err := t.open()
	if err != nil {
		return err
	}
	return appendLines(ctx, root, t.name, lines)
}

// Limits implements event.Driver.
func (t *Topic) Limits() event.Limits {
	return event.Limits{Batch: 1000, BatchBytes: 4 << 20, Ordered: true}
}

// Check proves that the folder is there and that the file, when it exists, can be appended to.
func (t *Topic) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := t.open()
	if err != nil {
		return err
	}
	f, err := openFile(root, t.name, os.O_WRONLY)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class { return fault.ClassOf(err) }

// Close implements event.Driver.
func (t *Topic) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil {
		return nil
	}
	err := t.root.Close()
	t.root = nil
	return err
}

// open returns the folder. Links in the path of the folder are the user's own; the file itself must be in the folder.
func (t *Topic) open() (*os.Root, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root != nil {
		return t.root, nil
	}
	if t.create {
		if err := os.MkdirAll(t.dir, 0o700); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(t.dir)
	if os.IsNotExist(err) {
		return nil, fault.Hinted(fault.NotFound, `Make the folder, or set create = true in the topic.`, "folder %q is missing: %w", t.dir, err)
	}
	if err != nil {
		return nil, err
	}
	t.root = root
	return root, nil
}
