package store

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
)

// writerBuffer is what a Writer gathers before it hands bytes on, so that small writes cost little.
const writerBuffer = 32 << 10

var errAborted = fault.New(fault.Cancelled, "the writer was closed before it was committed")

// Writer writes one object. Only Commit makes it visible; Abort, Close, a failed write or the end of the context given
// to Create drop what was written. Its methods are called by one goroutine at a time, except Abort and Close.
type Writer struct {
	s    *Store
	ctx  context.Context
	call Call
	pipe *io.PipeWriter
	buf  *bufio.Writer
	stop func() bool
	done chan struct{} // closed when the upload has ended, with e and err set

	e   Entry
	err error

	mu        sync.Mutex
	ended     bool // Commit or Abort was called
	committed bool
	n         int64
}

// Create returns a writer of a new object, which becomes visible when Commit returns and never before.
func (s *Store) Create(ctx context.Context, key string, o WriteOptions) (*Writer, error) {
	call := s.putCall(key, o)
	po, err := s.conditions(ctx, call, o)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	w := &Writer{s: s, ctx: ctx, call: call, pipe: pw, done: make(chan struct{})}
	w.buf = bufio.NewWriterSize(pw, writerBuffer)
	w.stop = context.AfterFunc(ctx, func() { _ = pw.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(w.done)
		w.e, w.err = s.upload(ctx, call, ReaderBody(pr, -1), po)
		_ = pr.CloseWithError(w.err) // a nil error ends later writes with io.ErrClosedPipe
	}()
	return w, nil
}

// Write takes bytes of the object. An error ends the upload.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if ended {
		return 0, w.s.wrap(context.Background(), w.call, fault.New(fault.Internal, "write after the writer was ended"))
	}
	n, err := w.buf.Write(p)
	w.n += int64(n)
	if err != nil {
		return n, w.cause()
	}
	return n, nil
}

// cause waits for the upload, whose failure is why the pipe is closed.
func (w *Writer) cause() error {
	<-w.done
	if w.err != nil {
		return w.err
	}
	return w.s.wrap(w.ctx, w.call, fault.New(fault.DataLoss, "the upload ended before the writer did"))
}

// Size returns the bytes written so far.
func (w *Writer) Size() int64 { return w.n }

// Commit makes the object visible. When it returns an error, nothing is, unless the error's class says MaybeApplied.
func (w *Writer) Commit() (Entry, error) {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return Entry{}, w.s.wrap(context.Background(), w.call, fault.New(fault.Internal, "commit after the writer was ended"))
	}
	w.ended, w.committed = true, true
	w.mu.Unlock()
	defer w.stop()
	if err := w.buf.Flush(); err != nil {
		_ = w.pipe.CloseWithError(err)
		return Entry{}, w.cause()
	}
	_ = w.pipe.Close()
	<-w.done
	return w.e, w.err
}

// Abort drops what was written; after Commit it does nothing. Its error tells of what could not be removed.
func (w *Writer) Abort() error {
	w.mu.Lock()
	if w.committed {
		w.mu.Unlock()
		return nil
	}
	w.ended = true
	w.mu.Unlock()
	defer w.stop()
	_ = w.pipe.CloseWithError(errAborted)
	<-w.done
	var left *leftError
	if errors.As(w.err, &left) {
		return left.abort
	}
	return nil
}

// Close is Abort, so that a writer that is closed without Commit leaves nothing.
func (w *Writer) Close() error { return w.Abort() }
