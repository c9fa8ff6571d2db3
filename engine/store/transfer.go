package store

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
)

// transfer is one upload in parts.
type transfer struct {
	s    *Store
	c    Call
	up   Upload
	mu   sync.Mutex
	done []Part
	keep func(err error) bool // tells that the upload is to be left as it is, for a later run
}

// begin starts an upload. It is not repeated when the service may have begun one: nobody would know its name.
func (s *Store) begin(ctx context.Context, c Call, mp Multiparter, po PutOptions, size int64) (*transfer, error) {
	c.Op, c.Size = "begin", size
	t := &transfer{s: s, c: c}
	err := s.do(ctx, c, func(ctx context.Context) (err error) {
		t.up, err = mp.Begin(ctx, s.full(c.Key), po, size)
		return err
	})
	return t, err
}

// part stores one part. Storing a part again replaces it, so that every try is safe.
func (t *transfer) part(ctx context.Context, n int, off int64, b Body) error {
	c := t.c
	c.Op, c.Size, c.Retryable = "part", b.Size(), true
	g := t.s.guard(ctx, b)
	var p Part
	err := t.s.do(ctx, c, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		g.try(cancel)
		p, err = t.up.Part(ctx, n, off, g)
		stored := p.Size
		if stored == 0 {
			stored = -1
		}
		return g.verdict(t.s.stalled(ctx, err), stored)
	})
	if err != nil {
		return err
	}
	p.N, p.Off, p.Size = n, off, g.sent()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = append(t.done, p)
	return nil
}

// finish commits the upload, or aborts it when err is not nil or the commit fails.
func (t *transfer) finish(ctx context.Context, total int64, po PutOptions, err error) (Entry, error) {
	if err != nil {
		return Entry{}, t.abort(ctx, err)
	}
	slices.SortFunc(t.done, func(a, b Part) int { return a.N - b.N })
	var off int64
	for i, p := range t.done {
		if p.N != i+1 || p.Off != off {
			return Entry{}, t.abort(ctx, fault.New(fault.Internal, "part %d at byte %d does not follow the parts before it", p.N, p.Off))
		}
		off += p.Size
	}
	if off != total {
		return Entry{}, t.abort(ctx, fault.New(fault.DataLoss, "the parts hold %d of %d bytes", off, total))
	}
	c := t.c
	c.Op, c.Size = "commit", total
	var e Entry
	err = t.s.do(ctx, c, func(ctx context.Context) (err error) {
		e, err = t.up.Commit(ctx, t.done)
		return t.s.conflict(err, po, 1)
	})
	if err != nil {
		return Entry{}, t.abort(ctx, err)
	}
	if e.Size >= 0 && e.Size != total {
		return Entry{}, fault.New(fault.DataLoss, "the service holds %d bytes of the %d sent", e.Size, total)
	}
	e.Size = total
	return e, nil
}

// abort drops the upload, unless it is kept, and returns err.
func (t *transfer) abort(ctx context.Context, err error) error {
	if t.keep != nil && t.keep(err) {
		return err
	}
	if aerr := t.drop(ctx); aerr != nil {
		return &leftError{err: err, abort: aerr}
	}
	return err
}

// drop aborts the upload on a context of its own, since the caller's may have ended.
func (t *transfer) drop(ctx context.Context) error {
	ctx, cancel := fresh(ctx)
	defer cancel()
	c := t.c
	c.Op, c.Replace, c.Retryable = "abort", false, true
	aerr := t.s.do(unslotted(ctx), c, func(ctx context.Context) error { return t.up.Abort(ctx) })
	if fault.Is(aerr, fault.NotFound) {
		return nil
	}
	return aerr
}

// leftError is a failed upload whose parts could not be removed either.
type leftError struct{ err, abort error }

func (e *leftError) Error() string {
	return fmt.Sprintf("%v (parts of the upload may be left: %v)", e.err, e.abort)
}
func (e *leftError) Unwrap() error { return e.err }

// partSize is the wanted size of a part where the size of the whole is known.
func (s *Store) partSize() int64 {
	if s.o.PartSize > 0 {
		return s.o.PartSize
	}
	return s.tune.known
}

func (s *Store) workers() int {
	if s.caps.Part.Sequential {
		return 1
	}
	return s.o.PartWorkers
}

// uploadRanges stores a source that can be opened at any offset: each part is streamed from its own opening and opened
// again for another try.
func (s *Store) uploadRanges(ctx context.Context, c Call, mp Multiparter, b RangeOpener, size int64, po PutOptions) (Entry, error) {
	plan, err := planParts(s.caps.Part, size, s.partSize())
	if err != nil {
		return Entry{}, err
	}
	t, err := s.begin(ctx, c, mp, po, size)
	if err != nil {
		return Entry{}, err
	}
	err = t.ranges(ctx, plan, b, nil)
	return t.finish(ctx, size, po, err)
}

// ranges stores the parts of a plan that have does not hold.
func (t *transfer) ranges(ctx context.Context, plan partPlan, b RangeOpener, have map[int]Part) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(t.s.workers())
	for n := 1; n <= plan.parts() && gctx.Err() == nil; n++ {
		off := int64(n-1) * plan.part
		size := min(plan.part, plan.total-off)
		if p, ok := have[n]; ok && p.Size == size {
			p.Off = off
			t.mu.Lock()
			t.done = append(t.done, p)
			t.mu.Unlock()
			continue
		}
		g.Go(func() error { return t.part(gctx, n, off, partBody{b, off, size}) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if b, ok := b.(settled); ok {
		return b.Settled()
	}
	return nil
}

// uploadStream stores a source that is read once: each part is held, in memory or in a spill file, until it is stored.
// head is the first part.
func (s *Store) uploadStream(ctx context.Context, c Call, mp Multiparter, plan partPlan, head *buffer, src io.Reader, po PutOptions) (Entry, error) {
	t, err := s.begin(ctx, c, mp, po, plan.total)
	if err != nil {
		return Entry{}, err
	}
	total, err := t.stream(ctx, plan, head, src)
	if err == nil && plan.total >= 0 && total != plan.total {
		err = fault.New(fault.DataLoss, "the source ended after %d of %d bytes", total, plan.total)
	}
	return t.finish(ctx, total, po, err)
}

func (t *transfer) stream(ctx context.Context, plan partPlan, buf *buffer, src io.Reader) (total int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(t.s.workers())
	stop := context.AfterFunc(gctx, func() { interrupt(src, context.Cause(gctx)) })
	defer stop()
	ended := false
	for n := 1; ; n++ {
		if n > 1 {
			buf = t.s.newBuffer()
			ended, err = buf.fill(gctx, src, plan.sizeOf(n))
		}
		if err == nil && buf.n > 0 && n > plan.count {
			err = fault.New(fault.InvalidArgument, "the source is larger than %d bytes, the most that %d parts can hold", total, plan.count)
		}
		if err != nil || buf.n == 0 {
			buf.free()
			break
		}
		part, off := buf, total
		total += part.n
		g.Go(func() error {
			defer part.free()
			return t.part(gctx, n, off, part.body())
		})
		if ended {
			break
		}
	}
	// Where a part failed first, that ended the source too, and is the cause.
	if err != nil && gctx.Err() == nil {
		cancel(err)
		_ = g.Wait()
		return total, err
	}
	if werr := g.Wait(); werr != nil {
		return total, werr
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return total, err
}

// interrupt ends a blocked read of a pipe, so that neither side waits for the other after a failure.
func interrupt(r io.Reader, cause error) {
	if g, ok := r.(*guardReader); ok {
		if p, ok := g.src.(interface{ CloseWithError(error) error }); ok {
			_ = p.CloseWithError(cause)
		}
	}
}

// uploadSpilled stores a source of unknown size where the service wants the size first: the whole of it goes to a spill
// file, unless the budget has room.
func (s *Store) uploadSpilled(ctx context.Context, c Call, mp Multiparter, head *buffer, src io.Reader, po PutOptions) (Entry, error) {
	if head.file == nil {
		if err := head.spill(); err != nil {
			return Entry{}, err
		}
	}
	if _, err := head.fill(ctx, src, 1<<62); err != nil {
		return Entry{}, err
	}
	b := head.body().(RangeOpener)
	if b.Size() <= s.tune.from {
		return s.putOnce(ctx, c, b, po)
	}
	return s.uploadRanges(ctx, c, mp, b, b.Size(), po)
}

// ResumeUpload continues the upload that state (Upload.State) describes, with the same source, and commits it. Parts
// that the service has are kept; the rest is read from b, which must be the source of the first attempt, unchanged. When
// it fails the upload is left as it is, so that it can be resumed again.
func (s *Store) ResumeUpload(ctx context.Context, key string, state []byte, b RangeOpener, o WriteOptions) (Entry, error) {
	c := s.putCall(key, o)
	fail := func(err error) (Entry, error) { return Entry{}, s.wrap(ctx, c, err) }
	if err := s.checkKey(key); err != nil {
		return fail(err)
	}
	if err := refusal(s.o.Mode, c); err != nil {
		return fail(err)
	}
	mp, ok := s.d.(Multiparter)
	if !ok {
		return fail(fault.New(fault.Unimplemented, "stores of kind %q have no uploads in parts", s.kind))
	}
	ctx, l, err := s.hold(ctx)
	if err != nil {
		return fail(err)
	}
	defer s.drop(l)
	t := &transfer{s: s, c: c}
	c.Op, c.Retryable = "begin", true // it makes nothing
	if err := s.do(ctx, c, func(ctx context.Context) (err error) { t.up, err = mp.Resume(ctx, state); return err }); err != nil {
		return Entry{}, err
	}
	var parts []Part
	c.Op = "parts"
	if err := s.do(ctx, c, func(ctx context.Context) (err error) { parts, err = t.up.Parts(ctx); return err }); err != nil {
		return Entry{}, err
	}
	plan, err := s.resumePlan(parts, b.Size())
	if err != nil {
		return fail(err)
	}
	have := map[int]Part{}
	for _, p := range parts {
		have[p.N] = p
	}
	if err := t.ranges(ctx, plan, b, have); err != nil {
		return fail(err)
	}
	e, err := t.finish(ctx, b.Size(), PutOptions{IfMatch: o.IfMatch}, nil)
	if err != nil {
		return fail(err)
	}
	e.Key = key
	s.stored(e)
	return e, nil
}

// resumePlan finds the part size of the first attempt: that of its first part.
func (s *Store) resumePlan(parts []Part, size int64) (partPlan, error) {
	want := s.partSize()
	for _, p := range parts {
		if p.N == 1 {
			want = p.Size
		}
	}
	plan, err := planParts(s.caps.Part, size, want)
	if err == nil && size < 0 {
		err = fault.New(fault.InvalidArgument, "the size of the source is unknown")
	}
	return plan, err
}
