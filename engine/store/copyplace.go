package store

// samePlace returns what names an object of either store so that equal names are one object, or nil when the stores
// have nothing in common.
func samePlace(src, dst *Store) func(*Store, string) string {
	if sameDriver(src.d, dst.d) {
		return func(s *Store, key string) string { return s.full(key) }
	}
	a, ok := src.d.(Locator)
	b, ok2 := dst.d.(Locator)
	if !ok || !ok2 || src.kind != dst.kind || a.URI(src.full("x")) == "" || b.URI(dst.full("x")) == "" {
		return nil
	}
	if x, ok := src.d.(Homer); ok {
		if y, ok := dst.d.(Homer); ok && x.Home() != y.Home() {
			return nil // two services may have a bucket of the same name
		}
	}
	return func(s *Store, key string) string {
		if s == src {
			return a.URI(s.full(key))
		}
		return b.URI(s.full(key))
	}
}

// sameDriver compares drivers; one of a type that cannot be compared is never the same.
func sameDriver(a, b Driver) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}
