package store

import "context"

// Budget bounds the memory that transfers of one run hold together.
type Budget struct{}

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget { panic("to be built") }

// Acquire waits until n bytes are free; Release gives them back. A request for more than the whole budget waits for all of it.
func (b *Budget) Acquire(ctx context.Context, n int64) error { panic("to be built") }

// Release gives n bytes back.
func (b *Budget) Release(n int64) { panic("to be built") }
