package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/dsrun/dsrun/engine/fault"
)

// errClosed is the cause of everything that is refused or cancelled because the store is closed.
var errClosed = fault.New(fault.FailedPrecondition, "the store is closed")

// PanicError is a panic in a driver or a source, turned into an error.
type PanicError struct {
	Value any
	Stack []byte // for logs; never part of the text
}

// Error says that there was a panic and its value.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// contain runs fn and turns a panic into an Internal error.
func contain(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &fault.Error{Class: fault.Class{Code: fault.Internal}, Err: &PanicError{Value: v, Stack: debug.Stack()}}
		}
	}()
	return fn()
}

// finalError marks an error that another try of the same call cannot mend, because its source is used up or failed
// itself. It never leaves the package.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// do is the one way to the driver.
func (s *Store) do(ctx context.Context, c Call, fn func(ctx context.Context) error) error {
	c.Store = s.name
	err := contain(func() error { return s.descend(ctx, c, 0, fn) })
	if err == nil {
		return nil
	}
	s.o.Stats.Errors.Add(1)
	return s.wrap(ctx, c, err)
}

// observe runs fn below Options.Layers alone: for what is done to this store by way of another one's driver.
func (s *Store) observe(ctx context.Context, c Call, fn func(ctx context.Context) error) error {
	c.Store = s.name
	for _, layer := range slices.Backward(s.o.Layers) {
		next := fn
		fn = func(ctx context.Context) error { return layer(ctx, c, next) }
	}
	if err := contain(func() error { return fn(ctx) }); err != nil {
		return s.wrap(ctx, c, err)
	}
	return nil
}

// descend runs layer i and what is below it.
func (s *Store) descend(ctx context.Context, c Call, i int, fn func(context.Context) error) error {
	if i == len(s.layers) {
		return s.call(ctx, c, fn)
	}
	return s.layers[i](ctx, c, func(ctx context.Context) error { return s.descend(ctx, c, i+1, fn) })
}

// call makes one try.
func (s *Store) call(ctx context.Context, c Call, fn func(context.Context) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if c.Op == "abort" { // of an upload that Close cancelled
		s.enter()
	} else if !s.tryEnter() {
		return errClosed
	}
	defer s.leave()
	s.o.Stats.Requests.Add(1)
	if s.o.Timeout <= 0 || !metadata(c.Op) {
		return contain(func() error { return fn(ctx) })
	}
	short, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	err := contain(func() error { return fn(short) })
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return &fault.Error{Class: fault.Class{Code: fault.DeadlineExceeded, MaybeApplied: c.Write},
			Err: fmt.Errorf("no answer within %v: %w", s.o.Timeout, err)}
	}
	return err
}

// metadata reports whether a call of the name moves no body, so that Options.Timeout bounds it.
func metadata(op string) bool {
	switch op {
	case "get", "put", "part", "copy", "commit":
		return false
	}
	return true
}

// lease is a read or an upload that lives longer than one call.
type lease struct{ cancel context.CancelCauseFunc }

// hold returns a context that Close cancels, and what ends the lease.
func (s *Store) hold(ctx context.Context) (context.Context, *lease, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lease{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel(errClosed)
		return nil, nil, errClosed
	}
	s.live[l] = struct{}{}
	s.calls++
	return ctx, l, nil
}

// drop ends a lease. It may be called again.
func (s *Store) drop(l *lease) {
	l.cancel(context.Canceled)
	s.mu.Lock()
	_, held := s.live[l]
	delete(s.live, l)
	s.mu.Unlock()
	if held {
		s.leave()
	}
}

func (s *Store) enter() {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
}

func (s *Store) tryEnter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls++
	return true
}

func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	if s.calls == 0 && s.closed {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// classify tells what an error of a call means: what a layer or another store already knows, else what the driver says.
func (s *Store) classify(err error) fault.Class {
	var final *finalError
	if errors.As(err, &final) {
		c := s.classify(final.err)
		c.NoRetry = true
		return c
	}
	var fe *fault.Error
	if errors.As(err, &fe) && fe.Class.Code != "" {
		return fe.Class
	}
	var c fault.Class
	if contain(func() error { c = s.d.Classify(err); return nil }) != nil || c.Code == "" {
		return fault.Class{Code: fault.Internal}
	}
	return c
}

// wrap makes the one error form that leaves the package. An error that another store has wrapped stays as it is.
func (s *Store) wrap(ctx context.Context, c Call, err error) error {
	var final *finalError
	if errors.As(err, &final) && final == err {
		err = final.err
	}
	var fe *fault.Error
	if errors.As(err, &fe) && fe.Resource != "" {
		return err
	}
	class := s.classify(err)
	switch class.Code {
	case fault.Internal, fault.Unavailable, fault.Cancelled, fault.DeadlineExceeded:
		// Whatever a driver makes of a call that was cut off, the reason is that the caller ended it.
		if cause := context.Cause(ctx); cause != nil {
			if errors.As(cause, &fe) {
				class = fe.Class
			} else {
				maybe := class.MaybeApplied
				class = fault.Plain(cause)
				class.MaybeApplied = maybe
			}
			err = cause
		}
	}
	if fe, ok := err.(*fault.Error); ok && fe.Err != nil {
		err = fe.Err // its code is said by the wrap
	}
	class.Hint, class.RequestID = s.redact(class.Hint), s.redact(class.RequestID)
	return &fault.Error{Op: c.Op, Resource: s.name, Key: s.redact(c.Key), Class: class, Err: s.clean(err)}
}

func (s *Store) redact(text string) string {
	if s.o.Redactor == nil || text == "" {
		return text
	}
	return s.o.Redactor.Redact(text)
}

// clean returns err, or when its text holds a secret an error with the cleaned text that is still err for errors.Is
// but gives nobody the original.
func (s *Store) clean(err error) error {
	if err == nil || s.o.Redactor == nil {
		return err
	}
	text := err.Error()
	if safe := s.o.Redactor.Redact(text); safe != text {
		return &cleanError{text: safe, err: err}
	}
	return err
}

type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string        { return e.text }
func (e *cleanError) Is(target error) bool { return errors.Is(e.err, target) }
