package store

import "sync/atomic"

// Stats counts what the stores of a run did. All fields are atomic counters; one Stats may serve many stores.
type Stats struct {
	Requests     atomic.Int64 // driver calls, each try counted
	Retries      atomic.Int64 // tries after the first of a call
	Resumes      atomic.Int64 // reads that went on at their offset after a lost connection
	Errors       atomic.Int64 // calls that failed for good
	BytesRead    atomic.Int64 // bytes of objects that readers handed out
	BytesWritten atomic.Int64 // bytes of sources that drivers took, each try counted
	Listed       atomic.Int64 // entries of listings
	Opened       atomic.Int64 // objects opened for reading
	Stored       atomic.Int64 // objects stored
	Copied       atomic.Int64 // objects copied by the service itself
	Deleted      atomic.Int64 // keys deleted
	RowsRead     atomic.Int64 // rows that scripts decoded from objects
	RowsWritten  atomic.Int64 // rows that scripts encoded into objects
}

// What an Act says was done.
const (
	ActRead   = "read"
	ActWrite  = "write"
	ActDelete = "delete"
)

// Act is one thing that was done with an object of a store.
type Act struct {
	Op    string // ActRead, ActWrite or ActDelete
	Store *Store
	Entry Entry // of the object read or written, as far as it is known; of a deleted one only the key
}

func (s *Store) used(op string, e Entry) {
	if s.o.Witness != nil {
		s.o.Witness(Act{op, s, e})
	}
}

func (s *Store) stored(e Entry) {
	s.o.Stats.Stored.Add(1)
	s.used(ActWrite, e)
}

func (s *Store) deleted(key string) {
	s.o.Stats.Deleted.Add(1)
	s.used(ActDelete, Entry{Key: key, Size: -1})
}
