package databricks

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	block  = 1 << 20 // bytes of a block that is written or read at most
	window = 4       // blocks that are read between two looks at the file
)

// DBFS is an open folder of DBFS. It implements store.Driver, DirOpener, Homer and Checker.
type DBFS struct {
	*client
	walker *store.Walker
}

func newDBFS(c *client) *DBFS {
	d := &DBFS{client: c}
	d.walker = store.NewWalker(d, pageMax)
	return d
}

var dbfsLacks = map[string]string{
	"IfAbsent": "the DBFS API does not promise that its look and its write are one step",
	"IfMatch":  "the DBFS API has no conditions",
	"Pin":      "DBFS tells the time of a file and no number of its own, which proves too little",
	"Metadata": "DBFS keeps no content type",
	"Modified": "DBFS sets the time itself",
	"Part":     "a file of DBFS is written block after block through one handle, which ends after ten idle minutes",
	"Sums":     "the DBFS API gives no checksums",
}

// Caps implements store.Driver.
func (d *DBFS) Caps() store.Caps {
	return store.Caps{Order: store.OrderByKey, MaxKey: maxKey, Why: dbfsLacks}
}

// checkDBFS refuses what checkKey refuses, and the folder of files under way.
func checkDBFS(key string) error {
	if key == hidden || strings.HasPrefix(key, hidden+"/") {
		return fault.New(fault.InvalidArgument, "the name %q is reserved", hidden)
	}
	return checkKey(key)
}

// fileInfo is what DBFS knows of a path.
type fileInfo struct {
	Path     string `json:"path"`
	Dir      bool   `json:"is_dir"`
	Size     *int64 `json:"file_size"`
	Modified *int64 `json:"modification_time"` // milliseconds
}

func (f fileInfo) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: *f.Size, Modified: time.UnixMilli(*f.Modified).UTC()}
}

func (f fileInfo) ok() bool { return f.Size != nil && *f.Size >= 0 && f.Modified != nil }

func (f fileInfo) same(g fileInfo) bool {
	return !g.Dir && *f.Size == *g.Size && *f.Modified == *g.Modified
}

// ask is a call of the API that reads.
func (d *DBFS) ask(ctx context.Context, v any, op string, query ...string) (*http.Response, error) {
	return d.decode(ctx, &request{method: "GET", path: "/api/2.0/dbfs/" + op, query: query}, v)
}

// tell is a call of the API that changes something. Its reply is {} where v is nil.
func (d *DBFS) tell(ctx context.Context, v any, op string, body map[string]any) error {
	if v == nil {
		v = &struct{}{}
	}
	_, err := d.decode(ctx, &request{method: "POST", path: "/api/2.0/dbfs/" + op, json: body}, v)
	return err
}

// status looks at a path.
func (d *DBFS) status(ctx context.Context, path string) (fileInfo, error) {
	var f fileInfo
	resp, err := d.ask(ctx, &f, "get-status", "path", path)
	if err == nil && (f.Path == "" || !f.Dir && !f.ok()) {
		err = notDatabricks(resp, "it describes no file")
	}
	return f, err
}

// file looks at a key that must be a file.
func (d *DBFS) file(ctx context.Context, key string) (fileInfo, error) {
	if err := checkDBFS(key); err != nil {
		return fileInfo{}, err
	}
	f, err := d.status(ctx, d.path(key))
	if err == nil && f.Dir {
		err = fault.New(fault.NotFound, "there is a folder, and no file")
	}
	return f, err
}

// Stat implements store.Driver.
func (d *DBFS) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := refuseCond(c, dbfsLacks["Pin"]); err != nil {
		return store.Entry{}, err
	}
	f, err := d.file(ctx, key)
	if err != nil {
		return store.Entry{}, err
	}
	e := f.entry(key)
	e.Attrs = &store.Attributes{}
	return e, nil
}

// Delete implements store.Driver. It removes the folders above the file too, as far as they are empty then.
func (d *DBFS) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := refuseCond(c, dbfsLacks["IfMatch"]); err != nil {
		return err
	}
	_, err := d.file(ctx, key) // the API would delete an empty folder
	if d.Classify(err).Code == fault.NotFound {
		return nil
	}
	if err == nil {
		err = d.remove(ctx, d.path(key))
	}
	if err != nil {
		return err
	}
	for dir := parent(d.path(key)); len(dir) > len(d.root); dir = parent(dir) {
		d.forget(dir)
		if err := d.remove(ctx, dir); err != nil && d.Classify(err).Code != fault.NotFound {
			break // not empty, or not ours to take
		}
	}
	return context.Cause(ctx)
}

// List implements store.Driver.
func (d *DBFS) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := d.usable(ctx); err != nil {
		return store.Page{}, err
	}
	p, err := d.walker.List(ctx, q)
	if d.Classify(err).Code == fault.NotFound { // the first write makes the root
		return store.Page{}, nil
	}
	return p, err
}

// readDir reads a whole folder: the API has no pages.
func (d *DBFS) readDir(ctx context.Context, dir string) ([]store.DirEntry, error) {
	path := strings.TrimSuffix(d.path(dir), "/")
	var x struct {
		Files []fileInfo `json:"files"`
	}
	ask := path
	if ask == "" {
		ask = "/"
	}
	if _, err := d.ask(ctx, &x, "list", "path", ask); err != nil {
		return nil, err
	}
	var out []store.DirEntry
	for _, f := range x.Files {
		full := strings.TrimSuffix(f.Path, "/")
		name, ok := strings.CutPrefix(full, path+"/")
		switch {
		case full == path && !f.Dir: // the listing of a file is that file
			return nil, fault.New(fault.NotFound, "there is a file, and no folder")
		case !ok || name == "" || strings.Contains(name, "/"):
			return nil, fault.New(fault.DataLoss, "the listing of %q has the path %q", path, f.Path)
		case dir == "" && name == hidden:
		case f.Dir:
			out = append(out, store.DirEntry{Name: name + "/", Dir: true})
		case !f.ok():
			return nil, fault.New(fault.DataLoss, "the listing has %q without size or time", f.Path)
		default:
			out = append(out, store.DirEntry{Name: name, Entry: f.entry(dir + name)})
		}
	}
	slices.SortFunc(out, func(a, b store.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return nil, fault.New(fault.DataLoss, "the listing of a folder gives %q twice", out[i].Name)
		}
	}
	return out, nil
}

// ListDir implements store.DirLister.
func (d *DBFS) ListDir(ctx context.Context, dir, after string, _ int) ([]store.DirEntry, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	return list[sort.Search(len(list), func(i int) bool { return list[i].Name > after }):], nil
}

// OpenDir implements store.DirOpener.
func (d *DBFS) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	c := names(list[sort.Search(len(list), func(i int) bool { return list[i].Name >= from }):])
	return &c, nil
}

// names are what is left of a folder.
type names []store.DirEntry

// Next implements store.DirCursor.
func (c *names) Next(_ context.Context, max int) ([]store.DirEntry, error) {
	if len(*c) == 0 {
		return nil, io.EOF
	}
	n := min(max, len(*c))
	out := (*c)[:n]
	*c = (*c)[n:]
	return out, nil
}

// Check implements store.Checker: the folder is looked at.
func (d *DBFS) Check(ctx context.Context) error {
	path := d.root
	if path == "" {
		path = "/"
	}
	f, err := d.status(ctx, path)
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return nil // the first write makes it
	case err == nil && !f.Dir:
		return fault.New(fault.InvalidArgument, "the path is that of a file")
	}
	return err
}
