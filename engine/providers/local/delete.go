package local

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver. It removes the folders above the file too, up to the top, as far as they are empty
// then: in a store of objects a folder without one is not there.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if c.IfMatch != "" && !d.caps.IfMatch {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", d.caps.Why["IfMatch"])
	}
	name, err := file(key)
	if err != nil {
		return err
	}
	dir, err := d.remove(ctx, name, c)
	var other *spelling
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, errFolder) || errors.As(err, &other)
	if absent && c.IfMatch != "" {
		return fault.New(fault.FailedPrecondition, "there is no file with ETag %s any more", c.IfMatch)
	}
	if absent {
		return nil
	}
	if err != nil {
		return err
	}
	return d.prune(dir)
}

// remove removes the file name and returns its folder.
func (d *Driver) remove(ctx context.Context, name string, c store.Cond) (dir string, err error) {
	dir, base := split(name)
	h, err := d.folder(dir)
	if err != nil {
		return dir, err
	}
	defer h.close()
	free, err := d.lock(ctx, h, dir)
	if err != nil {
		return dir, err
	}
	defer free()
	x, err := h.stat(base)
	if err == nil {
		err = d.spelled(h, base)
	}
	if err == nil {
		err = x.object(name)
	}
	if err == nil && c != (store.Cond{}) {
		if x.kind == kindLink {
			x, err = d.target(name)
		}
		if err == nil {
			err = x.meets(c)
		}
	}
	if err != nil {
		return dir, err
	}
	return dir, h.unlink(base)
}

// prune removes dir and the folders above it as far as they are empty, and makes the last change durable. A Put that
// comes between makes them again.
func (d *Driver) prune(dir string) error {
	for dir != "." && d.removeFolder(dir) {
		dir, _ = split(dir)
	}
	h, err := d.folder(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // somebody else went on with it
	}
	if err != nil {
		return err
	}
	defer h.close()
	return errors.Join(h.sync(), d.did("sync folder", dir))
}

// removeFolder removes dir if it is empty.
func (d *Driver) removeFolder(dir string) bool {
	above, base := split(dir)
	h, err := d.folder(above)
	if err != nil {
		return false
	}
	defer h.close()
	d.forget(dir)
	err = h.rmdir(base)
	d.forget(dir)
	return err == nil
}
