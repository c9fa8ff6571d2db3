package secret

import (
	"io"
	"sync"
)

// Writer returns a writer that redacts what passes, also across writes. Close flushes what is held back; it does not
// close w.
//
// Only the end of a write that could be the beginning of a secret is held back, so that a partial line shows at once.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser { return &writer{r: r, w: w} }

type writer struct {
	r  *Redactor
	mu sync.Mutex
	w  io.Writer
	// held is input that is not written yet; its first covered bytes are part of a mask that is.
	held    []byte
	covered int
	out     []byte
	err     error
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.r == nil {
		return w.w.Write(p)
	}
	m := w.r.matcher()
	if m.n == 0 && len(w.held) == 0 {
		return w.w.Write(p)
	}
	w.held = append(w.held, p...)
	if err := w.flush(m, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *writer) flush(m *matcher, final bool) error {
	var done int
	w.out, done, w.covered = m.mask(w.out[:0], text(w.held), w.covered, final)
	w.held = append(w.held[:0], w.held[done:]...)
	if len(w.out) == 0 {
		return nil
	}
	_, w.err = w.w.Write(w.out)
	return w.err
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.r == nil || len(w.held) == 0 {
		return w.err
	}
	return w.flush(w.r.matcher(), true)
}
