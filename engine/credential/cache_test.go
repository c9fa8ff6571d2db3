package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// issuer gives numbered tokens that live for life; an error or a wait can be set.
type issuer struct {
	clock *clock.Fake
	life  time.Duration
	n     atomic.Int32
	mu    sync.Mutex
	err   error
	hold  chan struct{}
}

func (i *issuer) Resolve(ctx context.Context, w Want) (Value, error) {
	n := i.n.Add(1)
	i.mu.Lock()
	err, hold := i.err, i.hold
	i.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return Value{}, ctx.Err()
		}
	}
	if err != nil {
		return Value{}, err
	}
	v := Value{Fields: map[string]secret.String{"token": secret.New(fmt.Sprintf("token-%s-%d", w.Audience, n)), "user": secret.New("somebody")}}
	if i.life > 0 {
		v.Expires = i.clock.Now().Add(i.life)
	}
	return v, nil
}

func (i *issuer) Explain(context.Context) []Step { return []Step{{Source: "issuer", Used: true}} }

func (i *issuer) set(err error, hold chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err, i.hold = err, hold
}

func setup(life time.Duration) (*issuer, Source, *clock.Fake, *secret.Redactor) {
	c, r := clock.NewFake(begin), secret.NewRedactor()
	i := &issuer{clock: c, life: life}
	return i, Cached(i, c, r), c, r
}

func want(t *testing.T, s Source, w Want, token string) {
	t.Helper()
	v, err := s.Resolve(t.Context(), w)
	if err != nil || v.Fields["token"].Reveal() != token {
		t.Errorf("got %q, %v, want %q", v.Fields["token"].Reveal(), err, token)
	}
}

func TestCacheLife(t *testing.T) {
	_, s, c, _ := setup(time.Hour)
	want(t, s, Want{}, "token--1")
	c.Advance(47 * time.Minute)
	want(t, s, Want{}, "token--1")
	want(t, s, Want{Audience: "other"}, "token-other-2") // of its own
	c.Advance(2 * time.Minute)                           // beyond four fifths of an hour
	want(t, s, Want{}, "token--3")
	want(t, s, Want{}, "token--3")
	want(t, s, Want{Refresh: true}, "token--4")
	want(t, s, Want{Audience: "other"}, "token-other-2")
	if until := s.Explain(t.Context())[0].Until; !until.Equal(begin.Add(107 * time.Minute)) {
		t.Errorf("until %v", until)
	}

	_, s, c, _ = setup(0) // does not expire
	want(t, s, Want{}, "token--1")
	c.Advance(10000 * time.Hour)
	want(t, s, Want{}, "token--1")
}

func TestFailedRefresh(t *testing.T) {
	i, s, c, _ := setup(time.Hour)
	down := fault.New(fault.Unavailable, "down")
	want(t, s, Want{}, "token--1")
	c.Advance(50 * time.Minute)
	i.set(down, nil)
	for range 100 {
		want(t, s, Want{}, "token--1") // still valid
	}
	if n := i.n.Load(); n != 2 {
		t.Errorf("%d fetches: every call asks a service that is down", n)
	}
	if _, err := s.Resolve(t.Context(), Want{Refresh: true}); !errors.Is(err, down) {
		t.Errorf("a value that was refused is given again: %v", err)
	}
	c.Advance(9*time.Minute + 55*time.Second)
	want(t, s, Want{}, "token--1")
	c.Advance(6 * time.Second)
	if _, err := s.Resolve(t.Context(), Want{}); !errors.Is(err, down) {
		t.Errorf("an expired value is given: %v", err)
	}
	i.set(nil, nil)
	v, err := s.Resolve(t.Context(), Want{})
	if err != nil || v.Expires.Before(c.Now()) {
		t.Errorf("after the outage: %v", err)
	}
}

func TestOneFetch(t *testing.T) {
	i, s, _, _ := setup(time.Hour)
	hold := make(chan struct{})
	i.set(nil, hold)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() { want(t, s, Want{Refresh: n%2 == 0}, "token--1") })
	}
	for i.n.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	close(hold)
	wg.Wait()
	if n := i.n.Load(); n > 2 { // a caller with Refresh may come after the first fetch
		t.Errorf("%d fetches for 100 callers", n)
	}
}

func TestCallersLeave(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	i, s, _, _ := setup(time.Hour)
	i.set(nil, make(chan struct{}))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := s.Resolve(ctx, Want{}); first <- err }()
	for i.n.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan error, 1)
	patient, giveUp := context.WithTimeout(t.Context(), 5*time.Second)
	defer giveUp()
	go func() { _, err := s.Resolve(patient, Want{}); second <- err }()
	time.Sleep(10 * time.Millisecond)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case err := <-second:
		t.Errorf("the first caller's end ended the fetch of the second: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	giveUp() // nobody waits: the fetch ends, and a later caller gets one of its own
	if err := <-second; err == nil {
		t.Error("no error")
	}
	i.set(nil, nil)
	want(t, s, Want{}, "token--2")
	if _, err := s.Resolve(ctx, Want{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

func TestRedactorKnowsFirst(t *testing.T) {
	i, s, _, r := setup(time.Hour)
	v, err := s.Resolve(t.Context(), Want{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Redact("sent " + v.Fields["token"].Reveal() + " of somebody"); got != "sent "+secret.Mask+" of somebody" {
		t.Errorf("%q", got)
	}
	v.Fields["token"] = secret.New("changed by a caller")
	want(t, s, Want{}, "token--1")
	i.set(errors.New("refused for token--1"), nil)
	if _, err := s.Resolve(t.Context(), Want{Refresh: true}); err == nil || strings.Contains(err.Error(), "token--1") {
		t.Errorf("%v", err)
	}
}

func TestBadSources(t *testing.T) {
	c, r := clock.NewFake(begin), secret.NewRedactor()
	r.Add("canary-panic")
	boom := Cached(From("x", func(context.Context, Want) (Value, error) { panic("canary-panic") }), c, r)
	if _, err := boom.Resolve(t.Context(), Want{}); !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a panic: %v", err)
	}
	stale := Cached(From("x", func(context.Context, Want) (Value, error) { return Value{Expires: begin.Add(-time.Second)}, nil }), nil, nil)
	if _, err := stale.Resolve(t.Context(), Want{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an expired value: %v", err)
	}
}

func TestChain(t *testing.T) {
	r := secret.NewRedactor()
	asked := ""
	none := func(name string) Source {
		return From(name, func(context.Context, Want) (Value, error) {
			asked += name + " "
			return Value{}, fmt.Errorf("%s: %w", name, ErrAbsent)
		})
	}
	s := Chain(none("environment"), Static("block", map[string]secret.String{"token": secret.New("tok-12345"), "user": secret.New("somebody")}, r), none("instance"))
	want(t, s, Want{}, "tok-12345")
	if asked != "environment " {
		t.Errorf("asked %q", asked)
	}
	if got := r.Redact("tok-12345 somebody"); got != secret.Mask+" somebody" {
		t.Errorf("%q", got)
	}
	steps := s.Explain(t.Context())
	if len(steps) != 3 || steps[0].Used || !steps[1].Used || steps[2].Used || steps[1].Source != "block" {
		t.Errorf("%+v", steps)
	}
	_, err := Chain(none("environment"), none("file")).Resolve(t.Context(), Want{})
	if !fault.Is(err, fault.Unauthenticated) || !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "environment, file") {
		t.Errorf("nothing found: %v", err)
	}
	broken := errors.New("the file is damaged")
	bad := From("file", func(context.Context, Want) (Value, error) { return Value{}, broken })
	if _, err := Chain(bad, Static("block", nil, r)).Resolve(t.Context(), Want{}); err != broken {
		t.Errorf("a broken source was passed over: %v", err)
	}
}
