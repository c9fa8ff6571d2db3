package alipan

import (
	"context"
	"crypto/rand"
	"path"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// trash moves a file or a folder to the recycle bin.
func (d *Driver) trash(ctx context.Context, id string) error {
	err := d.call(ctx, opTrash, fields{"file_id": id}, nil)
	if d.Classify(err).Code == fault.NotFound {
		return nil
	}
	return err
}

// delete deletes a file for good: one of ours that was never an object.
func (d *Driver) delete(ctx context.Context, id string) error {
	return d.call(ctx, opDelete, fields{"file_id": id}, nil)
}

// Delete implements store.Driver. All files of the name go to the recycle bin, and folders that are empty then.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if c.IfMatch != "" || c.Version != "" {
		return fault.New(fault.Unimplemented, "no conditional delete: %s", d.caps.Why["IfMatch"])
	}
	for range 20 {
		x, err := d.file(ctx, key, "", "")
		if d.Classify(err).Code == fault.NotFound {
			return absentIsFine(d, d.prune(ctx, path.Dir(key)))
		}
		if err != nil {
			return err
		}
		if err := d.trash(ctx, x.ID); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "the file is written by others again and again")
}

// prune takes away a folder and those above it as far as they are empty, up to the root. The service deletes folders with
// what is in them. So an empty one is given a hidden name first: who writes into it after that finds nothing under the path
// and writes again; what was written before shows in a second look, and is put back.
func (d *Driver) prune(ctx context.Context, dir string) error {
	for ; dir != "."; dir = path.Dir(dir) {
		x, err := d.lookup(ctx, dir)
		if d.Classify(err).Code == fault.NotFound || err == nil && !x.folder() {
			continue
		}
		if err != nil {
			return err
		}
		if empty, err := d.empty(ctx, x.ID); err != nil || !empty {
			return err
		}
		d.forget(d.path(dir))
		if err := d.rename(ctx, x.ID, hidden+"empty-"+rand.Text()); err != nil {
			return err
		}
		empty, err := d.empty(ctx, x.ID)
		if err == nil && empty {
			err = d.trash(ctx, x.ID)
		}
		if err != nil || !empty {
			if back := d.putBack(ctx, x.ID, dir); back != nil {
				return back
			}
			return err
		}
	}
	return nil
}

// absentIsFine is what a delete makes of an error: what another has taken away needs no delete.
func absentIsFine(d *Driver, err error) error {
	if d.Classify(err).Code == fault.NotFound {
		return nil
	}
	return err
}

func (d *Driver) empty(ctx context.Context, id string) (bool, error) {
	list, err := d.children(ctx, id, 1)
	return len(list) == 0, err
}

func (d *Driver) rename(ctx context.Context, id, name string) error {
	return d.call(ctx, opUpdate, fields{"file_id": id, "name": name, "check_name_mode": "refuse"}, nil)
}

// putBack undoes the hiding of a folder that was not empty after all. Where another folder has its name by now, what is in
// it moves there.
func (d *Driver) putBack(ctx context.Context, id, dir string) error {
	ctx = context.WithoutCancel(ctx)
	p := d.path(dir)
	err := d.rename(ctx, id, path.Base(p))
	if d.Classify(err).Code != fault.AlreadyExists {
		return err
	}
	list, err := d.children(ctx, id, 1<<31)
	if err != nil {
		return err
	}
	for _, x := range list {
		err := d.inFolder(ctx, p, func(into string) error {
			if y, err := d.byID(ctx, x.ID); err != nil || y.Parent != id { // another took it away
				return absentIsFine(d, err)
			}
			return d.call(ctx, opMove, fields{"file_id": x.ID, "to_parent_file_id": into, "check_name_mode": "ignore"}, nil)
		})
		if err != nil {
			return err
		}
	}
	return d.trash(ctx, id)
}
