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
}
