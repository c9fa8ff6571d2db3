package retry

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// busy is an error with a class.
type busy struct{ c fault.Class }

func (busy) Error() string { return "busy" }

func classify(err error) fault.Class {
	var b busy
	if errors.As(err, &b) {
		return b.c
	}
	return fault.ClassOf(err)
}

func TestDo(t *testing.T) {
	unavailable := busy{fault.Class{Code: fault.Unavailable}}
	for name, c := range map[string]struct {
		err        error
		fails      int // before it succeeds
		repeatable bool
		policy     Policy
		attempts   int
		ok         bool
		least      time.Duration
		most       time.Duration
	}{
		"at once":                      {nil, 0, true, Policy{}, 1, true, 0, 0},
		"after two":                    {unavailable, 2, true, Policy{}, 3, true, 300 * time.Millisecond, 600 * time.Millisecond},
		"never":                        {unavailable, 99, true, Policy{}, 5, false, 1500 * time.Millisecond, 3 * time.Second},
		"own policy":                   {unavailable, 99, true, Policy{MaxAttempts: 3, Base: time.Second, Max: time.Second}, 3, false, time.Second, 2 * time.Second},
		"one attempt":                  {unavailable, 99, true, Policy{MaxAttempts: 1}, 1, false, 0, 0},
		"asks for 2 s twice":           {busy{fault.Class{Code: fault.ResourceExhausted, RetryAfter: 2 * time.Second}}, 2, true, Policy{}, 3, true, 4 * time.Second, 6 * time.Second},
		"asks for too long":            {busy{fault.Class{Code: fault.Unavailable, RetryAfter: time.Hour}}, 2, true, Policy{}, 1, false, 0, 0},
		"denied":                       {busy{fault.Class{Code: fault.PermissionDenied}}, 2, true, Policy{}, 1, false, 0, 0},
		"full disk":                    {busy{fault.Class{Code: fault.ResourceExhausted, NoRetry: true}}, 2, true, Policy{}, 1, false, 0, 0},
		"may be applied":               {busy{fault.Class{Code: fault.Unavailable, MaybeApplied: true}}, 1, false, Policy{}, 1, false, 0, 0},
		"may be applied, repeatable":   {busy{fault.Class{Code: fault.Unavailable, MaybeApplied: true}}, 1, true, Policy{}, 2, true, 0, time.Second},
		"not applied, not repeatable":  {unavailable, 1, false, Policy{}, 2, true, 0, time.Second},
		"what the standard library is": {context.DeadlineExceeded, 1, true, Policy{}, 1, false, 0, 0},
	} {
		f := clock.NewFake(start)
		told, calls := 0, 0
		r := &Retrier{Policy: c.policy, Clock: f, OnRetry: func(attempt int, wait time.Duration, err error) {
			if told++; attempt != told || err != c.err {
				t.Errorf("%s: told of attempt %d with %v", name, attempt, err)
			}
		}}
		err := r.Do(t.Context(), classify, c.repeatable, func(_ context.Context, attempt int) error {
			if calls++; attempt != calls {
				t.Errorf("%s: call %d is told to be attempt %d", name, calls, attempt)
			}
			if calls <= c.fails {
				return c.err
			}
			return nil
		})
		waited := f.Now().Sub(start)
		if calls != c.attempts || (err == nil) != c.ok || waited < c.least || waited > c.most || told != c.attempts-1 {
			t.Errorf("%s: %d attempts, %v, waited %v, told %d times", name, calls, err, waited, told)
		}
		if err != nil && err != c.err {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestDoEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	r := &Retrier{Policy: Policy{Base: time.Hour, Max: time.Hour}}
	time.AfterFunc(20*time.Millisecond, cancel)
	begun := time.Now()
	err := r.Do(ctx, classify, true, func(context.Context, int) error { calls++; return busy{fault.Class{Code: fault.Unavailable}} })
	if calls != 1 || err == nil || time.Since(begun) > 5*time.Second {
		t.Errorf("%d calls, %v after %v", calls, err, time.Since(begun))
	}
	// A wait that the deadline would cut is not begun.
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun = time.Now()
	_ = r.Do(ctx, classify, true, func(context.Context, int) error { return busy{fault.Class{Code: fault.Unavailable}} })
	if time.Since(begun) > 5*time.Second {
		t.Error("waits for a deadline that comes first")
	}
}

// While a service is down, all calls together cause few tries; once it works again, so do retries.
func TestBudget(t *testing.T) {
	b := NewBudget(10)
	calls := 0
	r := &Retrier{Clock: clock.NewFake(start), Budget: b}
	down := func(context.Context, int) error { calls++; return busy{fault.Class{Code: fault.Unavailable}} }
	for range 100 {
		_ = r.Do(t.Context(), classify, true, down)
	}
	if calls != 110 {
		t.Errorf("%d tries of 100 calls with a budget of 10", calls)
	}
	for range 20 {
		_ = r.Do(t.Context(), classify, true, func(context.Context, int) error { return nil })
	}
	calls = 0
	_ = r.Do(t.Context(), classify, true, down)
	if calls != 2 && calls != 3 { // 20 successes are worth two retries, but for rounding
		t.Errorf("%d tries after 20 successes", calls)
	}
	b.Earn(1000)
	calls = 0
	for range 100 {
		_ = r.Do(t.Context(), classify, true, down)
	}
	if calls != 110 {
		t.Errorf("%d tries: the budget grew beyond its size", calls)
	}
	var none *Budget
	if none.Earn(1); !none.take() {
		t.Error("no budget means no bound")
	}
}

func TestBackoff(t *testing.T) {
	p := Policy{Base: time.Second, Max: 10 * time.Second}
	for attempt := 1; attempt < 100; attempt++ {
		want := 10 * time.Second
		if attempt < 5 {
			want = min(time.Second<<(attempt-1), want)
		}
		for range 20 {
			if d := Backoff(p, attempt, 0); d < want/2 || d > want {
				t.Fatalf("attempt %d: %v, want %v to %v", attempt, d, want/2, want)
			}
		}
	}
	for range 20 {
		if d := Backoff(p, 1, 30*time.Second); d < 30*time.Second || d > 33*time.Second {
			t.Errorf("asked for 30 s, waits %v", d)
		}
	}
	if d := Backoff(Policy{Base: time.Hour}, 1, 0); d > 20*time.Second {
		t.Errorf("longer than the default maximum: %v", d)
	}
	if d := Backoff(Policy{Base: 1, Max: 1}, 50, 1); d < 1 || d > 2 {
		t.Errorf("smallest: %v", d)
	}
}
