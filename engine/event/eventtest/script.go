package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// Script is a driver that passes calls on to another and misbehaves as told.
type Script struct {
	event.Driver
	// On says what happens to call n of Publish, from 0; nil means that every call passes.
	On func(n int, batch []event.Message) Fault
	// OnCheck is asked before Check is passed on.
	OnCheck func(n int) error

	mu     sync.Mutex
	calls  [][]event.Message
	checks int
	closed int
}

// Fault is what happens to one call. The zero Fault lets it pass.
type Fault struct {
	Err    error         // the call fails and nothing reaches the bus
	Refuse map[int]error // these messages do not reach the bus
	Lost   error         // all reaches the bus, and the caller is told this
	Raw    error         // nothing reaches the bus, and exactly this is returned
	Panic  any
	Until  <-chan struct{} // first wait for this, or for the end of the context
}

// Publish implements event.Driver.
func (s *Script) Publish(ctx context.Context, batch []event.Message) error {
	s.mu.Lock()
	n := len(s.calls)
	s.calls = append(s.calls, slices.Clone(batch))
	s.mu.Unlock()
	var f Fault
	if s.On != nil {
		f = s.On(n, batch)
	}
	if f.Until != nil {
		select {
		case <-f.Until:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch {
	case f.Panic != nil:
		panic(f.Panic)
	case f.Raw != nil:
		return f.Raw
	case f.Err != nil:
		return f.Err
	case len(f.Refuse) == 0:
		if err := s.Driver.Publish(ctx, batch); err != nil {
			return err
		}
		return f.Lost
	}
	var pass []event.Message
	refused := &event.BatchError{}
	for i, m := range batch {
		if err, ok := f.Refuse[i]; ok {
			refused.Failed = append(refused.Failed, event.Failure{Index: i, Err: err})
		} else {
			pass = append(pass, m)
		}
	}
	if len(pass) > 0 {
		if err := s.Driver.Publish(ctx, pass); err != nil {
			return err
		}
	}
	return refused
}

// Check implements event.Driver.
func (s *Script) Check(ctx context.Context) error {
	s.mu.Lock()
	n := s.checks
	s.checks++
	s.mu.Unlock()
	if s.OnCheck != nil {
		if err := s.OnCheck(n); err != nil {
			return err
		}
	}
	return s.Driver.Check(ctx)
}

// Classify implements event.Driver: a Refusal is what it says.
func (s *Script) Classify(err error) fault.Class {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Class
	}
	return s.Driver.Classify(err)
}

// Close implements event.Driver.
func (s *Script) Close() error {
	s.mu.Lock()
	s.closed++
	s.mu.Unlock()
	return s.Driver.Close()
}

// Calls returns the batches that Publish was given, in order.
func (s *Script) Calls() [][]event.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Checks returns how often Check was called, and Closes how often Close.
func (s *Script) Checks() int { s.mu.Lock(); defer s.mu.Unlock(); return s.checks }

// Closes returns how often Close was called.
func (s *Script) Closes() int { s.mu.Lock(); defer s.mu.Unlock(); return s.closed }

// Refusal is an error of a service that means what its class says.
type Refusal struct {
	Class fault.Class
	Text  string
}

func (r *Refusal) Error() string { return fmt.Sprintf("service says: %s", r.Text) }

// Busy, Throttled and Denied are refusals of the usual kinds.
var (
	Busy      = &Refusal{fault.Class{Code: fault.Unavailable}, "busy"}
	Throttled = &Refusal{fault.Class{Code: fault.ResourceExhausted}, "too many requests"}
	Denied    = &Refusal{fault.Class{Code: fault.PermissionDenied}, "denied"}
	Malformed = &Refusal{fault.Class{Code: fault.InvalidArgument}, "malformed"}
	Reset     = &Refusal{fault.Class{Code: fault.Unavailable, MaybeApplied: true}, "connection reset"}
)
