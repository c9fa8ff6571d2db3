package sftp

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
	"github.com/dsrun/dsrun/engine/store"
)

// Reads and writes move pieces of pieceSize bytes, up to ahead at once: 2 MiB on the way fill 100 Mbit/s over 160 ms.
const (
	pieceSize = 256 << 10
	ahead     = 8
)

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// Get implements store.Driver. The body reads the file as it was opened: one that is replaced meanwhile is read to its
// end, one whose size or time changes ends with an error.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := refuseCond(store.Cond{IfMatch: o.IfMatch, Version: o.Version}); err != nil {
		return store.Object{}, err
	}
	name, err := filekeys.File(key)
	if err != nil {
		return store.Object{}, err
	}
	c, release, err := d.pool.acquire(ctx)
	if err != nil {
		return store.Object{}, err
	}
	b := &body{c: c, release: release, outer: ctx}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	r, err := b.open(d, name, o.Range)
	if err != nil {
		b.Close()
		return store.Object{}, err
	}
	return store.Object{Body: b, Entry: b.was.whole(key), Range: r, Total: b.was.size}, nil
}

// body reads a part of an open file, some pieces ahead.
type body struct {
	c          *conn
	release    func()
	outer, ctx context.Context
	cancel     context.CancelCauseFunc
	f          *sftp.File
	was        facts
	off, end   int64 // what the reader has, and will have
	asked      int64 // what was asked for
	queue      []chan piece
	cur        piece
	rest       []byte // of cur
	sure       bool
	err        error
	closed     bool
}

// piece is a part of a file, or why it is missing.
type piece struct {
	buf *[pieceSize]byte
	n   int
	err error
}

func (b *body) open(d *Driver, name string, rg *store.Range) (store.Range, error) {
	_, full, err := d.find(b.ctx, b.c, name)
	if err != nil {
		return store.Range{}, err
	}
	b.f, err = do(b.ctx, b.c, false, func() (*sftp.File, error) { return b.c.sftp.Open(full) }, func(f *sftp.File) { f.Close() })
	if err != nil {
		b.f = nil
		return store.Range{}, err
	}
	if b.was, err = b.facts(); err == nil {
		err = b.was.object(name)
	}
	if err != nil {
		return store.Range{}, err
	}
	r, err := within(rg, b.was.size)
	b.off, b.asked, b.end = r.Off, r.Off, r.Off+r.Len
	return r, err
}

func (b *body) facts() (facts, error) {
	i, err := do(b.ctx, b.c, false, func() (os.FileInfo, error) { return b.f.Stat() }, nil)
	if err != nil {
		return facts{}, err
	}
	return factsOf(i), nil
}

// within resolves a range against the size of an object. A range may begin at its end, where it is empty, not beyond.
func within(r *store.Range, size int64) (store.Range, error) {
	switch {
	case r == nil:
		return store.Range{Off: 0, Len: size}, nil
	case r.Off < 0:
		n := size
		if -r.Off > 0 { // not so for the smallest number
			n = min(n, -r.Off)
		}
		return store.Range{Off: size - n, Len: n}, nil
	case r.Len < -1:
		return store.Range{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
	case r.Off > size:
		return store.Range{}, fault.New(fault.InvalidArgument, "the range cannot be satisfied: it begins at %d, beyond the %d bytes of the object", r.Off, size)
	case r.Len < 0:
		return store.Range{Off: r.Off, Len: size - r.Off}, nil
	}
	return store.Range{Off: r.Off, Len: min(r.Len, size-r.Off)}, nil
}

// ask asks for pieces. The first one goes alone, so that who reads a few bytes does not pay for megabytes.
func (b *body) ask() {
	window := ahead
	if b.off == b.asked {
		window = 2
	}
	for len(b.queue) < window && b.asked < b.end {
		off, n := b.asked, int(min(pieceSize, b.end-b.asked))
		b.asked += int64(n)
		ch := make(chan piece, 1)
		b.queue = append(b.queue, ch)
		go func() {
			p, err := do(b.ctx, b.c, true, func() (piece, error) {
				p := piece{buf: pieces.Get().(*[pieceSize]byte)}
				var err error
				p.n, err = b.f.ReadAt(p.buf[:n], off)
				if err == io.EOF || err == nil && p.n < n {
					err = fault.New(fault.DataLoss, "the file ends at %d, before the bytes that it should have", off+int64(p.n))
				}
				return p, err
			}, nil)
			p.err = err
			ch <- p
		}()
	}
}

func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.off == b.end {
		if b.err = b.unchanged(); b.err == nil {
			b.err = io.EOF
		}
		return 0, b.err
	}
	if len(b.rest) == 0 {
		b.ask()
		b.cur = <-b.queue[0]
		b.queue = b.queue[1:]
		if b.cur.err != nil {
			b.err = b.cur.err
			return 0, b.err
		}
		b.rest = b.cur.buf[:b.cur.n]
		b.ask()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.off += int64(n)
	if len(b.rest) == 0 {
		pieces.Put(b.cur.buf)
		b.cur = piece{}
	}
	if b.off == b.end { // a reader that knows the length may never come back for the io.EOF
		b.err = b.unchanged()
		return n, b.err
	}
	return n, nil
}

func (b *body) unchanged() error {
	if b.sure {
		return nil
	}
	now, err := b.facts()
	if err != nil {
		return err
	}
	if now.size != b.was.size || !now.mtime.Equal(b.was.mtime) {
		return fault.New(fault.FailedPrecondition, "the file was changed in place while it was read")
	}
	b.sure = true
	return nil
}

func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.cancel(os.ErrClosed)
	for _, ch := range b.queue { // each comes soon, since ctx has ended
		<-ch
	}
	if b.f != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.outer), closing(b.outer))
		defer cancel()
		run(ctx, b.c, b.f.Close)
	}
	b.release()
	return nil
}

// closing is how long tidying up may take.
func closing(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return grace
	}
	return 5 * time.Second
}
