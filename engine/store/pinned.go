package store

import "context"

// SameState tells by version and ETag, else by size and time of modification, whether two descriptions are of one state
// of one object. proven is false where they do not tell.
func SameState(a, b Entry) (same, proven bool) {
	switch compare(a, b) {
	case other:
		return false, true
	case unprovable:
		return false, false
	}
	return true, true
}

// OpenPinned opens the state of an object that e describes; another one is FailedPrecondition.
func (s *Store) OpenPinned(ctx context.Context, e Entry) (*Reader, error) {
	return s.openPinned(ctx, e, nil)
}
