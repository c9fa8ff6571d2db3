package azurerest

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Names reads one page of a directory: token is "" for the first, next is "" on the last. Names of directories end with
// "/".
type Names func(ctx context.Context, token string) (list []store.DirEntry, next string, err error)

// sortWindow is how many names of a directory are gathered and sorted before any is given. Larger directories are given
// page by page, as long as the service gives names in ascending order; the services do so, but do not promise it.
const sortWindow = 20_000

// Cursor is a store.DirCursor over the pages of a directory, in ascending byte order whatever the order of the service.
type Cursor struct {
	Read Names
	From string // names before it are left out

	token  string
	seen   map[string]bool
	end    bool
	n      int
	last   string           // greatest name so far, without the "/" of a directory
	mixed  bool             // a name came that is not greater than the one before
	given  string           // greatest name that Next returned
	ready  []store.DirEntry // ascending, to be returned
	behind []store.DirEntry // in any order: names that others may have to precede
}

// Next implements store.DirCursor.
func (c *Cursor) Next(ctx context.Context, max int) ([]store.DirEntry, error) {
	for len(c.ready) == 0 {
		if c.end {
			return nil, io.EOF
		}
		if err := c.page(ctx); err != nil {
			return nil, err
		}
	}
	n := min(max, len(c.ready))
	out := c.ready[:n]
	c.ready = c.ready[n:]
	c.given = out[n-1].Name
	return out, nil
}

// page reads on.
func (c *Cursor) page(ctx context.Context) error {
	list, next, err := c.Read(ctx, c.token)
	if err != nil {
		return err
	}
	if c.seen[next] {
		return fault.New(fault.DataLoss, "the service gives the same page of a directory again and again")
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.token, c.end = next, next == ""
	if !c.end {
		c.seen[next] = true
	}
	for _, e := range list {
		c.n++
		if bare := strings.TrimSuffix(e.Name, "/"); bare <= c.last && c.n > 1 {
			c.mixed = true
		} else {
			c.last = bare
		}
		if c.given != "" && e.Name <= c.given {
			return fault.New(fault.DataLoss, "the listing has the name %q after %q, against its order so far", e.Name, c.given)
		}
		if e.Name >= c.From {
			c.behind = append(c.behind, e)
		}
	}
	if !c.end && (c.mixed || c.n < sortWindow) {
		return nil
	}
	slices.SortFunc(c.behind, func(a, b store.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	cut := len(c.behind)
	if !c.end { // "b/" waits for "b-x" and "b.x", which may still come
		cut, _ = slices.BinarySearchFunc(c.behind, c.last+"\x00", func(e store.DirEntry, to string) int { return strings.Compare(e.Name, to) })
	}
	for i := 1; i < cut; i++ {
		if c.behind[i].Name == c.behind[i-1].Name {
			return fault.New(fault.DataLoss, "the listing has the name %q twice", c.behind[i].Name)
		}
	}
	c.ready, c.behind = c.behind[:cut:cut], slices.Clone(c.behind[cut:])
	return nil
}

// Smallest is store.DirLister.ListDir on a cursor.
func Smallest(ctx context.Context, c store.DirCursor, max int) (out []store.DirEntry, err error) {
	for len(out) < max {
		list, err := c.Next(ctx, max-len(out))
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}
