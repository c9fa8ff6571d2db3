package store

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
)

// SpillFile is a private file for bytes that memory has no room for. *os.File is one. Close must also remove it.
type SpillFile interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// buffer holds the bytes of one part whose source cannot be read again: in memory within the budget, else in a spill
// file. It is used by one goroutine at a time.
type buffer struct {
	s    *Store
	mem  []byte
	held int64 // bytes taken from the budget
	file SpillFile
	n    int64
}

func (s *Store) newBuffer() *buffer { return &buffer{s: s} }

// The steps in which a buffer grows in memory, so that a small object costs little, and the piece in which a spill file
// is written.
const (
	bufferFirst = 32 << 10
	spillPiece  = 64 << 10
)

// fill reads until the buffer holds limit bytes or the source has ended, and reports whether it has.
func (b *buffer) fill(ctx context.Context, src io.Reader, limit int64) (ended bool, err error) {
	var piece []byte
	idle := 0
	for b.n < limit {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		var into []byte
		if b.file == nil {
			if err := b.grow(ctx, limit); err != nil {
				return false, err
			}
		}
		if b.file == nil {
			into = b.mem[b.n:min(int64(len(b.mem)), limit)]
		} else {
			if piece == nil {
				piece = make([]byte, spillPiece)
			}
			into = piece[:min(spillPiece, limit-b.n)]
		}
		n, err := src.Read(into)
		if b.file != nil && n > 0 {
			if _, werr := b.file.Write(into[:n]); werr != nil {
				return false, spillError(werr)
			}
		}
		b.n += int64(n)
		if err == io.EOF {
			b.trim()
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return false, io.ErrNoProgress
		}
	}
	return false, nil
}

// grow makes room for at least one more byte in memory, or moves to a spill file when the budget has none.
func (b *buffer) grow(ctx context.Context, limit int64) error {
	have := int64(len(b.mem))
	if b.n < have {
		return nil
	}
	want := min(max(have*2, bufferFirst), limit)
	if b.s.o.Spill == nil {
		// All of it at once: two buffers that each held a half and waited for another would wait for ever.
		if b.held == 0 {
			if err := b.s.o.Budget.Acquire(ctx, limit); err != nil {
				return err
			}
			b.held = limit
			if m := b.s.o.Budget; m != nil {
				b.held = min(limit, m.Size())
			}
		}
		b.move(want)
		return nil
	}
	// The old and the new memory both live while the bytes are moved, so the whole of the new is taken before.
	if !b.s.o.Budget.TryAcquire(want) {
		return b.spill()
	}
	b.move(want)
	b.s.o.Budget.Release(b.held)
	b.held = want
	return nil
}

// trim gives back what was taken for bytes that did not come.
func (b *buffer) trim() {
	if need := int64(len(b.mem)); b.file == nil && b.held > need {
		b.s.o.Budget.Release(b.held - need)
		b.held = need
	}
}

func (b *buffer) move(size int64) {
	mem := make([]byte, size)
	copy(mem, b.mem[:b.n])
	b.mem = mem
}

func (b *buffer) spill() error {
	f, err := b.s.o.Spill()
	if err != nil {
		return spillError(err)
	}
	b.file = f
	if _, err := f.Write(b.mem[:b.n]); err != nil {
		return spillError(err)
	}
	b.mem = nil
	b.s.o.Budget.Release(b.held)
	b.held = 0
	return nil
}

func spillError(err error) error {
	c := fault.Plain(err)
	if c.Hint == "" {
		c.Hint = "Point settings.spill_dir at a folder with room, or raise settings.memory_limit."
	}
	return &fault.Error{Class: c, Err: err}
}

// body returns the bytes as a source that can be read again, until free.
func (b *buffer) body() Body {
	if b.file != nil {
		return SectionBody(b.file, b.n)
	}
	return BytesBody(b.mem[:b.n])
}

// reader returns the bytes to be read once.
func (b *buffer) reader() io.Reader {
	r, _ := b.body().Open(context.Background())
	return r
}

// free gives the memory and the file back. It may be called again.
func (b *buffer) free() {
	if b.file != nil {
		_ = b.file.Close()
		b.file = nil
	}
	b.s.o.Budget.Release(b.held)
	b.held, b.mem, b.n = 0, nil, 0
}
