package databricks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const pageMax = 1000

// Driver is an open folder of a volume. It implements store.Driver, Multiparter, DirOpener, Homer and Checker.
type Driver struct {
	*client
	caps    store.Caps
	walker  *store.Walker
	noParts noParts
}

func newDriver(c *client, o *Options) *Driver {
	d := &Driver{client: c}
	d.walker = store.NewWalker(d, pageMax)
	d.caps = store.Caps{Order: store.OrderByKey, IfAbsent: true, MaxKey: maxKey, MaxSize: maxSize,
		Part: store.PartLimits{Min: (max(minPart, o.PartSize) + chunkAlign - 1) / chunkAlign * chunkAlign, Max: maxPart, Align: chunkAlign, Count: maxParts, Sequential: !parallel(c.base)},
		Why: map[string]string{
			"IfMatch":  "the Files API can refuse to replace a file, and has no other condition",
			"Pin":      "the Files API tells the time of a file in whole seconds and no number of its own, which proves too little",
			"Metadata": "the Files API keeps no content type; it follows from the name",
			"Modified": "the Files API sets the time itself",
			"Sums":     "the Files API gives no checksums",
		}}
	return d
}

// parallel reports whether a workspace is known to be of a cloud that takes parts in any order. Google Cloud takes bytes
// in order only, and only the reply to the begin of an upload would tell the cloud of another host.
func parallel(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	for _, s := range []string{".cloud.databricks.com", ".cloud.databricks.us", ".cloud.databricks.mil", ".azuredatabricks.net", ".databricks.azure.cn", ".databricks.azure.us"} {
		if strings.HasSuffix(host, s) {
			return true
		}
	}
	return false
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// refuseCond refuses conditions on the state of a file.
func refuseCond(c store.Cond, why string) error {
	if c.Version != "" {
		return fault.New(fault.InvalidArgument, "files have no versions")
	}
	if c.IfMatch != "" {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", why)
	}
	return nil
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := refuseCond(c, d.caps.Why["Pin"]); err != nil {
		return store.Entry{}, err
	}
	if err := checkKey(key); err != nil {
		return store.Entry{}, err
	}
	head := &request{method: "HEAD", path: files(d.path(key))}
	resp, err := d.do(ctx, head)
	var reply *ReplyError
	if errors.As(err, &reply) && reply.Status == http.StatusForbidden {
		// A HEAD has no body to say why, such as that the token has ended. A GET of one byte has.
		if why, e := d.do(ctx, &request{method: "GET", path: head.path, ranged: "bytes=0-0"}); e == nil {
			azurerest.Drain(why)
			resp, err = d.do(ctx, head)
		} else if !errors.As(e, &reply) || reply.Status != http.StatusRequestedRangeNotSatisfiable {
			err = e
		}
	}
	if err != nil {
		return store.Entry{}, d.absent(ctx, key, err)
	}
	azurerest.Drain(resp)
	e, err := entryOf(resp, key)
	if err == nil && e.Size < 0 {
		err = notDatabricks(resp, "it has no length")
	}
	return e, err
}

// absent gives an error of a read its meaning. A HEAD has no body to say why, and a folder is told apart by its own
// address.
func (d *Driver) absent(ctx context.Context, key string, err error) error {
	var reply *ReplyError
	if !errors.As(err, &reply) || reply.Status != http.StatusConflict && reply.Status != http.StatusBadRequest {
		return err
	}
	if resp, e := d.do(ctx, &request{method: "HEAD", path: directories(d.path(key))}); e == nil {
		azurerest.Drain(resp)
		return fault.New(fault.NotFound, "there is a folder, and no file")
	}
	return err
}

// entryOf describes a file by the head of a reply. One without a time does not come from the workspace.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	e := store.Entry{Key: key, Size: resp.ContentLength, Attrs: &store.Attributes{ContentType: resp.Header.Get("Content-Type")}}
	at, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		return e, notDatabricks(resp, "it does not say when the file was written")
	}
	e.Modified = at.UTC()
	return e, nil
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := refuseCond(store.Cond{IfMatch: o.IfMatch, Version: o.Version}, d.caps.Why["Pin"]); err != nil {
		return store.Object{}, err
	}
	if err := checkKey(key); err != nil {
		return store.Object{}, err
	}
	r := &request{method: "GET", path: files(d.path(key))}
	if o.Range != nil {
		rg := *o.Range
		if rg.Off < 0 { // the API does not promise ranges from the end
			e, err := d.Stat(ctx, key, store.Cond{})
			if err != nil {
				return store.Object{}, err
			}
			rg = store.Range{Off: max(e.Size+rg.Off, 0), Len: -1}
		}
		switch {
		case rg.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", rg.Len)
		case rg.Len == 0:
			return d.nothing(ctx, key, rg)
		case rg.Len == -1 || rg.Off+rg.Len < 0:
			rg.Len = -1
			r.ranged = fmt.Sprintf("bytes=%d-", rg.Off)
		default:
			r.ranged = fmt.Sprintf("bytes=%d-%d", rg.Off, rg.Off+rg.Len-1)
		}
		o.Range = &rg
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		var reply *ReplyError
		if o.Range != nil && errors.As(err, &reply) && reply.Status == http.StatusRequestedRangeNotSatisfiable {
			return d.nothing(ctx, key, *o.Range)
		}
		return store.Object{}, d.absent(ctx, key, err)
	}
	x, err := opened(ctx, resp, key, o.Range)
	if err != nil {
		resp.Body.Close()
		return store.Object{}, err
	}
	return x, nil
}

// nothing answers a range without bytes: it begins at the end, or nowhere.
func (d *Driver) nothing(ctx context.Context, key string, r store.Range) (store.Object, error) {
	e, err := d.Stat(ctx, key, store.Cond{})
	switch {
	case err != nil:
		return store.Object{}, err
	case r.Off > e.Size:
		return store.Object{}, beyond(r, e.Size)
	case r.Off < e.Size && r.Len != 0:
		return store.Object{}, fault.New(fault.Unavailable, "the service says that there are no bytes from %d, and that the file has %d", r.Off, e.Size)
	}
	return store.Object{Body: http.NoBody, Entry: e, Range: store.Range{Off: r.Off}, Total: e.Size}, nil
}

func beyond(r store.Range, size int64) error {
	return fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the file", r.Off, size)
}

// Delete implements store.Driver. It removes the folders above the file too, as far as they are empty then.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := refuseCond(c, d.caps.Why["IfMatch"]); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	err := d.call(ctx, &request{method: "DELETE", path: files(d.path(key))})
	var reply *ReplyError
	if errors.As(err, &reply) && reply.Status == http.StatusNotFound || d.Classify(d.absent(ctx, key, err)).Code == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	d.prune(ctx, parent(d.path(key)))
	return context.Cause(ctx)
}

// prune removes dir and the folders above it, below the root, as far as they are empty. The service refuses any other.
// Failing to is no failure of the delete: an empty folder is no object.
func (d *Driver) prune(ctx context.Context, dir string) {
	for ; len(dir) > len(d.root); dir = parent(dir) {
		d.forget(dir)
		if err := d.call(ctx, &request{method: "DELETE", path: directories(dir)}); err != nil && d.Classify(err).Code != fault.NotFound {
			return
		}
	}
}

// mkdir makes a folder and those above it, unless it is known to exist.
func (d *Driver) mkdir(ctx context.Context, dir string) error {
	if len(dir) <= len(d.root) && volumeRoot(dir) || d.knows(dir) {
		return nil
	}
	err := d.call(ctx, &request{method: "PUT", path: directories(dir)})
	if d.Classify(err).Code == fault.AlreadyExists {
		return underFile()
	}
	if err == nil {
		d.remember(dir)
	}
	return err
}

// volumeRoot reports whether a path is that of a volume itself, which cannot be made.
func volumeRoot(dir string) bool { return strings.Count(dir, "/") == 4 }

func underFile() error {
	return fault.New(fault.InvalidArgument, "a part of the key is the name of a file, and cannot be that of a folder")
}

// Check implements store.Checker: the folder is looked at.
func (d *Driver) Check(ctx context.Context) error {
	resp, err := d.do(ctx, &request{method: "GET", path: directories(d.root), query: []string{"page_size", "1"}})
	if err == nil {
		azurerest.Drain(resp)
		return nil
	}
	if d.Classify(err).Code == fault.NotFound && !volumeRoot(d.root) {
		return nil // the first write makes it
	}
	return err
}

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := d.usable(ctx); err != nil {
		return store.Page{}, err
	}
	p, err := d.walker.List(ctx, q)
	if d.Classify(err).Code == fault.NotFound && !volumeRoot(d.root) { // the first write makes the root
		return store.Page{}, nil
	}
	return p, err
}

// ListDir implements store.DirLister.
func (d *Driver) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	cur, err := d.OpenDir(ctx, dir, after)
	if err != nil {
		return nil, err
	}
	return collect(ctx, cur, after, max)
}

// OpenDir implements store.DirOpener.
func (d *Driver) OpenDir(_ context.Context, dir, from string) (store.DirCursor, error) {
	return &azurerest.Cursor{From: from, Read: func(ctx context.Context, token string) ([]store.DirEntry, string, error) {
		return d.page(ctx, dir, token)
	}}, nil
}

// page reads a page of a folder. Names of folders end with "/".
func (d *Driver) page(ctx context.Context, dir, token string) ([]store.DirEntry, string, error) {
	path := strings.TrimSuffix(d.path(dir), "/")
	r := &request{method: "GET", path: directories(path)}
	if token != "" {
		r.query = []string{"page_token", token}
	}
	var x struct {
		Contents []struct {
			Path     string `json:"path"`
			Name     string `json:"name"`
			Dir      bool   `json:"is_directory"`
			Size     *int64 `json:"file_size"`
			Modified *int64 `json:"last_modified"` // milliseconds
		} `json:"contents"`
		Next *string `json:"next_page_token"`
	}
	if _, err := d.decode(ctx, r, &x); err != nil {
		return nil, "", err
	}
	var out []store.DirEntry
	for _, f := range x.Contents {
		name := strings.TrimSuffix(f.Path, "/")
		name = name[strings.LastIndexByte(name, '/')+1:]
		switch {
		case name == "" || name != f.Name || strings.TrimSuffix(f.Path, "/") != path+"/"+name:
			return nil, "", fault.New(fault.DataLoss, "the listing of %q has the path %q with the name %q", path, f.Path, f.Name)
		case f.Dir:
			out = append(out, store.DirEntry{Name: name + "/", Dir: true})
		case f.Size == nil || *f.Size < 0 || f.Modified == nil:
			return nil, "", fault.New(fault.DataLoss, "the listing has %q without size or time", f.Path)
		default:
			out = append(out, store.DirEntry{Name: name, Entry: store.Entry{Key: dir + name, Size: *f.Size, Modified: time.UnixMilli(*f.Modified).UTC()}})
		}
	}
	if x.Next == nil {
		return out, "", nil
	}
	return out, *x.Next, nil
}
