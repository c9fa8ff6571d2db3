package store

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
)

// errMoved says why the source of a copy was left.
func errMoved() error {
	return fault.Hinted(fault.FailedPrecondition, "The target holds the state that was copied; move the object again, overwriting it.",
		"the object changed since it was copied, so that it was not deleted")
}

// DeletePinned removes the object e only while it is in the state that e describes; one that is gone is no error. Where
// Caps.IfMatch the service checks that itself, else the object is asked for right before. A store that shows nothing to
// tell states apart is FailedPrecondition.
func (s *Store) DeletePinned(ctx context.Context, e Entry) error {
	call := Call{Op: "delete", Key: e.Key, Write: true, Replace: true, Retryable: true}
	if err := s.deletable(e.Key, call); err != nil {
		return s.wrap(ctx, call, err)
	}
	if s.caps.IfMatch && e.ETag != "" {
		err := s.do(ctx, call, func(ctx context.Context) error {
			return s.d.Delete(ctx, s.full(e.Key), Cond{IfMatch: e.ETag})
		})
		switch {
		case err == nil:
			s.deleted(e.Key)
			return nil
		case fault.Is(err, fault.FailedPrecondition), fault.Is(err, fault.NotFound):
			// Also what a second try says of an object that the first has removed.
			if _, serr := s.Stat(ctx, e.Key, Cond{}); fault.Is(serr, fault.NotFound) {
				s.deleted(e.Key)
				return nil
			}
			return s.wrap(ctx, call, errMoved())
		case !fault.Is(err, fault.Unimplemented):
			return err
		}
	}
	is, err := s.Stat(ctx, e.Key, Cond{})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch compare(e, is) {
	case other:
		return s.wrap(ctx, call, errMoved())
	case unprovable:
		return s.wrap(ctx, call, fault.New(fault.FailedPrecondition, "the store does not show whether the object is still the same, so that it was not deleted"))
	}
	return s.Delete(ctx, e.Key, true)
}

// remove deletes the source of a copy once the target is seen to hold it. out is what the copy returned.
func (c *copier) remove(ctx context.Context, e, out Entry, key string) error {
	is, err := c.dst.Stat(ctx, key, Cond{})
	if err != nil {
		return err
	}
	err = sameContent(e, is)
	if err == nil && (e.Size < 0 || is.Size < 0) && compare(out, is) != same || compare(out, is) == other {
		err = fault.New(fault.DataLoss, "the target is not the copy any more, so that the source was not deleted")
	}
	if err != nil {
		return c.dst.wrap(ctx, Call{Op: "copy", Key: key}, err)
	}
	if err := c.src.DeletePinned(ctx, e); err != nil {
		return err
	}
	c.mu.Lock()
	c.res.Deleted++
	c.mu.Unlock()
	return nil
}

// moved deletes a source whose target is proven to hold the same bytes already, and reports whether it could be proven.
func (c *copier) moved(ctx context.Context, t copyTask) (bool, error) {
	if equal, known := equalSums(t.e.Sums, t.target.Sums); !known || !equal || t.e.Size != t.target.Size {
		return false, nil
	}
	if err := c.remove(ctx, t.e, t.target, t.key); err != nil {
		return true, err
	}
	c.skip(t.e)
	return true, nil
}
