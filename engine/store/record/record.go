// Package record keeps what datastores answered to a run, and answers with it later, without the datastores.
//
// A recording tells the state that the datastores were in as far as the run has looked: what a listing, a stat or a read
// said of a key before the run itself changed it. Replayed below an overlay it answers any call whose answer follows
// from that; of anything else it says that it was not recorded.
//
// On disk a recording is a folder:
//
//	recording.json       version, script, time, the names of the datastores
//	NAME.json            what is known of a datastore (see known)
//	NAME/CHECKSUM        content that was read, by a checksum of its key; holes where nothing was read
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// MaxBytes is the default bound of the content that a recording holds.
const MaxBytes = 1 << 30

// maxObjects bounds how many objects a recording knows of one datastore.
const maxObjects = 1_000_000

const version = 1

const indexName = "recording.json"

// index is recording.json.
type index struct {
	Version int       `json:"dsrun_recording"`
	Script  string    `json:"script"`
	Made    time.Time `json:"made"`
	Stores  []string  `json:"datastores"`
}

// Recording is a recording that is being made.
type Recording struct {
	root     *os.Root
	redactor *secret.Redactor
	max      int64
	used     atomic.Int64
	full     atomic.Bool

	mu      sync.Mutex
	drivers map[string]*Driver
}

// New begins a recording in an empty folder, or in one that holds an earlier recording, which is removed. It owns root.
func New(root *os.Root, redactor *secret.Redactor) (*Recording, error) {
	if err := empty(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Recording{root: root, redactor: redactor, max: MaxBytes, drivers: map[string]*Driver{}}, nil
}

// empty removes an earlier recording, and refuses a folder that holds anything else.
func empty(root *os.Root) error {
	var old index
	b, err := root.ReadFile(indexName)
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &old); err != nil || old.Version == 0 {
			return fault.New(fault.InvalidArgument, "%s in the folder for the recording is no recording", indexName)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".json")
		if e.Name() != indexName && !slices.Contains(old.Stores, name) {
			return fault.Hinted(fault.InvalidArgument, "Give a new folder, or one that holds nothing but a recording.", "the folder for the recording holds %s already", e.Name())
		}
	}
	if err := root.Remove(indexName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // first: what is left is no recording
	}
	for _, name := range old.Stores {
		if err := errors.Join(root.RemoveAll(name), root.RemoveAll(name+".json")); err != nil {
			return err
		}
	}
	return nil
}

// Wrap returns a driver over base that records. It owns base.
func (r *Recording) Wrap(name, kind string, base store.Driver) *Driver {
	d := &Driver{Driver: base, name: name, rec: r, written: map[string]bool{}, chains: map[string]string{}, known: newKnown(kind, base)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drivers[name] = d
	return d
}

// take counts n bytes of content in, and reports whether there is room.
func (r *Recording) take(n int) bool {
	if r.full.Load() {
		return false
	}
	if r.used.Add(int64(n)) > r.max {
		r.full.Store(true)
		return false
	}
	return true
}

// Close writes what was recorded. A recording that would be larger than its bound is not kept: its error is then of the
// code limit.
func (r *Recording) Close(script string, made time.Time) error {
	defer r.root.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	x := index{Version: version, Script: script, Made: made.UTC(), Stores: []string{}}
	for name := range r.drivers {
		x.Stores = append(x.Stores, name)
	}
	slices.Sort(x.Stores)
	drop := func(err error) error {
		for _, name := range x.Stores {
			err = errors.Join(err, r.root.RemoveAll(name), r.root.RemoveAll(name+".json"))
		}
		return err
	}
	if r.full.Load() {
		return drop(fault.Hinted(fault.Limit, "Record a run over less data.", "the run read more than the %d bytes that a recording holds; the run itself is done", r.max))
	}
	for _, name := range x.Stores {
		d := r.drivers[name]
		if err := d.withhold(); err != nil {
			return drop(err)
		}
		d.mu.Lock()
		f := d.known.file()
		d.mu.Unlock()
		if err := r.write(name+".json", f); err != nil {
			return drop(err)
		}
	}
	if err := r.write(indexName, x); err != nil {
		return drop(err)
	}
	return nil
}

// write stores a value as JSON without secrets.
func (r *Recording) write(name string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return r.root.WriteFile(name, []byte(r.redactor.Redact(string(b))+"\n"), 0o600)
}

// contentName is the file of a key's content.
func contentName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// withhold removes content that holds a secret.
func (d *Driver) withhold() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, o := range d.known.objects {
		if len(o.Ranges) == 0 {
			continue
		}
		f, err := d.rec.root.Open(d.name + "/" + contentName(key))
		if err != nil {
			return err
		}
		plain, masked := sha256.New(), sha256.New()
		w := d.rec.redactor.Writer(masked)
		_, err = io.Copy(io.MultiWriter(plain, w), f)
		err = errors.Join(err, w.Close(), f.Close())
		if err != nil {
			return err
		}
		if string(plain.Sum(nil)) == string(masked.Sum(nil)) {
			continue
		}
		o.Ranges, o.Withheld = nil, true
		if err := d.rec.root.Remove(d.name + "/" + contentName(key)); err != nil {
			return err
		}
	}
	return nil
}
