// Package retry is the one retry policy of dsrun. SDK retries are off.
package retry

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

// Policy says how often and how long to try. The zero value means the defaults.
type Policy struct {
	MaxAttempts int           // of one call, the first included; default 5
	Base        time.Duration // first wait before jitter; default 200 ms
	Max         time.Duration // longest wait of our own choosing; default 20 s
	MaxWait     time.Duration // longest Retry-After that is waited for; default 2 min
}

func (p Policy) withDefaults() Policy {
	if p.MaxAttempts <= 0 {
		p.MaxAttempts = 5
	}
	if p.Base <= 0 {
		p.Base = 200 * time.Millisecond
	}
	if p.Max <= 0 {
		p.Max = 20 * time.Second
	}
	if p.MaxWait <= 0 {
		p.MaxWait = 2 * time.Minute
	}
	return p
}

// Budget bounds the retries of all calls to one service together, so that an outage is not met with a storm: a retry
// costs one token, a success earns a tenth of one back. The model is gRPC's retry throttling (gRFC A6).
type Budget struct {
	mu     sync.Mutex
	tokens float64
	size   float64
}

// NewBudget returns a full budget of n retries.
func NewBudget(n int) *Budget { return &Budget{tokens: float64(n), size: float64(n)} }

func (b *Budget) take() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Earn gives back what n successes are worth. Do counts one for each call that succeeds; a call that did many things
// tells of the others.
func (b *Budget) Earn(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.size, b.tokens+0.1*float64(n))
}

// Retrier runs calls under a policy. The zero value works.
type Retrier struct {
	Policy Policy
	Clock  clock.Clock // nil means clock.Real
	Budget *Budget     // nil means unbounded
	// OnRetry is told of each retry before the wait.
	OnRetry func(attempt int, wait time.Duration, err error)
}

// Do calls fn until it succeeds, its error is not retryable, or attempts, budget or time are used up. classify tells
// what an error means; repeatable says that doing fn again is safe although it may have been applied.
func (r *Retrier) Do(ctx context.Context, classify func(error) fault.Class, repeatable bool, fn func(ctx context.Context, attempt int) error) error {
	p := r.Policy.withDefaults()
	c := r.Clock
	if c == nil {
		c = clock.Real
	}
	for attempt := 1; ; attempt++ {
		err := fn(ctx, attempt)
		if err == nil {
			r.Budget.Earn(1)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		class := classify(err)
		if !class.Retryable() || attempt >= p.MaxAttempts || (class.MaybeApplied && !repeatable) || class.RetryAfter > p.MaxWait {
			return err
		}
		if !r.Budget.take() {
			return err
		}
		wait := Backoff(p, attempt, class.RetryAfter)
		if deadline, ok := ctx.Deadline(); ok && c.Now().Add(wait).After(deadline) {
			return err
		}
		if r.OnRetry != nil {
			r.OnRetry(attempt, wait, err)
		}
		if clock.Sleep(ctx, c, wait) != nil {
			return err
		}
	}
}

// Backoff returns the wait before the try that follows attempt: what the service asked for, and up to a tenth more so
// that clients do not return together; else a random time between half and all of Base*2^(attempt-1), capped at Max.
func Backoff(p Policy, attempt int, retryAfter time.Duration) time.Duration {
	p = p.withDefaults()
	if retryAfter > 0 {
		return retryAfter + rand.N(retryAfter/10+1)
	}
	d := p.Max
	if shift := attempt - 1; shift < 20 {
		d = min(p.Base<<shift, p.Max)
	}
	return d/2 + rand.N(d/2+1)
}
