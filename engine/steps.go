package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Step is one change that a plan makes to one object: what is there in the end, whatever the dry run did on the way. It
// is pinned to the states of its target and source that the dry run saw.
type Step struct {
	Action  string      `json:"action"` // create, overwrite, copy or delete
	Store   string      `json:"store"`
	Path    string      `json:"path"`
	Size    int64       `json:"size"`             // bytes; -1 unknown
	Target  *State      `json:"target,omitempty"` // as it was; nil: there was none
	From    *StepSource `json:"from,omitempty"`   // of a copy
	Attrs   *Attributes `json:"attributes,omitempty"`
	Content *Content    `json:"content,omitempty"` // of what is created or overwritten

	data []byte
}

// State is what is known of one state of one object.
type State struct {
	Size     int64     `json:"size"` // bytes; -1 unknown
	ETag     string    `json:"etag,omitempty"`
	Version  string    `json:"version,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

// StepSource is the object that a copy is made of.
type StepSource struct {
	Store string `json:"store"`
	Path  string `json:"path"`
	State State  `json:"state"`
}

// Content is what a step writes: a short text in the plan itself, anything else in a file beside it that is named by its
// checksum.
type Content struct {
	SHA256 string `json:"sha256"`
	Text   string `json:"text,omitempty"`
	Beside bool   `json:"beside,omitempty"`
}

func stateOf(e store.Entry) State {
	return State{e.Size, e.ETag, e.Version, e.Modified}
}

func (s State) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: s.Size, ETag: s.ETag, Version: s.Version, Modified: s.Modified}
}

// String says what tells the state from others, for people.
func (s State) String() string {
	parts := []string{}
	if s.Size >= 0 {
		parts = append(parts, fmt.Sprintf("%d bytes", s.Size))
	}
	if s.Version != "" {
		parts = append(parts, "version "+s.Version)
	}
	if s.ETag != "" {
		parts = append(parts, "ETag "+s.ETag)
	} else if !s.Modified.IsZero() {
		parts = append(parts, "of "+s.Modified.UTC().Format(time.RFC3339Nano))
	}
	return strings.Join(parts, ", ")
}

// place is an object by its datastore and path.
type place struct{ store, path string }

// maxMoved bounds what a plan holds of objects that the steps move around in a circle, in bytes.
const maxMoved = 64 << 20

// steps returns the plan of a dry run as steps that can be carried out one after another: an object that is copied is
// read before it is replaced or deleted. Where that is impossible, since objects change places, the plan holds the content
// of one of them.
func (h *host) steps(ctx context.Context, overlays []*overlaid) ([]Step, error) {
	byDriver := map[store.Driver]*overlaid{}
	for _, o := range overlays {
		byDriver[o.overlay] = o
	}
	type ordered struct {
		Step
		seq int64
	}
	var list []ordered
	for _, o := range overlays {
		for _, p := range o.overlay.Final() {
			s := Step{Action: "create", Store: o.Name(), Path: strings.TrimPrefix(p.Key, o.Prefix()), Size: p.Entry.Size}
			if p.Base != nil {
				st := stateOf(*p.Base)
				s.Target, s.Action = &st, "overwrite"
			}
			switch {
			case p.Gone:
				s.Action, s.Size = "delete", 0
			case p.From != nil:
				src := byDriver[p.From.Driver]
				if src == nil {
					return nil, fault.New(fault.Unimplemented, "%s:%s is a copy of an object that no declared datastore holds", s.Store, s.Path)
				}
				s.Action = "copy"
				s.From = &StepSource{src.Name(), strings.TrimPrefix(p.From.Key, src.Prefix()), stateOf(p.From.Entry)}
			default:
				s.hold(p.Data)
				s.Attrs = attributesOf(p.Entry.Attrs)
			}
			list = append(list, ordered{s, p.Seq})
		}
	}
	slices.SortStableFunc(list, func(a, b ordered) int { return cmp.Compare(a.seq, b.seq) })
	steps := make([]Step, len(list))
	for i := range list {
		steps[i] = list[i].Step
	}
	return h.sequence(ctx, steps)
}

func (s *Step) hold(data []byte) {
	sum := sha256.Sum256(data)
	s.data, s.Content, s.Size = data, &Content{SHA256: hex.EncodeToString(sum[:])}, int64(len(data))
}

// sequence moves copies before the steps that change their sources, and leaves the order alone otherwise.
func (h *host) sequence(ctx context.Context, steps []Step) ([]Step, error) {
	out := make([]Step, 0, len(steps))
	left := steps
	moved := int64(0)
	for len(left) > 0 {
		read := map[place]int{} // how many of the steps left read an object
		for _, s := range left {
			if s.From != nil {
				read[place{s.From.Store, s.From.Path}]++
			}
		}
		var rest []Step
		for _, s := range left {
			at := place{s.Store, s.Path}
			if read[at] > 0 {
				rest = append(rest, s)
				continue
			}
			out = append(out, s)
			if s.From != nil {
				read[place{s.From.Store, s.From.Path}]--
			}
		}
		if len(rest) == len(left) {
			i := slices.IndexFunc(rest, func(s Step) bool { return s.From != nil })
			if moved += max(0, rest[i].Size); moved > maxMoved {
				return nil, fault.New(fault.Limit, "objects change places, of which a plan holds at most %d bytes", maxMoved)
			}
			if err := h.embed(ctx, &rest[i]); err != nil {
				return nil, err
			}
		}
		left = rest
	}
	return out, nil
}

// embed turns a copy into a step that holds the content.
func (h *host) embed(ctx context.Context, s *Step) error {
	src, err := h.p.Store(ctx, s.From.Store)
	if err != nil {
		return err
	}
	r, err := src.OpenPinned(ctx, s.From.State.entry(s.From.Path))
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxMoved+1))
	if err != nil {
		return err
	}
	if len(data) > maxMoved {
		return fault.New(fault.Limit, "objects change places, of which a plan holds at most %d bytes", maxMoved)
	}
	e := r.Entry()
	s.Attrs, s.From, s.Action = attributesOf(e.Attrs), nil, "create"
	if s.Target != nil {
		s.Action = "overwrite"
	}
	s.hold(data)
	return nil
}
