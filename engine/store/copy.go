package store

import "context"

// Overwrite says what a copy does with targets that exist.
type Overwrite int

const (
	OverwriteNever     Overwrite = iota
	OverwriteIfChanged           // where size, checksum or time say that the source differs
	OverwriteAlways
)

// CopyJob says what Copy copies.
type CopyJob struct {
	List        ListOptions // of the source
	Keys        []Entry     // instead of List: these
	Prefix      string      // put before each key in the target
	Strip       string      // taken off each key first
	Rename      string      // with a single source object: its whole key in the target
	Overwrite   Overwrite
	DeleteExtra bool // delete what the target holds below Prefix and the source does not
	MaxDelete   int  // refuse to delete more; 0 means no bound
	Workers     int  // 0 means 8
	Collect     bool // go on after a failure
}

// CopyResult counts what Copy did.
type CopyResult struct {
	Copied, Skipped, Deleted int64
	Failed                   []KeyError
	Bytes                    int64 // of the objects copied
	ClientBytes              int64 // that passed through this process
}

// Copy copies many objects. Without Collect the first failure ends it.
func Copy(ctx context.Context, src, dst *Store, job CopyJob) (CopyResult, error) {
	panic("to be built")
}
