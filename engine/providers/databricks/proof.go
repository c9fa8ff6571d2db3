package databricks

import (
	"context"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// looks is how often a write is made that the service reports as done and that cannot be seen.
const looks = 3

// proven makes sure that a write of n bytes, which the service reported as done, was done: the Files API is known to report
// success and to store nothing. look tells what is there; again writes once more, or waits, and is nil where that cannot be.
//
// What is there then may be the file before it, so that nothing is removed. It may also be what others wrote since: when
// it changes from one look to the next, this write came and went. Times are whole seconds, so that the last try waits for
// the next one: two writers who correct each other would see the same otherwise.
func (c *client) proven(ctx context.Context, n int64, look func() (store.Entry, error), again func() error) (store.Entry, error) {
	var last store.Entry
	for i := 1; ; i++ {
		e, err := look()
		switch {
		case c.Classify(err).Code == fault.NotFound:
			e = store.Entry{Size: -1}
		case err != nil:
			return store.Entry{}, err
		case e.Size == n:
			return e, nil
		}
		if i > 1 && (e.Size != last.Size || !e.Modified.Equal(last.Modified)) {
			return store.Entry{Size: n, Modified: c.clock.Now().UTC()}, nil
		}
		last = e
		if again == nil || i == looks {
			break
		}
		err = nil
		if i == looks-1 {
			err = clock.Sleep(ctx, c.clock, 1100*time.Millisecond)
		}
		if err == nil {
			err = again()
		}
		if err != nil {
			return store.Entry{}, err
		}
	}
	const hint = "Run again: the service reports success now and then for a file that it did not store."
	if last.Size < 0 {
		return store.Entry{}, fault.Hinted(fault.Unavailable, hint, "the service reported success, and there is no file")
	}
	return store.Entry{}, fault.Hinted(fault.Unavailable, hint, "the service reported success, and the file has %d bytes, not the %d sent", last.Size, n)
}
