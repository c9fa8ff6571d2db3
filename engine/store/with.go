package store

import "slices"

// Prefix returns what is put before every key.
func (s *Store) Prefix() string { return s.o.Prefix }

// Watched returns a store over the same driver that tells w, which may be nil, of what is done through it, with more layers
// outside of those that it has. It is not to be closed: s is.
func (s *Store) Watched(w func(Act), layers ...Interceptor) *Store {
	o := s.o
	o.Witness = w
	o.Layers = append(slices.Clone(layers), o.Layers...)
	return New(s.name, s.kind, s.d, o)
}

// WithDriver returns a store with the same name and options over another driver, such as an overlay of this one's. It
// does not own what lies below d: closing it closes d only.
func (s *Store) WithDriver(d Driver) *Store { return New(s.name, s.kind, d, s.o) }
