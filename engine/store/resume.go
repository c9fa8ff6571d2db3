package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
)

// resume opens the rest of the object after err, or returns why it cannot.
func (r *Reader) resume(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	short := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
	class := r.s.classify(err)
	if r.off == r.end {
		// Every byte came, only the end of the reply was lost. Where the object has a checksum it must agree; where it
		// has none, the number of bytes is all that could be known. A driver that found the bytes altered says so with
		// an error of another kind.
		if (short || class.Retryable()) && r.complete() == nil {
			r.err = io.EOF
			r.release()
			return nil
		}
		return err
	}
	if short {
		err = fault.New(fault.DataLoss, "%s", r.shortText())
	} else if !class.Retryable() {
		return err
	}
	policy := r.s.o.Retry
	attempts := policy.MaxAttempts
	if attempts <= 0 {
		attempts = 5
	}
	if r.fails++; r.fails >= attempts {
		return err
	}
	if r.s.caps.Pin && r.pin.IfMatch == "" && r.pin.Version == "" || !r.s.caps.Pin {
		if compare(r.entry, r.entry) != same {
			return &fault.Error{Class: fault.Class{Code: r.s.classify(err).Code,
				Hint: "The store gives nothing to tell whether the object is still the same: read it again from the start."}, Err: err}
		}
	}
	if r.fails > 1 || r.fresh < resumeProgress || class.RetryAfter > 0 {
		if cerr := clock.Sleep(r.ctx, r.s.o.Clock, retry.Backoff(policy, r.fails, class.RetryAfter)); cerr != nil {
			return cerr
		}
	}
	r.closeBody()
	r.s.o.Stats.Resumes.Add(1)
	o := r.pin
	o.Range = &Range{Off: r.off, Len: -1}
	if r.end >= 0 {
		o.Range.Len = r.end - r.off
	}
	// It takes the place of the lost one, and may feed an upload that holds a slot while it waits for these bytes.
	obj, err := r.open(unslotted(r.ctx), o)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.FailedPrecondition) {
		return errChanged()
	}
	if err != nil {
		return err
	}
	r.body, r.fresh = obj.Body, 0
	return r.readopt(obj)
}

func (r *Reader) shortText() string {
	if r.end >= 0 {
		return fmt.Sprintf("the reply ended after %d of %d bytes", r.off-r.start, r.end-r.start)
	}
	return fmt.Sprintf("the reply was cut off after %d bytes", r.off-r.start)
}

// readopt checks that a later reply goes on where the first stopped, in the same state of the object.
func (r *Reader) readopt(obj Object) error {
	now := obj.Entry
	if obj.Total >= 0 {
		now.Size = obj.Total
	}
	switch compare(r.entry, now) {
	case other:
		return errChanged()
	case unprovable:
		if r.pin.IfMatch == "" && r.pin.Version == "" {
			return fault.New(fault.FailedPrecondition, "the store does not show whether the object is still the same")
		}
	}
	if obj.Range.Off != r.off {
		return fault.New(fault.DataLoss, "the reply starts at byte %d, asked was byte %d", obj.Range.Off, r.off)
	}
	if r.end >= 0 && obj.Range.Len >= 0 && obj.Range.Len != r.end-r.off {
		return fault.New(fault.DataLoss, "the reply holds %d bytes from byte %d, asked were %d", obj.Range.Len, r.off, r.end-r.off)
	}
	return nil
}
