package store

import (
	"bytes"
	"context"
	"hash"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReadOptions say what to read.
type ReadOptions struct {
	Range   *Range
	IfMatch string
	Version string
}

// resumeProgress is the number of bytes after which a lost connection is taken up again at once. Below it the retry
// policy's wait comes first, so that a service that gives a few bytes a time is not hammered.
const resumeProgress = 64 << 10

// Reader reads one state of one object: it resumes at its offset after a lost connection, pinned to the entry, and ends
// with an error when the bytes are short, long or altered. Its methods are called by one goroutine at a time.
type Reader struct {
	s     *Store
	ctx   context.Context
	lease *lease
	call  Call
	prog  Progress

	pin   GetOptions // IfMatch and Version of what is read
	entry Entry
	start int64 // offset of the first byte of the range
	off   int64 // offset of the next byte
	end   int64 // offset after the last byte; -1 unknown
	whole bool  // the whole object is read, so that its checksum can be checked
	sum   Sum
	hash  hash.Hash

	body   io.ReadCloser
	cancel context.CancelCauseFunc // ends the body
	watch  *time.Timer
	fails  int   // openings since the last byte
	fresh  int64 // bytes since the last opening
	err    error // sticky
}

// Open opens an object. The context bounds the whole reading, not only the opening.
func (s *Store) Open(ctx context.Context, key string, o ReadOptions) (*Reader, error) {
	call := Call{Op: "get", Key: key, Retryable: true}
	fail := func(err error) (*Reader, error) { return nil, s.wrap(ctx, call, err) }
	if err := s.checkKey(key); err != nil {
		return fail(err)
	}
	if r := o.Range; r != nil && (r.Len < -1 || r.Off < 0 && r.Len >= 0 && r.Len != -r.Off) {
		return fail(fault.New(fault.InvalidArgument, "there is no range of %d bytes at %d", r.Len, r.Off))
	}
	if o.Range != nil && o.Range.Len == 0 {
		// The protocols have no word for an empty range.
		e, err := s.Stat(ctx, key, Cond{IfMatch: o.IfMatch, Version: o.Version})
		if err != nil {
			return nil, err
		}
		return &Reader{s: s, ctx: ctx, call: call, entry: e, prog: noProgress{}, err: io.EOF}, nil
	}
	held, l, err := s.hold(ctx)
	if err != nil {
		return fail(err)
	}
	r := &Reader{s: s, ctx: held, lease: l, call: call, prog: progressOf(ctx), whole: o.Range == nil,
		pin: GetOptions{Range: o.Range, IfMatch: o.IfMatch, Version: o.Version}}
	obj, err := r.open(r.ctx, r.pin)
	if err == nil {
		err = r.adopt(obj, o.Range)
	}
	if err != nil {
		r.release()
		return fail(err)
	}
	s.o.Stats.Opened.Add(1)
	s.used(ActRead, r.Entry())
	return r, nil
}

// openPinned opens the state of an object that e describes.
func (s *Store) openPinned(ctx context.Context, e Entry, rg *Range) (*Reader, error) {
	o := ReadOptions{Range: rg}
	if s.caps.Pin {
		o.IfMatch, o.Version = e.ETag, e.Version
	}
	r, err := s.Open(ctx, e.Key, o)
	if err != nil {
		return nil, err
	}
	if o.IfMatch != "" || o.Version != "" {
		return r, nil
	}
	if compare(e, r.entry) == other {
		_ = r.Close()
		return nil, s.wrap(ctx, r.call, errChanged())
	}
	return r, nil
}

func errChanged() error {
	return fault.Hinted(fault.FailedPrecondition, "List or stat the object again and read its new state.", "the object changed while it was read")
}

// open asks the driver for bytes. The stall time-out runs until the reply's head is there, for each try by itself.
func (r *Reader) open(ctx context.Context, o GetOptions) (Object, error) {
	var obj Object
	err := r.s.do(ctx, r.call, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithCancelCause(ctx)
		stall := time.AfterFunc(r.s.o.StallTimeout, func() { cancel(idleError("the store sent no reply", r.s.o.StallTimeout)) })
		obj, err = r.s.d.Get(ctx, r.s.full(r.call.Key), o)
		if err == nil && !stall.Stop() {
			// The head came at the very moment of the time-out, and its body is cancelled already.
			if obj.Body != nil {
				_ = obj.Body.Close()
			}
			err = idleError("the store sent no reply", r.s.o.StallTimeout)
		}
		stall.Stop()
		if err == nil && obj.Body == nil {
			err = fault.New(fault.Internal, "the driver returned no body")
		}
		if err != nil {
			err = r.s.stalled(ctx, err)
			cancel(nil)
			return err
		}
		r.cancel = cancel
		return nil
	})
	return obj, err
}

// adopt takes the first reply: it fixes the state that is read and where it ends.
func (r *Reader) adopt(obj Object, asked *Range) error {
	r.body = obj.Body
	r.entry = r.s.strip(obj.Entry)
	r.entry.Key = r.call.Key
	if obj.Entry.Size >= 0 && obj.Total >= 0 && obj.Entry.Size != obj.Total {
		return fault.New(fault.DataLoss, "the reply gives two sizes of the object, %d and %d", obj.Entry.Size, obj.Total)
	}
	if in, is := r.pin.IfMatch, r.entry.ETag; in != "" && in != is && (is != "" || !r.s.caps.Pin) {
		return errChanged()
	}
	if in, is := r.pin.Version, r.entry.Version; in != "" && in != is && (is != "" || !r.s.caps.Pin) {
		return errChanged()
	}
	total := obj.Total
	if total < 0 {
		total = max(obj.Entry.Size, -1)
	}
	r.entry.Size = total
	r.start, r.off, r.end = obj.Range.Off, obj.Range.Off, -1
	want := Range{0, -1}
	if asked != nil {
		want = *asked
	}
	if want.Off < 0 {
		if total < 0 {
			want.Off = obj.Range.Off // the last bytes of an object of unknown size start where the service says
		} else {
			want.Off = max(total+want.Off, 0)
		}
		want.Len = -1
	}
	if obj.Range.Off != want.Off {
		return fault.New(fault.DataLoss, "the reply starts at byte %d, asked was byte %d", obj.Range.Off, want.Off)
	}
	length := want.Len
	if total >= 0 && (length < 0 || length > total-want.Off) {
		length = max(total-want.Off, 0)
	}
	switch {
	case obj.Range.Len >= 0 && total >= 0 && obj.Range.Len != length,
		obj.Range.Len >= 0 && length >= 0 && obj.Range.Len > length:
		return fault.New(fault.DataLoss, "the reply holds %d bytes from byte %d, asked were %d", obj.Range.Len, want.Off, length)
	case obj.Range.Len >= 0:
		r.end = r.start + obj.Range.Len
	case total >= 0:
		r.end = r.start + length
	}
	if r.whole {
		if sum, ok := sumOf(obj.Entry.Sums); ok {
			r.sum, r.hash = sum, newHash(sum.Algo)
		}
	}
	if r.s.caps.Pin {
		if r.pin.IfMatch == "" {
			r.pin.IfMatch = r.entry.ETag
		}
		if r.pin.Version == "" {
			r.pin.Version = r.entry.Version
		}
	}
	return nil
}

// Entry describes the object as served. Its size is -1 where the service does not say.
func (r *Reader) Entry() Entry { return r.entry }

// Size returns the number of bytes that the reading gives in all, -1 where the service does not say.
func (r *Reader) Size() int64 {
	switch {
	case r.err == io.EOF:
		return r.off - r.start
	case r.end >= 0:
		return r.end - r.start
	}
	return -1
}

// Read reads the next bytes. The last ones are held back until the object has been seen to end and its checksum is
// right, so that a caller who counts bytes and asks no more cannot miss the failure.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.readBody(p)
		if n > 0 {
			r.fails = 0
			r.fresh += int64(n)
			if r.end >= 0 && r.off+int64(n) > r.end {
				return 0, r.fail(fault.New(fault.DataLoss, "the reply runs over its size of %d bytes", r.end-r.start))
			}
			if r.hash != nil {
				r.hash.Write(p[:n])
			}
			r.off += int64(n)
		}
		if err == nil && r.off == r.end && n > 0 {
			err = r.probe()
		}
		switch {
		case err == nil:
			if n == 0 {
				continue
			}
		case err == io.EOF && (r.end < 0 || r.off == r.end):
			if err := r.complete(); err != nil {
				return 0, r.fail(err)
			}
			r.err = io.EOF
			r.release()
			if n == 0 {
				return 0, io.EOF
			}
		default:
			if rerr := r.resume(err); rerr != nil {
				r.fail(rerr)
				if r.off == r.end {
					return 0, r.err // all bytes are out with p; they must not pass for good
				}
				if n == 0 {
					return 0, r.err
				}
			} else if n == 0 {
				continue
			}
		}
		r.s.o.Stats.BytesRead.Add(int64(n))
		r.prog.Bytes(int64(n), 0)
		return n, nil
	}
}

// readBody reads from the body under the idle time-out.
func (r *Reader) readBody(p []byte) (n int, err error) {
	if r.watch == nil {
		cancel := r.cancel
		r.watch = time.AfterFunc(r.s.o.IdleTimeout, func() { cancel(idleError("the store sent no byte", r.s.o.IdleTimeout)) })
	} else {
		r.watch.Reset(r.s.o.IdleTimeout)
	}
	err = contain(func() (err error) { n, err = r.body.Read(p); return err })
	if !r.watch.Stop() && err != nil && err != io.EOF {
		err = idleError("the store sent no byte", r.s.o.IdleTimeout)
	}
	if n < 0 || n > len(p) {
		return 0, fault.New(fault.Internal, "the driver's body reports %d bytes for a buffer of %d", n, len(p))
	}
	return n, err
}

// probe returns io.EOF when the body ends where it should.
func (r *Reader) probe() error {
	var one [1]byte
	for range 100 {
		n, err := r.readBody(one[:])
		if n > 0 {
			return fault.New(fault.DataLoss, "the reply runs over its size of %d bytes", r.end-r.start)
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// complete checks the checksum of a whole object.
func (r *Reader) complete() error {
	if r.hash == nil {
		return nil
	}
	if got := r.hash.Sum(nil); !bytes.Equal(got, r.sum.Value) {
		return fault.New(fault.DataLoss, "the bytes do not have the object's %s checksum %x: they have %x", r.sum.Algo, r.sum.Value, got)
	}
	return nil
}

// fail ends the reading with err.
func (r *Reader) fail(err error) error {
	r.err = r.s.wrap(r.ctx, r.call, err)
	r.release()
	return r.err
}

func (r *Reader) closeBody() {
	if r.watch != nil {
		r.watch.Stop()
		r.watch = nil
	}
	if r.cancel != nil {
		r.cancel(nil)
		r.cancel = nil
	}
	if r.body != nil {
		_ = contain(r.body.Close)
		r.body = nil
	}
}

func (r *Reader) release() {
	r.closeBody()
	if r.lease != nil {
		r.s.drop(r.lease)
		r.lease = nil
	}
}

// Close ends the reading. Later reads fail.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = r.s.wrap(context.Background(), r.call, fault.New(fault.Internal, "read after the reader was closed"))
	}
	r.release()
	return nil
}
