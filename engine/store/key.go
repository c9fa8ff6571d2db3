package store

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// defaultMaxKey is the longest key in bytes where Caps.MaxKey does not say otherwise: the limit of S3, GCS and Azure.
const defaultMaxKey = 1024

// checkKey refuses keys that no store can hold. It never changes a key: what one kind of store cannot hold beyond that
// (`.` and `..` segments where keys become paths) is refused by its driver.
func (s *Store) checkKey(key string) error {
	if key == "" {
		return fault.Hinted(fault.InvalidArgument, "Name an object, such as data/part-0.csv.", "the key is empty")
	}
	if i := strings.IndexByte(key, 0); i >= 0 {
		return fault.New(fault.InvalidArgument, "the key holds a NUL byte at position %d", i)
	}
	if !utf8.ValidString(key) {
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	}
	limit := s.caps.MaxKey
	if limit <= 0 {
		limit = defaultMaxKey
	}
	if n := len(s.o.Prefix) + len(key); n > limit {
		if s.o.Prefix != "" {
			return fault.New(fault.InvalidArgument, "the key is %d bytes long with the store's prefix, %d are allowed", n, limit)
		}
		return fault.New(fault.InvalidArgument, "the key is %d bytes long, %d are allowed", n, limit)
	}
	return nil
}

// full returns the driver's key of a key of the store.
func (s *Store) full(key string) string { return s.o.Prefix + key }

// strip returns e with the store's own key. An entry outside of the prefix keeps its key; listings refuse it before.
func (s *Store) strip(e Entry) Entry {
	e.Key = strings.TrimPrefix(e.Key, s.o.Prefix)
	return e
}
