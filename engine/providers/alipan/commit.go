package alipan

import (
	"context"
	"encoding/hex"
	"path"
	"slices"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Commit implements store.Upload. The service takes what its storage has, so that this is compared first.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	have, err := u.Parts(ctx)
	if err != nil {
		return u.lost(ctx, parts, err)
	}
	if !slices.EqualFunc(parts, have, func(a, b store.Part) bool { return a.N == b.N && a.Size == b.Size && a.ETag == b.ETag }) {
		return store.Entry{}, fault.New(fault.FailedPrecondition, "the storage has other parts than those to be joined")
	}
	return u.commit(ctx, parts)
}

// commit completes the upload of parts that are there.
func (u *upload) commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	total := int64(0)
	for _, p := range parts {
		total += p.Size
	}
	if u.kept.Size >= 0 && total != u.kept.Size || len(parts) == 0 {
		return store.Entry{}, fault.New(fault.FailedPrecondition, "the parts have %d bytes, the file %d", total, u.kept.Size)
	}
	var x item
	if err := u.d.call(ctx, opComplete, fields{"file_id": u.kept.File, "upload_id": u.kept.ID}, &x); err != nil {
		return u.lost(ctx, parts, err)
	}
	if x.Type == "" {
		x.Type = "file"
	}
	if x.ID != u.kept.File || !x.whole() {
		return store.Entry{}, notAlipan(nil, "it describes no file")
	}
	return u.completed(ctx, &x, total, len(parts))
}

// lost looks whether an upload that the service does not know any more was completed, and only the reply was lost.
func (u *upload) lost(ctx context.Context, parts []store.Part, refusal error) (store.Entry, error) {
	if u.d.Classify(refusal).Code != fault.NotFound || len(parts) == 0 || u.before(len(parts)+1) == nil {
		return store.Entry{}, refusal
	}
	x, err := u.d.byID(ctx, u.kept.File)
	total := int64(0)
	for _, p := range parts {
		total += p.Size
	}
	if err != nil || x.Trashed || x.Status == "uploading" || !x.whole() || x.sum() != hex.EncodeToString(u.before(len(parts)+1).Sum(nil)) {
		return store.Entry{}, refusal
	}
	return u.completed(ctx, x, total, len(parts))
}

// completed compares a complete file with what was sent, and makes it the object of its key.
func (u *upload) completed(ctx context.Context, x *item, total int64, parts int) (store.Entry, error) {
	wire := total
	if u.file != nil {
		wire = u.file.Skip + u.file.BodyLen()
	}
	h := u.before(parts + 1)
	switch {
	case x.size() != wire:
		u.discard(ctx)
		return store.Entry{}, fault.New(fault.DataLoss, "the service holds %d bytes, sent were %d", x.size(), wire)
	case h != nil && x.sum() != "" && x.sum() != hex.EncodeToString(h.Sum(nil)):
		u.discard(ctx)
		return store.Entry{}, fault.New(fault.DataLoss, "the service holds the SHA-1 %s, sent was %x", x.sum(), h.Sum(nil))
	case h != nil && x.sum() == "":
		return store.Entry{}, notAlipan(nil, "it does not say which bytes it holds")
	}
	u.mu.Lock()
	u.done = true
	u.mu.Unlock()
	y, err := u.d.settle(ctx, u.kept.Key, x, u.kept.Old)
	if err != nil {
		return store.Entry{}, err
	}
	e := y.entry(u.kept.Key)
	if u.file != nil {
		e.Size = u.file.Size
		u.d.remember(e.ETag, u.file)
	}
	return e, nil
}

// settle makes a complete file the object of its key: older files of its name go to the recycle bin. The service is asked
// by the path, so that a folder which was taken away meanwhile is noticed.
func (d *Driver) settle(ctx context.Context, key string, mine *item, old string) (*item, error) {
	for range 20 {
		x, err := d.lookup(ctx, key)
		switch {
		case d.Classify(err).Code == fault.NotFound:
			if deleted, err := d.rescue(ctx, path.Dir(d.path(key)), mine.ID); err != nil {
				d.remove(ctx, mine.ID)
				return nil, err
			} else if deleted {
				return mine, nil
			}
			continue
		case err != nil:
			return nil, err
		case x.ID == mine.ID:
			return x, nil
		case x.folder():
			d.remove(ctx, mine.ID)
			return nil, fault.New(fault.InvalidArgument, "there is a folder of this name")
		case x.ID != old && x.younger(mine):
			// Another wrote at the same time and came later: it stays, as if it had come after this one.
			d.remove(ctx, mine.ID)
			return mine, nil
		}
		if err := d.trash(ctx, x.ID); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unavailable, "the file is written by others again and again")
}

// rescue finds out why a complete file is not under its path. When it was deleted by another, as an object, that came later
// and stands. When its folder was taken away, it goes to where the path leads now.
func (d *Driver) rescue(ctx context.Context, dir, id string) (deleted bool, err error) {
	d.forget(dir)
	err = d.inFolder(ctx, dir, func(parent string) error {
		x, err := d.byID(ctx, id)
		if deleted = err == nil && x.Parent == recycleBin; err != nil || deleted {
			return err
		}
		return d.call(ctx, opMove, fields{"file_id": id, "to_parent_file_id": parent, "check_name_mode": "ignore"}, nil)
	})
	return deleted, err
}

// recycleBin is the parent of files that were deleted themselves.
const recycleBin = "recyclebin"

// byID looks at a file by its id.
func (d *Driver) byID(ctx context.Context, id string) (*item, error) {
	var x item
	if err := d.call(ctx, opGet, fields{"file_id": id, "fields": "*"}, &x); err != nil {
		return nil, err
	}
	if x.ID != id {
		return nil, notAlipan(nil, "it describes another file")
	}
	return &x, nil
}

// Abort implements store.Upload. An upload that was completed is left alone.
func (u *upload) Abort(ctx context.Context) error {
	u.mu.Lock()
	done := u.done
	u.mu.Unlock()
	if done {
		return nil
	}
	if _, err := u.list(ctx); err != nil { // completed by another, or aborted
		return err
	}
	return u.d.delete(ctx, u.kept.File)
}

// discard takes away what an upload has made so far, also when ctx has ended.
func (u *upload) discard(ctx context.Context) { u.d.remove(ctx, u.kept.File) }

// remove deletes a file of ours for good, also when ctx has ended.
func (d *Driver) remove(ctx context.Context, id string) {
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
	defer cancel()
	if err := d.delete(fresh, id); err != nil && d.Classify(err).Code != fault.NotFound {
		d.log.Warn("a file that was begun could not be deleted", "id", id, "error", err)
	}
}
