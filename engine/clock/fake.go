package clock

import (
	"sync"
	"time"
)

// Fake is a clock for tests: waiting moves it forward at once and is recorded.
type Fake struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

// NewFake returns a fake clock that stands at now.
func NewFake(now time.Time) *Fake { return &Fake{now: now} }

// Now returns the fake time.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// After moves the clock by d, records the wait and fires at once.
func (f *Fake) After(d time.Duration) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.waits = append(f.waits, d)
	c := make(chan time.Time, 1)
	c <- f.now
	return c
}

// Advance moves the clock by d without recording a wait.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// Waits returns every duration that was waited for so far.
func (f *Fake) Waits() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration(nil), f.waits...)
}
