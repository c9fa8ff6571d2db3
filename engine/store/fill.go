package store

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
)

const (
	// fillRange is how much of a large object one request fetches, fillBuffer the piece in which it is written.
	fillRange  = 8 << 20
	fillBuffer = 256 << 10
	// fillLeast and fillMost bound how many ranges of one object are fetched at once.
	fillLeast, fillMost = 4, 32
)

var fillBuffers = sync.Pool{New: func() any { b := make([]byte, fillBuffer); return &b }}

// fills reports whether ranges of a source can be fetched side by side: its reads can be pinned to one state, and the
// target takes bytes at any offset.
func (c *copier) fills(e Entry) bool {
	_, ok := c.dst.d.(Filler)
	return ok && c.src.caps.Pin && (e.ETag != "" || e.Version != "")
}

// fillable reports whether the checksum of an object, where it has one, can be told from those of its ranges.
func fillable(e Entry) bool {
	sum, ok := sumOf(e.Sums)
	return e.Size >= 0 && (e.ETag != "" || e.Version != "") && (!ok || sum.Algo == "crc64nvme" || sum.Algo == "crc32c")
}

// sendRanges copies an object by ranges into a target that takes them in any order. It is proven like a single read: each
// range by its length and the pin, the whole by the object's checksum.
func (c *copier) sendRanges(ctx context.Context, call Call, e Entry, po PutOptions) (Entry, int64, error) {
	keepAttrs(e, &po)
	held, l, err := c.dst.hold(ctx)
	if err != nil {
		return Entry{}, 0, c.dst.wrap(context.Background(), call, err)
	}
	defer c.dst.drop(l)
	var f Filling
	begin := call
	begin.Op, begin.Retryable = "begin", true
	err = c.dst.do(held, begin, func(ctx context.Context) (err error) {
		f, err = c.dst.d.(Filler).Fill(ctx, c.dst.full(call.Key), e.Size, po)
		return c.dst.conflict(err, po, 1)
	})
	if err != nil {
		return Entry{}, 0, err
	}
	err = c.ranges(held, f, e)
	var out Entry
	if err == nil {
		end := call
		end.Op, end.Retryable = "commit", false
		err = c.dst.do(held, end, func(ctx context.Context) (err error) {
			out, err = f.Commit(ctx)
			return c.dst.conflict(err, po, 1)
		})
	}
	if err == nil && out.Size >= 0 && out.Size != e.Size {
		err = fault.New(fault.DataLoss, "the target holds %d bytes of %d", out.Size, e.Size)
	}
	if aerr := contain(f.Abort); err == nil { // after Commit it frees what is left
		err = aerr
	}
	if err == nil {
		err = sameContent(e, out)
	}
	if err != nil {
		return Entry{}, 0, c.dst.wrap(ctx, call, err)
	}
	out.Key, out.Size = call.Key, e.Size
	c.dst.stored(out)
	return out, e.Size, nil
}

// ranges fetches all of e into f and checks it.
func (c *copier) ranges(ctx context.Context, f Filling, e Entry) error {
	sum, checked := sumOf(e.Sums)
	n := (e.Size + fillRange - 1) / fillRange
	sums := make([][]byte, n)
	exact := 0
	if c.src.fixed {
		exact = c.src.o.PartWorkers
	}
	gear := newGear(exact, fillLeast, min(fillMost, c.src.o.Concurrency), c.src.o.Stats.Retries.Load)
	g, gctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	var work func() error
	hire := func() {
		for range gear.hire() {
			g.Go(work)
		}
	}
	work = func() error {
		for {
			i := next.Add(1) - 1
			if i >= n || gctx.Err() != nil {
				return nil
			}
			size := min(fillRange, e.Size-i*fillRange)
			start := time.Now()
			var err error
			if sums[i], err = c.fetch(gctx, f, e, i*fillRange, size, sum.Algo); err != nil {
				return err
			}
			gear.done(size, time.Since(start))
			if gear.leave() {
				return nil
			}
			hire()
		}
	}
	hire()
	if err := g.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !checked {
		return nil
	}
	whole := sums[0]
	for i := int64(1); i < n; i++ {
		var ok bool
		if whole, ok = CombineSums(sum.Algo, whole, sums[i], min(fillRange, e.Size-i*fillRange)); !ok {
			return fault.New(fault.Internal, "checksums of the kind %s cannot be joined", sum.Algo)
		}
	}
	if !bytes.Equal(whole, sum.Value) {
		return c.src.wrap(ctx, Call{Op: "get", Key: e.Key}, fault.New(fault.DataLoss,
			"the bytes do not have the object's %s checksum %x: they have %x", sum.Algo, sum.Value, whole))
	}
	return nil
}

// fetch writes one range into f and returns its checksum, where algo names one.
func (c *copier) fetch(ctx context.Context, f Filling, e Entry, off, size int64, algo string) ([]byte, error) {
	r, err := c.src.openPinned(ctx, e, &Range{off, size})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := newHash(algo)
	buf := fillBuffers.Get().(*[]byte)
	defer fillBuffers.Put(buf)
	prog := progressOf(ctx)
	end := off + size
	for {
		var n int
		var err error
		for n < len(*buf) && err == nil { // TLS gives 16 KiB at a time, which are dear to write one by one
			var k int
			k, err = r.Read((*buf)[n:])
			n += k
		}
		if int64(n) > end-off {
			return nil, c.src.wrap(ctx, r.call, fault.New(fault.DataLoss, "the reply runs over its %d bytes", size))
		}
		if n > 0 {
			piece := (*buf)[:n]
			if h != nil {
				h.Write(piece)
			}
			if werr := contain(func() error { _, err := f.WriteAt(piece, off); return err }); werr != nil {
				return nil, werr
			}
			off += int64(n)
			c.dst.o.Stats.BytesWritten.Add(int64(n))
			prog.Bytes(0, int64(n))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if off != end {
		return nil, c.src.wrap(ctx, r.call, fault.New(fault.DataLoss, "the reply ended %d bytes early", end-off))
	}
	if h == nil {
		return nil, nil
	}
	return h.Sum(nil), nil
}
