package event

import (
	"context"
	"errors"
	"fmt"

	"github.com/dsrun/dsrun/engine/fault"
)

// send sends a batch that fits the limits and returns the error of each message that was not accepted, by index. Only
// those that the bus refused are sent again.
func (t *Topic) send(ctx context.Context, batch []Message, limits Limits) []error {
	var errs []error
	if t.box != nil {
		errs = t.sendKept(ctx, batch, limits)
	} else {
		errs = t.sendNow(ctx, batch, limits)
	}
	if t.o.Accepted != nil {
		for i, err := range errs {
			if err == nil {
				t.o.Accepted(batch[i])
			}
		}
	}
	return errs
}

func (t *Topic) sendNow(ctx context.Context, batch []Message, limits Limits) []error {
	errs := make([]error, len(batch))
	if t.o.Batch != nil {
		var end func(error)
		ctx, end = t.o.Batch(ctx, len(batch))
		defer func() { end(firstOf(errs)) }()
	}
	if limits.Ordered { // no batch may overtake one that is being retried
		select {
		case t.ordered <- struct{}{}:
			defer func() { <-t.ordered }()
		case <-ctx.Done():
			for i := range errs {
				errs[i] = context.Cause(ctx)
			}
			return errs
		}
	}
	left := make([]int, len(batch))
	for i := range left {
		left[i] = i
	}
	t.sendLeft(ctx, batch, left, errs)
	return errs
}

// firstOf returns the first error.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sendLeft sends the messages of batch whose indices are left, and notes in errs what became of them.
func (t *Topic) sendLeft(ctx context.Context, batch []Message, left []int, errs []error) {
	whole := false // the last call failed as a whole
	// Repeating is safe although a lost call may have been accepted: the ids stay, so that receivers can drop repeats.
	err := t.retrier.Do(ctx, t.classify, true, func(ctx context.Context, _ int) error {
		msgs := make([]Message, len(left))
		for i, at := range left {
			msgs[i] = batch[at]
		}
		err := contain(func() error { return t.d.Publish(ctx, msgs) })
		failed, err := failures(err, len(msgs))
		whole = failed == nil && err != nil
		accepted := 0
		for i, at := range left {
			errs[at] = err
			if failed != nil {
				errs[at] = failed[i]
			}
			if errs[at] == nil {
				accepted++
			}
		}
		t.retrier.Budget.Earn(accepted) // a service that takes some is not down
		if failed == nil {
			return err
		}
		left, err = t.again(left, errs)
		return err
	})
	if err != nil && whole && len(left) > 1 && ctx.Err() == nil {
		// One bad message can spoil a whole call: find it, so that the others get through.
		if c := t.classify(err); c.Code == fault.InvalidArgument || c.Code == fault.Limit {
			half := len(left) / 2
			t.sendLeft(ctx, batch, left[:half], errs)
			t.sendLeft(ctx, batch, left[half:], errs)
		}
	}
}

// again returns which of the messages are worth another try, and of their errors the one that asks for the longest wait.
func (t *Topic) again(left []int, errs []error) (retry []int, worst error) {
	var longest fault.Class
	for _, at := range left {
		if errs[at] == nil {
			continue
		}
		c := t.classify(errs[at])
		if !c.Retryable() {
			continue
		}
		if worst == nil || c.RetryAfter > longest.RetryAfter {
			worst, longest = errs[at], c
		}
		retry = append(retry, at)
	}
	return retry, worst
}

// failures spreads a *BatchError over the n messages of its call; nil means accepted. For any other error, and for a
// *BatchError that cannot be of this call, failed is nil and err speaks for all messages.
func failures(err error, n int) (failed []error, _ error) {
	var b *BatchError
	if !errors.As(err, &b) {
		return nil, err
	}
	failed = make([]error, n)
	for _, f := range b.Failed {
		if f.Index < 0 || f.Index >= n {
			return nil, fault.New(fault.Internal, "the driver reports message %d of a batch of %d", f.Index, n)
		}
		if failed[f.Index] = f.Err; f.Err == nil {
			failed[f.Index] = fault.New(fault.Internal, "the bus refused the event without a reason")
		}
	}
	if len(b.Failed) == 0 {
		return nil, fault.New(fault.Internal, "the driver reports a partial failure and no message that failed")
	}
	return failed, err
}

// limits asks the driver for its limits.
func (t *Topic) limits() (l Limits, err error) {
	err = contain(func() error { l = t.d.Limits(); return nil })
	return l, err
}

// classify tells what an error of the driver means.
func (t *Topic) classify(err error) (c fault.Class) {
	var p *panicError
	if errors.As(err, &p) {
		return fault.Class{Code: fault.Internal}
	}
	if contain(func() error { c = t.d.Classify(err); return nil }) != nil || c.Code == "" {
		return fault.Plain(err)
	}
	return c
}

// classOf is what an error means, whether the driver's or our own.
func (t *Topic) classOf(err error) fault.Class {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Class
	}
	return t.classify(err)
}

// fail wraps an error for the caller: once, classified, without secrets. When ctx has ended, its cause is the reason.
func (t *Topic) fail(ctx context.Context, op string, err error) error {
	var known *fault.Error
	class := t.classOf(err)
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if class = fault.Plain(ctx.Err()); errors.As(cause, &known) {
			class = known.Class // a limit of the run, for example
		}
		if !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	return t.clean(fault.Wrap(op, t.name, "", class, err))
}

// clean takes the secrets out of a wrapped error.
func (t *Topic) clean(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) || err != error(e) {
		return t.o.Redactor.Error(err)
	}
	c := *e
	c.Class.Hint = t.o.Redactor.Redact(c.Class.Hint)
	c.Err = t.o.Redactor.Error(c.Err)
	return &c
}

// panicError is a panic of a driver. It ends the call, not the process.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the driver panicked: %v", e.value) }

func contain(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v}
		}
	}()
	return fn()
}
