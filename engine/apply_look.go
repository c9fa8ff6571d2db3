package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// look compares everything that the plan touches with the states that it is pinned to, and finds out what an earlier
// execution has done.
func (a *Applying) look(ctx context.Context) error {
	var changed []Changed
	for name, id := range a.f.Stores {
		s, err := a.p.Store(ctx, name)
		if err != nil {
			return err
		}
		if now := identify(s); now != id {
			changed = append(changed, Changed{What: "datastore", Store: name, Reason: fmt.Sprintf("the plan was made for %s (%s), it is %s (%s)", id.URI, id.Kind, now.URI, now.Kind)})
		}
	}
	for _, s := range a.f.Steps { // one that the plan does not identify was added by hand
		for _, name := range []string{s.Store, sourceStore(s)} {
			if _, ok := a.f.Stores[name]; !ok && name != "" {
				return fault.New(fault.InvalidArgument, "the plan does not say which datastore %q is", name)
			}
		}
	}
	if len(changed) > 0 {
		slices.SortFunc(changed, func(a, b Changed) int { return strings.Compare(a.Store, b.Store) })
		return refused(changed)
	}
	for _, e := range a.f.Events {
		if _, err := a.p.find("topic", e.Topic); err != nil {
			return err
		}
	}
	found := make([][]Changed, len(a.f.Steps))
	err := a.each(ctx, 0, len(a.f.Steps), func(ctx context.Context, i int) (err error) {
		found[i], err = a.lookAt(ctx, i)
		return err
	})
	if err != nil {
		return err
	}
	if changed = slices.Concat(found...); len(changed) > 0 {
		return refused(changed)
	}
	return nil
}

func sourceStore(s Step) string {
	if s.From == nil {
		return ""
	}
	return s.From.Store
}

func refused(changed []Changed) error {
	return fault.Hinted(fault.FailedPrecondition, "Make the plan anew: dsrun run --dry-run --plan-out FILE.", "%w", &ChangedError{changed})
}

// lookAt compares the target and source of one step.
func (a *Applying) lookAt(ctx context.Context, i int) ([]Changed, error) {
	s := &a.f.Steps[i]
	if s.Content != nil {
		if _, err := a.content(s); err != nil { // before anything is done
			return nil, err
		}
	}
	now, err := a.stat(ctx, s.Store, s.Path)
	if err != nil {
		return nil, err
	}
	differs := func(what, store, path, reason string) []Changed {
		return []Changed{{i + 1, what, store, path, reason}}
	}
	if r, done := a.recorded(i); done {
		if why := difference(r.State, now, s.Path); why != "" {
			return differs("target", s.Store, s.Path, "since an earlier execution of this plan: "+why), nil
		}
		return nil, nil
	}
	why := difference(s.Target, now, s.Path)
	if why != "" {
		done, err := a.carriedOut(ctx, s, now)
		if err != nil {
			return nil, err
		}
		if !done {
			return differs("target", s.Store, s.Path, why), nil
		}
		return nil, a.record(i, now)
	}
	if s.From == nil {
		return nil, nil
	}
	src, err := a.stat(ctx, s.From.Store, s.From.Path)
	if err != nil {
		return nil, err
	}
	if why := difference(&s.From.State, src, s.From.Path); why != "" {
		return differs("source", s.From.Store, s.From.Path, why), nil
	}
	return nil, nil
}

func (a *Applying) stat(ctx context.Context, name, key string) (*store.Entry, error) {
	s, err := a.p.Store(ctx, name)
	if err != nil {
		return nil, err
	}
	e, err := s.Stat(ctx, key, store.Cond{})
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return &e, err
}

// difference says how an object is not in a state, or "". Nil means that there is none.
func difference(was *State, now *store.Entry, key string) string {
	switch {
	case was == nil && now == nil:
		return ""
	case was == nil:
		return "it exists (" + stateOf(*now).String() + "), there was none"
	case now == nil:
		return "it is gone (it was " + was.String() + ")"
	}
	same, proven := store.SameState(was.entry(key), *now)
	switch {
	case same:
		return ""
	case !proven:
		return "the datastore does not show whether it is still the same"
	}
	return "it is another one: was " + was.String() + "; is " + stateOf(*now).String()
}

// carriedOut reports whether a target that is not as it was is what the step would make: an earlier execution was ended
// before it could record the step.
func (a *Applying) carriedOut(ctx context.Context, s *Step, now *store.Entry) (bool, error) {
	if s.Action == "delete" || now == nil {
		return s.Action == "delete" && now == nil, nil
	}
	if s.Size >= 0 && now.Size >= 0 && s.Size != now.Size {
		return false, nil
	}
	dst, err := a.p.Store(ctx, s.Store)
	if err != nil {
		return false, err
	}
	if s.From == nil {
		r, err := dst.OpenPinned(ctx, *now)
		if err != nil {
			return false, err
		}
		defer r.Close()
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return false, err
		}
		return hex.EncodeToString(h.Sum(nil)) == s.Content.SHA256, nil
	}
	from, err := a.stat(ctx, s.From.Store, s.From.Path)
	if err != nil || difference(&s.From.State, from, s.From.Path) != "" {
		return false, err
	}
	src, err := a.p.Store(ctx, s.From.Store)
	if err != nil {
		return false, err
	}
	r, err := dst.OpenPinned(ctx, *now)
	if err != nil {
		return false, err
	}
	defer r.Close()
	want, err := src.OpenPinned(ctx, *from)
	if err != nil {
		return false, err
	}
	defer want.Close()
	return equalBytes(r, want)
}
