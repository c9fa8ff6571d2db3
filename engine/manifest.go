package engine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Manifest is the record of one run: which script and configuration ran, which states of which objects it read, what it
// wrote and deleted, and which events were accepted. What it holds of objects lies in files without a name, so that its
// memory stays small however many there are. Give it to Script.Manifest and write it once Run has returned.
type Manifest struct {
	seed maphash.Seed
	p    *Project
	head manifestHead

	mu     sync.Mutex
	err    error
	seen   map[uint64]struct{} // inputs that are noted already
	lists  map[string]*manifestList
	places map[placeKey]*manifestPlace
}

type manifestHead struct {
	Dsrun        string    `json:"dsrun"`
	RunID        string    `json:"run_id"`
	Env          string    `json:"env,omitempty"`
	Script       string    `json:"script"`
	ScriptSHA256 string    `json:"script_sha256"`
	ConfigSHA256 string    `json:"config_sha256"`
	DryRun       bool      `json:"dry_run"`
	Started      time.Time `json:"started"`
	Ended        time.Time `json:"ended"`
	Status       string    `json:"status"` // ok or failed
	Error        string    `json:"error,omitempty"`
	Code         string    `json:"code,omitempty"`
}

// ManifestObject is one object in a manifest.
type ManifestObject struct {
	Store     string            `json:"store"`
	Path      string            `json:"path"`
	URI       string            `json:"uri"`
	Size      *int64            `json:"size,omitempty"` // bytes; absent when unknown
	Modified  *time.Time        `json:"modified,omitempty"`
	ETag      string            `json:"etag,omitempty"`
	Version   string            `json:"version,omitempty"`
	Checksums map[string]string `json:"checksums,omitempty"` // algorithm to hex
}

// ManifestEvent is one accepted event in a manifest. Its data stays out.
type ManifestEvent struct {
	Topic   string    `json:"topic"`
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time"`
}

type manifestList struct {
	f store.SpillFile
	w *bufio.Writer
	n int64 // bytes
}

type placeKey struct {
	store string
	write bool
}

// manifestPlace sums up what happened to one store, for lineage.
type manifestPlace struct {
	uri            string
	objects, bytes int64
}

// maxSeen bounds how many inputs are told apart; beyond it one that is read again is noted again.
const maxSeen = 4 << 20

func (m *Manifest) begin(p *Project, s Script, info runInfo) {
	m.p, m.seed = p, maphash.MakeSeed()
	m.seen, m.lists, m.places = map[uint64]struct{}{}, map[string]*manifestList{}, map[placeKey]*manifestPlace{}
	script := sha256.Sum256(s.Source)
	conf := sha256.New()
	for _, f := range p.src.Files {
		conf.Write(f.Bytes)
	}
	m.head = manifestHead{Dsrun: p.e.o.Version, RunID: info.id, Env: p.src.Env, Script: s.Name, ScriptSHA256: hex.EncodeToString(script[:]),
		ConfigSHA256: hex.EncodeToString(conf.Sum(nil)), DryRun: s.DryRun, Started: info.started.UTC()}
}

type runInfo struct {
	id      string
	started time.Time
}

func (m *Manifest) end(now time.Time, err error) {
	m.head.Ended, m.head.Status = now.UTC(), "ok"
	if err != nil {
		m.head.Status, m.head.Error, m.head.Code = "failed", m.p.e.o.Redactor.Redact(err.Error()), string(fault.ClassOf(err).Code)
	}
}

// witness notes what was done with an object.
func (m *Manifest) witness(a store.Act) {
	if m.head.DryRun && a.Op != store.ActRead {
		return // nothing was done
	}
	o := ManifestObject{Store: a.Store.Name(), Path: a.Entry.Key, URI: a.Store.URI(a.Entry.Key), ETag: a.Entry.ETag, Version: a.Entry.Version}
	if a.Entry.Size >= 0 && a.Op != store.ActDelete {
		o.Size = &a.Entry.Size
	}
	if !a.Entry.Modified.IsZero() {
		at := a.Entry.Modified.UTC()
		o.Modified = &at
	}
	for _, s := range a.Entry.Sums {
		if s.Parts > 0 {
			continue // of parts, which says nothing to others
		}
		if o.Checksums == nil {
			o.Checksums = map[string]string{}
		}
		o.Checksums[s.Algo] = hex.EncodeToString(s.Value)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[string]string{store.ActRead: "inputs", store.ActWrite: "outputs", store.ActDelete: "deleted"}[a.Op]
	if a.Op == store.ActRead {
		id := maphash.String(m.seed, o.URI+"\x00"+o.ETag+"\x00"+o.Version)
		if _, ok := m.seen[id]; ok {
			return
		}
		if len(m.seen) < maxSeen {
			m.seen[id] = struct{}{}
		}
	}
	if a.Op != store.ActDelete {
		key := placeKey{o.Store, a.Op == store.ActWrite}
		place := m.places[key]
		if place == nil {
			place = &manifestPlace{uri: a.Store.URI("")}
			m.places[key] = place
		}
		place.objects++
		place.bytes += max(a.Entry.Size, 0)
	}
	m.add(list, o)
}

// accepted notes an event.
func (m *Manifest) accepted(topic string, e event.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add("events", ManifestEvent{topic, e.ID, e.Type, e.Subject, e.Time.UTC()})
}

// add appends a value to a list; the lock is held.
func (m *Manifest) add(list string, v any) {
	if m.err != nil {
		return
	}
	l := m.lists[list]
	if l == nil {
		f, err := m.p.spill()
		if err != nil {
			m.err = err
			return
		}
		l = &manifestList{f: f, w: bufio.NewWriterSize(f, 16<<10)}
		m.lists[list] = l
	}
	b, err := json.Marshal(v)
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
		l.n += int64(len(b)) + 1
	}
	m.err = err
}

// Write writes the manifest as one JSON document, without secrets, and frees what it held. Outputs for which their store
// declares no checksum are read back for their SHA-256. It is called once, after Run.
func (m *Manifest) Write(ctx context.Context, w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() {
		for _, l := range m.lists {
			_ = l.f.Close()
		}
		m.lists = nil
	}()
	if m.err != nil || m.p == nil {
		return errors.Join(m.err, fault.New(fault.FailedPrecondition, "the run has no complete manifest"))
	}
	red := m.p.e.o.Redactor.Writer(w)
	out := bufio.NewWriter(red)
	head, err := json.MarshalIndent(m.head, "", "  ")
	if err != nil {
		return err
	}
	out.Write(head[:len(head)-2]) // without its end
	for _, name := range []string{"inputs", "outputs", "deleted", "events"} {
		out.WriteString(",\n  \"" + name + "\": [")
		if err := m.list(ctx, out, name); err != nil {
			return err
		}
		out.WriteString("]")
	}
	lineage, err := json.MarshalIndent(m.lineage(), "  ", "  ")
	if err != nil {
		return err
	}
	out.WriteString(",\n  \"openlineage\": ")
	out.Write(lineage)
	out.WriteString("\n}\n")
	return errors.Join(out.Flush(), red.Close())
}

func (m *Manifest) list(ctx context.Context, out *bufio.Writer, name string) error {
	l := m.lists[name]
	if l == nil {
		return nil
	}
	if err := l.w.Flush(); err != nil {
		return err
	}
	lines := bufio.NewReader(io.NewSectionReader(l.f, 0, l.n))
	for sep := "\n    "; ; sep = ",\n    " {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			out.WriteString("\n  ")
			return nil
		}
		if err == nil && name == "outputs" {
			line, err = m.summed(ctx, line)
		}
		if err != nil {
			return err
		}
		out.WriteString(sep)
		out.Write(line[:len(line)-1])
	}
}

// summed adds the SHA-256 of an output that has no checksum, where it still is what was written.
func (m *Manifest) summed(ctx context.Context, line []byte) ([]byte, error) {
	var o ManifestObject
	if err := json.Unmarshal(line, &o); err != nil {
		return nil, err
	}
	if len(o.Checksums) > 0 {
		return line, nil
	}
	s, err := m.p.Store(ctx, o.Store)
	if err != nil {
		return line, nil // a place of the command line, or closed
	}
	r, err := s.Open(ctx, o.Path, store.ReadOptions{})
	if fault.Is(err, fault.NotFound) {
		return line, nil // written and deleted again
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if e := r.Entry(); o.ETag != "" && e.ETag != "" && o.ETag != e.ETag {
		return line, nil // written again, which the list says too
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return nil, err
	}
	o.Checksums = map[string]string{"sha256": hex.EncodeToString(h.Sum(nil))}
	b, err := json.Marshal(o)
	return append(b, '\n'), err
}
