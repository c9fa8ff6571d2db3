package alipan

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// item is a file or a folder as the service describes it.
type item struct {
	ID      string       `json:"file_id"`
	Parent  string       `json:"parent_file_id"`
	Name    string       `json:"name"`
	Type    string       `json:"type"` // file or folder
	Status  string       `json:"status"`
	Bytes   *json.Number `json:"size"`
	SHA1    string       `json:"content_hash"`
	SumName string       `json:"content_hash_name"`
	CRC64   string       `json:"crc64_hash"` // web API
	Created time.Time    `json:"created_at"`
	Updated time.Time    `json:"updated_at"`
	Trashed bool         `json:"trashed"`
	URL     string       `json:"url"`
}

func (x *item) folder() bool { return x.Type == "folder" }

// size is the length of a file's bytes as they lie there; -1 when the service does not say.
func (x *item) size() int64 {
	if x.Bytes == nil {
		return -1
	}
	n, err := x.Bytes.Int64()
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// sum is the SHA-1 of a file in lower case, "" when the service does not say.
func (x *item) sum() string {
	if len(x.SHA1) != 40 || x.SumName != "" && !strings.EqualFold(x.SumName, "sha1") {
		return ""
	}
	return strings.ToLower(x.SHA1)
}

// etag names the state of a file: its id and its content.
func (x *item) etag() string {
	if s := x.sum(); s != "" {
		return x.ID + "-" + s
	}
	return fmt.Sprintf("%s-%d-%d", x.ID, x.size(), x.Updated.UnixMilli())
}

// whole reports whether a description has what is needed.
func (x *item) whole() bool {
	return x.ID != "" && (x.folder() || x.Type == "file" && x.size() >= 0 && (x.SHA1 == "" || x.sum() != ""))
}

func (x *item) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: x.size(), Modified: x.Updated.UTC(), ETag: x.etag()}
}

// younger orders files of one name: the younger is the object. Ids decide where the times are equal, so that all agree.
func (x *item) younger(o *item) bool {
	if c := x.Updated.Compare(o.Updated); c != 0 {
		return c > 0
	}
	if c := x.Created.Compare(o.Created); c != 0 {
		return c > 0
	}
	return x.ID > o.ID
}

// path is the path of a key in the drive; "" is the root.
func (d *Driver) path(key string) string {
	return strings.TrimSuffix(d.root+"/"+key, "/")
}

// lookup looks at a path.
func (d *Driver) lookup(ctx context.Context, key string) (*item, error) {
	p := d.path(key)
	if p == "" {
		if err := d.usable(ctx); err != nil {
			return nil, err
		}
		return &item{ID: rootID, Type: "folder"}, nil
	}
	var x item
	if err := d.call(ctx, opGetByPath, fields{"file_path": p, "fields": "*"}, &x); err != nil {
		return nil, err
	}
	switch {
	case !x.whole():
		return nil, notAlipan(nil, "it describes no file")
	case x.Name != path.Base(p): // a service that folds case or normal forms would take one key for another
		return nil, fault.New(fault.NotFound, "the service finds %q instead", x.Name)
	}
	return &x, nil
}

// file looks at a key that must be a file.
func (d *Driver) file(ctx context.Context, key, match, version string) (*item, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	x, err := d.lookup(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case x.folder():
		return nil, fault.New(fault.NotFound, "there is a folder, and no file")
	case version != "":
		return nil, fault.New(fault.FailedPrecondition, "files of the service have no versions")
	case match != "" && x.etag() != match:
		return nil, fault.New(fault.FailedPrecondition, "the file is another than the one with the ETag %s", match)
	}
	return x, nil
}

// directory looks at a folder; dir is "" or ends with a slash.
func (d *Driver) directory(ctx context.Context, dir string) (string, error) {
	x, err := d.lookup(ctx, strings.TrimSuffix(dir, "/"))
	switch {
	case err != nil:
		return "", err
	case !x.folder():
		return "", fault.New(fault.NotFound, "there is a file, and no folder")
	}
	return x.ID, nil
}

// ensure returns the id of a folder by its path in the drive, and makes it where it is missing. What it remembers may have
// gone: who writes looks at the result.
func (d *Driver) ensure(ctx context.Context, dir string) (string, error) {
	if dir == "/" || dir == "." || dir == "" {
		return rootID, nil
	}
	d.mu.Lock()
	id := d.folders[dir]
	d.mu.Unlock()
	if id != "" {
		return id, nil
	}
	var x item
	err := d.call(ctx, opGetByPath, fields{"file_path": dir, "fields": "*"}, &x)
	switch {
	case err == nil && x.whole() && x.folder() && x.Name == path.Base(dir):
		return d.found(dir, x.ID), nil
	case err == nil && x.Type == "file":
		return "", underFile()
	case err == nil:
		return "", notAlipan(nil, "it describes no folder")
	case d.Classify(err).Code != fault.NotFound:
		return "", err
	}
	parent, err := d.ensure(ctx, path.Dir(dir))
	if err != nil {
		return "", err
	}
	var made struct {
		item
		FileName string `json:"file_name"`
	}
	// With "refuse" the service answers with the folder that is there, should another have made it.
	if err := d.call(ctx, opCreate, fields{"parent_file_id": parent, "name": path.Base(dir), "type": "folder", "check_name_mode": "refuse"}, &made); err != nil {
		return "", err
	}
	if made.ID == "" || made.FileName != "" && made.FileName != path.Base(dir) {
		return "", notAlipan(nil, "it made no folder of the name that was asked for")
	}
	return d.found(dir, made.ID), nil
}

// inFolder does something in a folder, which is made where it is missing. A folder that a delete at the same time takes away
// is made again.
func (d *Driver) inFolder(ctx context.Context, dir string, do func(id string) error) error {
	var err error
	for range 10 {
		var id string
		if id, err = d.ensure(ctx, dir); err == nil {
			err = do(id)
		}
		if d.Classify(err).Code != fault.NotFound {
			return err
		}
		d.forget(dir)
	}
	return gone(err)
}

func (d *Driver) found(dir, id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.folders) > 100_000 {
		clear(d.folders)
	}
	d.folders[dir] = id
	return id
}

// forget drops what is remembered of a folder and those above and below it.
func (d *Driver) forget(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.folders {
		if within(p, dir) || within(dir, p) {
			delete(d.folders, p)
		}
	}
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// gone says what it means that a folder which was just found is not there: another took it away, and the next try makes
// it anew.
func gone(err error) error {
	var d Driver
	if d.Classify(err).Code == fault.NotFound {
		return fault.New(fault.Unavailable, "a folder was taken away while it was written to: %w", err)
	}
	return err
}

func underFile() error {
	return fault.New(fault.InvalidArgument, "a part of the key is the name of a file, and cannot be that of a folder")
}
