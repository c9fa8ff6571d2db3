package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver. Pipes, sockets, devices, links to folders and links that lead nowhere or out of the
// root are left out: no Get could give them. An empty folder is a prefix of a listing with a delimiter.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Page{}, err
	}
	return d.walker.List(ctx, q)
}

// ListDir implements store.DirLister.
func (d *Driver) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	if after != "" {
		after += "\x00"
	}
	c, err := d.OpenDir(ctx, dir, after)
	if err != nil {
		return nil, err
	}
	list, err := c.Next(ctx, max)
	if err == io.EOF {
		err = nil
	}
	return list, err
}

// OpenDir implements store.DirOpener. SFTP gives the names of a folder in no order and only from the start, so that one
// folder is held in memory as a whole, about 200 bytes a name.
func (d *Driver) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	name, err := filekeys.Folder(dir)
	if err != nil {
		return nil, err
	}
	list, err := use(ctx, d.pool, func(c *conn) ([]store.DirEntry, error) { return d.names(ctx, c, dir, name, from) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b store.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	list = slices.CompactFunc(list, func(a, b store.DirEntry) bool { return a.Name == b.Name }) // renamed while it was read
	return &dirCursor{list}, nil
}

// dirCursor is the rest of a folder.
type dirCursor struct{ rest []store.DirEntry }

// Next implements store.DirCursor.
func (c *dirCursor) Next(_ context.Context, max int) ([]store.DirEntry, error) {
	if len(c.rest) == 0 {
		return nil, io.EOF
	}
	n := min(max, len(c.rest))
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out, nil
}

func readDir(ctx context.Context, c *conn, full string) ([]os.FileInfo, error) {
	return do(ctx, c, false, func() ([]os.FileInfo, error) { return c.sftp.ReadDirContext(ctx, full) }, nil)
}

// names reads the folder name, which is dir as a key.
func (d *Driver) names(ctx context.Context, c *conn, dir, name, from string) ([]store.DirEntry, error) {
	full, err := d.folder(ctx, c, name)
	if err != nil {
		return nil, err
	}
	infos, err := readDir(ctx, c, full)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && name != "." {
			if _, e := stat(ctx, c, orTop(strings.TrimSuffix(full, "/"+name))); errors.Is(e, fs.ErrNotExist) {
				return nil, fault.New(fault.NotFound, "the root %q was removed", d.o.Root)
			}
		}
		return nil, err
	}
	out := make([]store.DirEntry, 0, len(infos))
	for _, i := range infos {
		base := i.Name()
		if filekeys.Hidden(base) {
			continue
		}
		x := factsOf(i)
		switch {
		case x.mode.IsDir():
			if n := filekeys.Decode(base, false) + "/"; n >= from {
				out = append(out, store.DirEntry{Name: n, Dir: true})
			}
			continue
		case x.mode&fs.ModeSymlink != 0:
			x, _, err = d.follow(ctx, c, path.Join(full, base))
			if code := d.Classify(err).Code; code == fault.NotFound || code == fault.PermissionDenied {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if n := filekeys.Decode(base, dir == ""); n >= from && x.mode.IsRegular() {
			out = append(out, store.DirEntry{Name: n, Entry: x.entry(dir + n)})
		}
	}
	return out, nil
}
