package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// planVersion is the version of the format that is written and read.
const planVersion = 1

const (
	// shortText is the longest content that stands in the plan itself, in bytes; it must be UTF-8.
	shortText = 4 << 10
	// MaxContent bounds one content that a plan writes, in bytes: what a dry run keeps of a datastore.
	MaxContent = store.OverlayBytes
	// maxPlanFile bounds a plan without the files beside it, in bytes.
	maxPlanFile = 256 << 20
)

// PlanFile is a plan as it is kept between a dry run and its execution.
type PlanFile struct {
	Version int                `json:"dsrun_plan"`
	Script  string             `json:"script"`
	RunID   string             `json:"run_id"`
	Made    time.Time          `json:"made"`
	Config  []string           `json:"config,omitempty"` // files of the configuration; relative ones count from the plan's folder
	Env     string             `json:"env,omitempty"`
	Stores  map[string]storeID `json:"datastores,omitempty"`
	Steps   []Step             `json:"steps"`
	Events  []FileEvent        `json:"events"` // published after all steps, in this order

	id string // checksum of the text
}

// FileEvent is one event of a plan file.
type FileEvent struct {
	Topic string          `json:"topic"`
	Event json.RawMessage `json:"event"` // structured CloudEvents
}

// storeID tells whether a datastore is the one that a plan was made for.
type storeID struct {
	Kind string `json:"kind"`
	URI  string `json:"uri"`
}

func identify(s *store.Store) storeID { return storeID{s.Kind(), s.URI("")} }

// Attributes are those of an object, in the form of a plan file.
type Attributes struct {
	ContentType        string            `json:"content_type,omitempty"`
	ContentEncoding    string            `json:"content_encoding,omitempty"`
	ContentDisposition string            `json:"content_disposition,omitempty"`
	CacheControl       string            `json:"cache_control,omitempty"`
	ContentLanguage    string            `json:"content_language,omitempty"`
	User               map[string]string `json:"user,omitempty"`
	Modified           time.Time         `json:"modified,omitzero"`
}

func attributesOf(a *store.Attributes) *Attributes {
	if a == nil {
		return nil
	}
	out := &Attributes{a.ContentType, a.ContentEncoding, a.ContentDisposition, a.CacheControl, a.ContentLanguage, maps.Clone(a.User), a.Modified}
	if out.isZero() {
		return nil
	}
	return out
}

func (a *Attributes) isZero() bool {
	return a.ContentType+a.ContentEncoding+a.ContentDisposition+a.CacheControl+a.ContentLanguage == "" && len(a.User) == 0 && a.Modified.IsZero()
}

func (a *Attributes) store() store.Attributes {
	if a == nil {
		return store.Attributes{}
	}
	return store.Attributes{ContentType: a.ContentType, ContentEncoding: a.ContentEncoding, ContentDisposition: a.ContentDisposition,
		CacheControl: a.CacheControl, ContentLanguage: a.ContentLanguage, User: maps.Clone(a.User), Modified: a.Modified}
}

// NewPlanFile makes the file of a plan that was kept. beside receives each content that does not stand in the file
// itself, by the name that it must have beside the file; the same content comes once.
func NewPlanFile(p *Plan, beside func(name string, data []byte) error) (*PlanFile, error) {
	f := &PlanFile{Version: planVersion, Stores: p.stores, Steps: slices.Clone(p.Steps), Events: []FileEvent{}}
	if f.Steps == nil {
		f.Steps = []Step{}
	}
	seen := map[string]bool{}
	for i := range f.Steps {
		s := &f.Steps[i]
		if s.Content == nil {
			continue
		}
		c := *s.Content
		s.Content = &c
		if len(s.data) <= shortText && utf8.Valid(s.data) {
			c.Text = string(s.data)
			continue
		}
		c.Beside = true
		if !seen[c.SHA256] {
			seen[c.SHA256] = true
			if err := beside(c.SHA256, s.data); err != nil {
				return nil, err
			}
		}
	}
	size := 0
	err := p.EachEvent(func(e PlannedEvent) error {
		text, err := event.Encode(e.Message)
		if err != nil {
			return err
		}
		if size += len(text); size > maxPlanFile {
			return fault.New(fault.Limit, "the events of the plan have more than %d bytes, a plan file at most as many", maxPlanFile)
		}
		f.Events = append(f.Events, FileEvent{e.Topic, text})
		return nil
	})
	return f, err
}

// Encode returns the text of the file.
func (f *PlanFile) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		return nil, err
	}
	if b.Len() > maxPlanFile {
		return nil, fault.New(fault.Limit, "the plan has %d bytes, a plan file at most %d", b.Len(), maxPlanFile)
	}
	return b.Bytes(), nil
}

// DecodePlan reads what Encode wrote.
func DecodePlan(text []byte) (*PlanFile, error) {
	f := &PlanFile{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, fault.Hinted(fault.InvalidArgument, "A plan is written by dsrun run --dry-run --plan-out FILE.", "this is no plan: %v", err)
	}
	if f.Version != planVersion {
		return nil, fault.Hinted(fault.InvalidArgument, "Make the plan anew.", "the plan is of version %d, this program carries out version %d", f.Version, planVersion)
	}
	sum := sha256.Sum256(text)
	f.id = hex.EncodeToString(sum[:])
	for i, s := range f.Steps {
		if err := s.valid(); err != nil {
			return nil, fault.New(fault.InvalidArgument, "step %d of the plan: %w", i+1, err)
		}
	}
	for i, e := range f.Events {
		if _, err := event.Decode(e.Event); err != nil || e.Topic == "" {
			return nil, fault.New(fault.InvalidArgument, "event %d of the plan: %v", i+1, err)
		}
	}
	return f, nil
}

// valid refuses a step that somebody has changed into nonsense. Whether content is what the step says is checked when it
// is read.
func (s *Step) valid() error {
	content, from := s.Content != nil, s.From != nil
	switch {
	case s.Store == "" || s.Path == "":
		return fmt.Errorf("it has no target")
	case s.Action == "create" && content && !from && s.Target == nil:
	case s.Action == "overwrite" && content && !from && s.Target != nil:
	case s.Action == "copy" && from && !content:
	case s.Action == "delete" && !from && !content && s.Target != nil:
	default:
		return fmt.Errorf("what it says of %q does not go together", s.Action)
	}
	if content {
		if b, err := hex.DecodeString(s.Content.SHA256); err != nil || len(b) != sha256.Size {
			return fmt.Errorf("the checksum of its content is none")
		}
	}
	return nil
}
