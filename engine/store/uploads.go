package store

import (
	"context"
	"iter"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// Uploads yields the uploads in parts that were begun and neither committed nor aborted, of keys that start with prefix.
// An error is the last thing it yields; without one the listing is complete. A store that keeps or lists none is
// Unimplemented.
func (s *Store) Uploads(ctx context.Context, prefix string) iter.Seq2[PendingUpload, error] {
	return func(yield func(PendingUpload, error) bool) {
		call := Call{Op: "uploads", Key: prefix, Retryable: true}
		l, ok := s.d.(UploadLister)
		if !ok {
			yield(PendingUpload{}, s.wrap(ctx, call, fault.New(fault.Unimplemented, "stores of kind %q have no unfinished uploads to list: %s",
				s.kind, s.why("Part", "the service does not tell of them"))))
			return
		}
		token, seen := "", map[string]bool{}
		for {
			var p UploadPage
			err := s.do(ctx, call, func(ctx context.Context) (err error) {
				p, err = l.Uploads(ctx, s.full(prefix), token)
				return err
			})
			if err != nil {
				yield(PendingUpload{}, err)
				return
			}
			for _, u := range p.Uploads {
				if !strings.HasPrefix(u.Key, s.full(prefix)) {
					yield(PendingUpload{}, s.wrap(ctx, call, fault.New(fault.DataLoss, "the listing of uploads holds the key %q, which does not start with %q", u.Key, s.full(prefix))))
					return
				}
				u.Key = u.Key[len(s.o.Prefix):]
				if !yield(u, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			if seen[p.Next] || p.Next == token {
				yield(PendingUpload{}, s.wrap(ctx, call, fault.New(fault.DataLoss, "the listing of uploads gave the same continuation token twice and would never end")))
				return
			}
			seen[p.Next], token = true, p.Next
		}
	}
}

// AbortUpload drops an unfinished upload and the parts that it has. One that is gone already is no error.
func (s *Store) AbortUpload(ctx context.Context, u PendingUpload) error {
	call := Call{Op: "abort", Key: u.Key, Write: true, Retryable: true}
	err := s.checkKey(u.Key)
	if err == nil {
		err = refusal(s.o.Mode, call)
	}
	mp, ok := s.d.(Multiparter)
	if err == nil && !ok {
		err = fault.New(fault.Unimplemented, "stores of kind %q have no uploads in parts", s.kind)
	}
	if err != nil {
		return s.wrap(ctx, call, err)
	}
	err = s.do(ctx, call, func(ctx context.Context) error {
		up, err := mp.Resume(ctx, u.State)
		if err != nil {
			return err
		}
		return up.Abort(ctx)
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
