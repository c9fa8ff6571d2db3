package sftp

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver. It removes the folders above the file too, up to the root, as far as they are empty
// then: in a store of objects a folder without one is not there.
func (d *Driver) Delete(ctx context.Context, key string, cond store.Cond) error {
	if err := refuseCond(cond); err != nil {
		return err
	}
	name, err := filekeys.File(key)
	if err != nil {
		return err
	}
	_, err = use(ctx, d.pool, func(c *conn) (struct{}, error) {
		err := d.remove(ctx, c, name)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

func (d *Driver) remove(ctx context.Context, c *conn, name string) error {
	dir, err := d.folder(ctx, c, path.Dir(name))
	if err != nil {
		return err
	}
	full := path.Join(dir, path.Base(name))
	x, err := lstat(ctx, c, full)
	if err != nil {
		return err
	}
	if x.mode&fs.ModeSymlink == 0 {
		if err := x.object(name); err != nil {
			return err
		}
	}
	if err := run(ctx, c, func() error { return c.sftp.Remove(full) }); err != nil {
		if d.Classify(err).Code == fault.Unavailable {
			return &fault.Error{Class: fault.Class{Code: fault.Unavailable, MaybeApplied: true}, Err: err}
		}
		return err
	}
	d.prune(ctx, c, path.Dir(name), ".")
	return nil
}

// prune removes the folder dir and those above it, below end, as far as they are empty. A Put that comes between makes
// them again.
func (d *Driver) prune(ctx context.Context, c *conn, dir, end string) {
	top, err := d.top(ctx, c)
	for err == nil && dir != "." && dir != end {
		full := top + "/" + dir
		err = run(ctx, c, func() error { return c.sftp.RemoveDirectory(full) })
		dir = path.Dir(dir)
	}
}
