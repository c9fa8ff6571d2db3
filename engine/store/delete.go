package store

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
)

// deleteWorkers is the number of single deletes at once where a store has no batches.
const deleteWorkers = 16

// Delete removes an object; an absent one is NotFound unless missingOK.
func (s *Store) Delete(ctx context.Context, key string, missingOK bool) error {
	call := Call{Op: "delete", Key: key, Write: true, Replace: true, Retryable: true}
	if err := s.deletable(key, call); err != nil {
		return s.wrap(ctx, call, err)
	}
	if !missingOK {
		if _, err := s.Stat(ctx, key, Cond{}); err != nil {
			return err
		}
	}
	err := s.do(ctx, call, func(ctx context.Context) error { return s.d.Delete(ctx, s.full(key), Cond{}) })
	if err == nil || fault.Is(err, fault.NotFound) {
		s.deleted(key)
		return nil
	}
	return err
}

func (s *Store) deletable(key string, c Call) error {
	if err := s.checkKey(key); err != nil {
		return err
	}
	return s.removable(c)
}

func (s *Store) removable(c Call) error {
	if err := refusal(s.o.Mode, c); err != nil {
		return err
	}
	if s.caps.ReadOnly {
		return fault.New(fault.PermissionDenied, "%s", s.why("ReadOnly", "stores of this kind cannot be written to"))
	}
	return nil
}

// KeyError is what happened to one object of many.
type KeyError struct {
	Key string
	Err error
}

// DeleteKeys removes many objects and returns the error of each that is still there, in the order of keys. Absent keys
// are no errors. Its own error means that the rest was not tried.
func (s *Store) DeleteKeys(ctx context.Context, keys []string) ([]KeyError, error) {
	call := Call{Op: "deletebatch", Write: true, Replace: true, Retryable: true}
	if err := s.removable(call); err != nil {
		return nil, s.wrap(ctx, call, err)
	}
	errs := make([]error, len(keys))
	var err error
	if b, ok := s.d.(BatchDeleter); ok && b.MaxDeleteBatch() > 1 {
		err = s.deleteBatches(ctx, b, call, keys, errs)
	} else {
		all := make([]int, len(keys))
		for i := range keys {
			all[i] = i
		}
		err = s.deleteSingly(ctx, keys, all, errs)
	}
	var out []KeyError
	for i, e := range errs {
		if e != nil {
			out = append(out, KeyError{keys[i], e})
		}
	}
	return out, err
}

func (s *Store) deleteBatches(ctx context.Context, b BatchDeleter, call Call, keys []string, errs []error) error {
	var again []int // of those, each by itself has another chance
	var batch []int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		full := make([]string, len(batch))
		for i, k := range batch {
			full[i] = s.full(keys[k])
		}
		var failed map[string]error
		err := s.do(ctx, call, func(ctx context.Context) (err error) {
			failed, err = b.DeleteBatch(ctx, full)
			return err
		})
		if ctx.Err() != nil {
			return s.wrap(ctx, call, context.Cause(ctx))
		}
		for i, k := range batch {
			kerr := err
			if kerr == nil {
				kerr = failed[full[i]]
				delete(failed, full[i])
			}
			one := Call{Op: "delete", Key: keys[k]}
			switch {
			case kerr == nil || err == nil && s.classify(kerr).Code == fault.NotFound:
				s.deleted(keys[k])
			case err == nil && s.classify(kerr).Retryable():
				again = append(again, k)
			default:
				errs[k] = s.wrap(ctx, one, kerr)
			}
		}
		batch = batch[:0]
		for stray, serr := range failed {
			return s.wrap(ctx, call, fault.New(fault.Internal, "the driver reports %q, which was not to be deleted: %v", stray, serr))
		}
		return nil
	}
	seen := make(map[string]bool, min(len(keys), b.MaxDeleteBatch()))
	for i, key := range keys {
		if err := s.checkKey(key); err != nil {
			errs[i] = s.wrap(ctx, Call{Op: "delete", Key: key}, err)
			continue
		}
		if len(batch) == b.MaxDeleteBatch() || seen[key] {
			if err := flush(); err != nil {
				return err
			}
			clear(seen)
		}
		seen[key] = true
		batch = append(batch, i)
	}
	if err := flush(); err != nil {
		return err
	}
	return s.deleteSingly(ctx, keys, again, errs)
}

// deleteSingly deletes keys[i] for each i of which.
func (s *Store) deleteSingly(ctx context.Context, keys []string, which []int, errs []error) error {
	var g errgroup.Group
	g.SetLimit(deleteWorkers)
	var mu sync.Mutex
	for _, i := range slices.Clip(which) {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			err := s.Delete(ctx, keys[i], true)
			mu.Lock()
			errs[i] = err
			mu.Unlock()
			return nil
		})
	}
	_ = g.Wait()
	if ctx.Err() != nil {
		return s.wrap(ctx, Call{Op: "deletebatch"}, context.Cause(ctx))
	}
	return nil
}
