package store

import "context"

// Progress is told what transfers do, as it happens. Methods are called concurrently and must return at once. How it is
// shown is the caller's matter.
type Progress interface {
	// Plan tells of more work that became known; bytes leaves out objects of unknown size. A negative figure takes back
	// bytes that turned out not to pass through this process: of objects that are skipped or that the service copies
	// itself, and of parts that the target has already.
	Plan(objects, bytes int64)
	// Bytes tells of bytes that readers handed out and drivers took. A negative figure takes back the bytes of a failed
	// try.
	Bytes(read, written int64)
	// Done tells of objects that are finished: copied, skipped or failed.
	Done(copied, skipped, failed int64)
}

// PlanEnder is a Progress that is told when no more work will become known.
type PlanEnder interface{ PlanEnd() }

func planEnd(p Progress) {
	if e, ok := p.(PlanEnder); ok {
		e.PlanEnd()
	}
}

type progressKey struct{}

// WithProgress returns a context whose reads, writes and copies report to p.
func WithProgress(ctx context.Context, p Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// progressOf returns the progress of a context; it is never nil.
func progressOf(ctx context.Context) Progress {
	if p, ok := ctx.Value(progressKey{}).(Progress); ok && p != nil {
		return p
	}
	return noProgress{}
}

type noProgress struct{}

func (noProgress) Plan(int64, int64)        {}
func (noProgress) Bytes(int64, int64)       {}
func (noProgress) Done(int64, int64, int64) {}
