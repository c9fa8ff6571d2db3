package secret

import (
	"errors"
	"sync"
	"sync/atomic"
)

// minLen is the shortest text, in bytes, that is masked.
const minLen = 4

// Redactor replaces every known secret and its derived forms (percent-, base64- and JSON-encoded) by Mask. It is safe
// for concurrent use; a value is added before anyone receives it. A nil Redactor changes nothing.
//
// Text is compared with what is known, not guessed by patterns, so that nothing else is ever masked. Overlapping
// secrets become one mask.
type Redactor struct {
	mu    sync.Mutex
	known map[string]bool // values given to Add, so that a value is derived from once
	forms map[string]bool
	// built is nil while forms holds something that the matcher does not know. Add only marks it: many secrets added
	// in a row cost one build.
	built atomic.Pointer[matcher]
}

// NewRedactor returns a redactor that knows no secret yet.
func NewRedactor() *Redactor {
	r := &Redactor{known: map[string]bool{}, forms: map[string]bool{}}
	r.built.Store(newMatcher(nil))
	return r
}

// Add makes the values known. Values shorter than 4 bytes are ignored: masking them would garble all output.
func (r *Redactor) Add(values ...string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range values {
		if len(v) < minLen || r.known[v] {
			continue
		}
		r.known[v] = true
		for _, part := range parts(v) {
			for _, form := range forms(part) {
				if len(form) >= minLen {
					r.forms[form] = true
				}
			}
		}
		r.built.Store(nil)
	}
}

// AddString makes secret texts known.
func (r *Redactor) AddString(values ...String) {
	for _, v := range values {
		r.Add(v.Reveal())
	}
}

func (r *Redactor) matcher() *matcher {
	if m := r.built.Load(); m != nil {
		return m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.built.Load(); m != nil {
		return m
	}
	m := newMatcher(r.forms)
	r.built.Store(m)
	return m
}

// Redact returns s without secrets.
func (r *Redactor) Redact(s string) string {
	if r == nil {
		return s
	}
	m := r.matcher()
	if !m.any(s) {
		return s
	}
	out, _, _ := m.mask(nil, s, 0, true)
	return string(out)
}

// Error returns err with a redacted text, in which URLs have lost their queries too: those of presigned URLs are secrets
// that nobody declared. errors.Is and errors.As see through it. An error whose text is clean is returned as it is, and
// nil is nil.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := CutQueries(r.Redact(text))
	if clean == text {
		return err
	}
	return &redactedError{clean, err}
}

// redactedError shows a clean text. It has no Unwrap, so that walking the chain to print it cannot reach the secret.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }
func (e *redactedError) As(target any) bool   { return errors.As(e.err, target) }
