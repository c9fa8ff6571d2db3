package store

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/fault"
)

// RangeOpener is a Body whose bytes can be opened from any offset, as often as needed: parts of it are streamed and
// replayed, never held in memory.
type RangeOpener interface {
	Body
	// OpenRange opens n bytes from off; both lie within Size.
	OpenRange(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// BytesBody is a body of bytes in memory. They must not change until the upload is done.
func BytesBody(b []byte) Body { return SectionBody(bytes.NewReader(b), int64(len(b))) }

// SectionBody is a body of the first size bytes of r, which stays open until the upload is done.
func SectionBody(r io.ReaderAt, size int64) Body { return sectionBody{r, size} }

type sectionBody struct {
	r    io.ReaderAt
	size int64
}

func (b sectionBody) Size() int64      { return b.size }
func (b sectionBody) Replayable() bool { return true }
func (b sectionBody) Open(ctx context.Context) (io.ReadCloser, error) {
	return b.OpenRange(ctx, 0, b.size)
}
func (b sectionBody) OpenRange(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(b.r, off, n)), nil
}

// File is what FileBody needs of an open file; *os.File has it.
type File interface {
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// FileBody is a body of an open file as it is now. A file that becomes shorter, longer or otherwise changes while it is
// read fails the upload.
func FileBody(f File) (Body, error) {
	was, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return fileBody{sectionBody{f, was.Size()}, f, was}, nil
}

type fileBody struct {
	sectionBody
	f   File
	was fs.FileInfo
}

// settled is a body that can tell whether its source is still what it was; it is asked before the last bytes go out.
type settled interface{ Settled() error }

func (b fileBody) Settled() error {
	is, err := b.f.Stat()
	if err != nil {
		return err
	}
	if is.Size() != b.was.Size() || !is.ModTime().Equal(b.was.ModTime()) {
		return fault.New(fault.FailedPrecondition, "the file %q changed while it was read", fault.Printable(b.was.Name()))
	}
	return nil
}

// ReaderBody is a body that can be read once; size is -1 when it is unknown. When r has a Close method it is closed
// after the reading.
func ReaderBody(r io.Reader, size int64) Body { return &readerBody{r: r, size: max(size, -1)} }

type readerBody struct {
	r      io.Reader
	size   int64
	opened atomic.Bool
}

func (b *readerBody) Size() int64      { return b.size }
func (b *readerBody) Replayable() bool { return false }
func (b *readerBody) Open(context.Context) (io.ReadCloser, error) {
	if b.opened.Swap(true) {
		return nil, fault.New(fault.Internal, "a source that can be read once was opened again")
	}
	if c, ok := b.r.(io.ReadCloser); ok {
		return c, nil
	}
	return io.NopCloser(b.r), nil
}

// RangeBody is a body of the object e of s, pinned to the state that e describes.
func RangeBody(s *Store, e Entry) Body { return rangeBody{s, e} }

type rangeBody struct {
	s *Store
	e Entry
}

func (b rangeBody) Size() int64      { return max(b.e.Size, -1) }
func (b rangeBody) Replayable() bool { return true }
func (b rangeBody) Open(ctx context.Context) (io.ReadCloser, error) {
	return b.s.openPinned(ctx, b.e, nil)
}
func (b rangeBody) OpenRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return b.s.openPinned(ctx, b.e, &Range{off, n})
}

// partBody is a range of a body.
type partBody struct {
	b      RangeOpener
	off, n int64
}

func (b partBody) Size() int64      { return b.n }
func (b partBody) Replayable() bool { return true }
func (b partBody) Open(ctx context.Context) (io.ReadCloser, error) {
	return b.b.OpenRange(ctx, b.off, b.n)
}

// onceBody is a body whose first opening is already there, so that a source is not asked twice for what it has sent.
type onceBody struct {
	Body
	first atomic.Pointer[io.ReadCloser]
}

func newOnceBody(b Body, first io.ReadCloser) *onceBody {
	o := &onceBody{Body: b}
	o.first.Store(&first)
	return o
}

func (b *onceBody) Open(ctx context.Context) (io.ReadCloser, error) {
	if first := b.first.Swap(nil); first != nil {
		return *first, nil
	}
	return b.Body.Open(ctx)
}

// Close drops the opening that nobody took.
func (b *onceBody) Close() {
	if first := b.first.Swap(nil); first != nil {
		_ = (*first).Close()
	}
}

// headBody is a one-shot body of bytes that were read already and the rest.
type headBody struct {
	head   io.Reader
	rest   io.ReadCloser
	size   int64
	opened atomic.Bool
}

func (b *headBody) Size() int64      { return b.size }
func (b *headBody) Replayable() bool { return false }
func (b *headBody) Open(context.Context) (io.ReadCloser, error) {
	if b.opened.Swap(true) {
		return nil, fault.New(fault.Internal, "a source that can be read once was opened again")
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(b.head, b.rest), b.rest}, nil
}
