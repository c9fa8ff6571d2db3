package store

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the memory that transfers of one run hold together. A nil Budget does not bind. It is safe for
// concurrent use; waiters are served in the order they came.
type Budget struct {
	size int64
	used atomic.Int64
	peak atomic.Int64
	sem  *semaphore.Weighted
}

// NewBudget returns a budget of n bytes; n below 1 counts as 1.
func NewBudget(n int64) *Budget {
	n = max(n, 1)
	return &Budget{size: n, sem: semaphore.NewWeighted(n)}
}

// Acquire waits until n bytes are free; Release gives them back. A request for more than the whole budget waits for all
// of it.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	if b == nil || n <= 0 {
		return nil
	}
	n = min(n, b.size)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return context.Cause(ctx)
	}
	b.count(n)
	return nil
}

// TryAcquire takes n bytes when they are free now and reports whether it did.
func (b *Budget) TryAcquire(n int64) bool {
	if b == nil || n <= 0 {
		return true
	}
	n = min(n, b.size)
	if !b.sem.TryAcquire(n) {
		return false
	}
	b.count(n)
	return true
}

// Release gives n bytes back: the same n that was acquired.
func (b *Budget) Release(n int64) {
	if b == nil || n <= 0 {
		return
	}
	n = min(n, b.size)
	b.used.Add(-n)
	b.sem.Release(n)
}

// Size returns the whole budget in bytes, 0 for a nil Budget.
func (b *Budget) Size() int64 {
	if b == nil {
		return 0
	}
	return b.size
}

// Used returns the bytes that are held now, and Peak the most that ever were.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Peak returns the most bytes that were ever held at once.
func (b *Budget) Peak() int64 {
	if b == nil {
		return 0
	}
	return b.peak.Load()
}

func (b *Budget) count(n int64) {
	used := b.used.Add(n)
	for {
		p := b.peak.Load()
		if used <= p || b.peak.CompareAndSwap(p, used) {
			return
		}
	}
}
