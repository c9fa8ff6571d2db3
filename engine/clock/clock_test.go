package clock

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestFake(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := NewFake(start)
	if err := Sleep(t.Context(), f, time.Hour); err != nil {
		t.Fatal(err)
	}
	f.Advance(time.Minute)
	if at := <-f.After(time.Second); !at.Equal(start.Add(time.Hour+time.Minute+time.Second)) || !f.Now().Equal(at) {
		t.Errorf("it is %v", at)
	}
	if w := f.Waits(); !slices.Equal(w, []time.Duration{time.Hour, time.Second}) {
		t.Errorf("waits %v", w)
	}
}

func TestSleep(t *testing.T) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	begun := time.Now()
	if err := Sleep(ctx, Real, time.Minute); err != cause || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	for _, d := range []time.Duration{0, -1, time.Hour} {
		if err := Sleep(ctx, NewFake(begun), d); err != cause {
			t.Errorf("a wait of %v under an ended context: %v", d, err)
		}
	}
	begun = time.Now()
	if err := Sleep(t.Context(), Real, 20*time.Millisecond); err != nil || time.Since(begun) < 20*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	if d := time.Since(Real.Now()); d > time.Second || d < 0 {
		t.Errorf("the real clock is off by %v", d)
	}
}
