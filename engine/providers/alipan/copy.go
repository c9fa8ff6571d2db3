package alipan

import (
	"context"
	"path"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// CopyFrom implements store.Copier, within one account. The service copies a file into a folder under its own name, so that
// it goes to a hidden one first, gets its name there, and is moved to its place.
func (d *Driver) CopyFrom(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
	s, ok := src.(*Driver)
	if !ok || s.cred.Base().Host != d.cred.Base().Host || s.cred.API() != d.cred.API() {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source is of another service")
	}
	if !d.crypt.same(s.crypt) {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source is encrypted in another way")
	}
	old, err := d.target(ctx, dstKey, o.Put)
	if err != nil {
		return store.Entry{}, err
	}
	mine, err := d.account(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	theirs, err := s.account(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	from, err := s.drive(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	to, err := d.drive(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	if mine != theirs || from != to {
		return store.Entry{}, fault.New(fault.Unimplemented, "the source lies in another drive")
	}
	x, err := s.file(ctx, srcKey, o.SrcIfMatch, o.SrcVersion)
	if err != nil {
		return store.Entry{}, err
	}
	if x.sum() == "" {
		return store.Entry{}, fault.New(fault.Unimplemented, "the service does not say which bytes the source has")
	}
	e := x.entry(srcKey)
	if err := s.plain(ctx, x, &e); err != nil {
		return store.Entry{}, err
	}
	copied, err := d.place(ctx, x, dstKey)
	if err != nil {
		return store.Entry{}, err
	}
	y, err := d.settle(ctx, dstKey, copied, old)
	if err != nil {
		return store.Entry{}, err
	}
	out := y.entry(dstKey)
	out.Size = e.Size
	return out, nil
}

// place copies a file to a key, beside one that may be there.
func (d *Driver) place(ctx context.Context, x *item, key string) (*item, error) {
	p := d.path(key)
	var made struct {
		ID string `json:"file_id"`
	}
	err := d.inFolder(ctx, d.root+"/"+staging, func(hall string) error {
		return d.call(ctx, opCopy, fields{"file_id": x.ID, "to_parent_file_id": hall, "auto_rename": true}, &made)
	})
	if err != nil {
		return nil, err
	}
	if made.ID == "" || made.ID == x.ID {
		return nil, notAlipan(nil, "it does not name the copy")
	}
	y, err := d.dress(ctx, made.ID, p, x)
	if err != nil {
		d.remove(ctx, made.ID)
		return nil, err
	}
	return y, nil
}

// dress compares a copy with its source, names it and moves it.
func (d *Driver) dress(ctx context.Context, id, p string, x *item) (*item, error) {
	y, err := d.byID(ctx, id)
	if err != nil {
		return nil, gone(err)
	}
	if y.sum() != x.sum() || y.size() != x.size() {
		return nil, fault.New(fault.DataLoss, "the service copied %d bytes with the SHA-1 %s, the source has %d with %s", y.size(), y.sum(), x.size(), x.sum())
	}
	if name := path.Base(p); y.Name != name {
		if err := d.call(ctx, opUpdate, fields{"file_id": id, "name": name, "check_name_mode": "ignore"}, nil); err != nil {
			return nil, gone(err)
		}
	}
	err = d.inFolder(ctx, path.Dir(p), func(into string) error {
		return d.call(ctx, opMove, fields{"file_id": id, "to_parent_file_id": into, "check_name_mode": "ignore"}, nil)
	})
	if d.Classify(err).Code == fault.AlreadyExists {
		return nil, fault.New(fault.Unimplemented, "the service does not move a file to where one of its name is")
	}
	if err != nil {
		return nil, err
	}
	return d.byID(ctx, id)
}
