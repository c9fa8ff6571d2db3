package store

// Prefix returns what is put before every key.
func (s *Store) Prefix() string { return s.o.Prefix }

// WithWitness returns a store over the same driver that tells w of what is done through it. It is not to be closed: s is.
func (s *Store) WithWitness(w func(Act)) *Store {
	o := s.o
	o.Witness = w
	return New(s.name, s.kind, s.d, o)
}

// WithDriver returns a store with the same name and options over another driver, such as an overlay of this one's. It
// does not own what lies below d: closing it closes d only.
func (s *Store) WithDriver(d Driver) *Store { return New(s.name, s.kind, d, s.o) }
