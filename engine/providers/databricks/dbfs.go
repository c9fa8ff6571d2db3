package databricks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
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

// Get implements store.Driver.
func (d *DBFS) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := refuseCond(store.Cond{IfMatch: o.IfMatch, Version: o.Version}, dbfsLacks["Pin"]); err != nil {
		return store.Object{}, err
	}
	f, err := d.file(ctx, key)
	if err != nil {
		return store.Object{}, err
	}
	size := *f.Size
	r := store.Range{Off: 0, Len: size}
	if o.Range != nil {
		switch {
		case o.Range.Off < 0:
			r.Off = size + max(o.Range.Off, -size)
		case o.Range.Off > size:
			return store.Object{}, beyond(*o.Range, size)
		case o.Range.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", o.Range.Len)
		default:
			r.Off = o.Range.Off
		}
		r.Len = size - r.Off
		if o.Range.Off >= 0 && o.Range.Len >= 0 {
			r.Len = min(r.Len, o.Range.Len)
		}
	}
	e := f.entry(key)
	e.Attrs = &store.Attributes{}
	x := store.Object{Body: http.NoBody, Entry: e, Range: r, Total: size}
	if r.Len > 0 {
		b := &blocks{d: d, path: d.path(key), was: f, at: r.Off, end: r.Off + r.Len}
		b.ctx, b.cancel = context.WithCancelCause(ctx)
		if err := b.fill(); err != nil { // a file that cannot be read is told at once
			b.Close()
			return store.Object{}, err
		}
		x.Body = b
	}
	return x, nil
}

// blocks reads a range of a file. Bytes are given out only after a look shows that the file was the same after they were
// read.
type blocks struct {
	d       *DBFS
	ctx     context.Context
	cancel  context.CancelCauseFunc
	path    string
	was     fileInfo
	at, end int64
	data    []byte
	err     error
	round   int
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	if cause := context.Cause(b.ctx); cause != nil {
		return 0, cause
	}
	if len(b.data) == 0 && b.err == nil {
		if b.at == b.end {
			b.err = io.EOF
		} else {
			b.err = b.fill()
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// fill reads the next blocks side by side: one at first, so that who reads a few bytes does not pay for megabytes.
func (b *blocks) fill() error {
	n := 1
	if b.round++; b.round > 1 {
		n = window
	}
	type piece struct {
		data []byte
		err  error
	}
	var out []chan piece
	for ; n > 0 && b.at < b.end; n-- {
		off, size := b.at, min(block, b.end-b.at)
		b.at += size
		ch := make(chan piece, 1)
		out = append(out, ch)
		go func() {
			data, err := b.d.read(b.ctx, b.path, off, size)
			ch <- piece{data, err}
		}()
	}
	var first error
	b.data = nil
	for _, ch := range out {
		p := <-ch
		if first == nil {
			first = p.err
		}
		b.data = append(b.data, p.data...)
	}
	if first == nil {
		var now fileInfo
		if now, first = b.d.status(b.ctx, b.path); first == nil && (now.Dir || !b.was.same(now)) || b.d.Classify(first).Code == fault.NotFound {
			first = fault.New(fault.FailedPrecondition, "the file was replaced while it was read")
		}
	}
	if first != nil {
		b.data = nil
		if cause := context.Cause(b.ctx); cause != nil {
			first = cause
		}
	}
	return first
}

// Close implements io.Closer.
func (b *blocks) Close() error {
	b.cancel(errors.New("the body was closed"))
	return nil
}

// read reads a block, all of it.
func (d *DBFS) read(ctx context.Context, path string, off, size int64) ([]byte, error) {
	var x struct {
		Read *int64 `json:"bytes_read"`
		Data string `json:"data"`
	}
	resp, err := d.ask(ctx, &x, "read", "path", path, "offset", strconv.FormatInt(off, 10), "length", strconv.FormatInt(size, 10))
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(x.Data)
	switch {
	case x.Read == nil || err != nil:
		return nil, notDatabricks(resp, "it holds no block")
	case int64(len(data)) != *x.Read || *x.Read != size:
		return nil, fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d, which are said to be %d", size, off, len(data), *x.Read)
	}
	return data, nil
}

// Put implements store.Driver.
func (d *DBFS) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	for name, asked := range map[string]bool{"IfAbsent": o.IfAbsent, "IfMatch": o.IfMatch != ""} {
		if asked {
			return store.Entry{}, fault.New(fault.Unimplemented, "no conditional write: %s", dbfsLacks[name])
		}
	}
	if err := checkDBFS(key); err != nil {
		return store.Entry{}, err
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Entry{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size()}
	buf := make([]byte, block+1)
	n, err := s.Fill(buf)
	if err == nil && s.Ended {
		err = src.Close() // a source may find only at its end that it was damaged
	}
	switch {
	case err != nil:
		return store.Entry{}, err
	case s.Ended:
		return d.putOne(ctx, key, buf[:n])
	}
	return d.putBlocks(ctx, key, s, src, buf)
}

// putOne stores a file of at most one block in one request.
func (d *DBFS) putOne(ctx context.Context, key string, data []byte) (store.Entry, error) {
	path := d.path(key)
	write := func() error {
		err := d.inFolder(ctx, parent(path), func() error {
			return d.tell(ctx, nil, "put", map[string]any{"path": path, "contents": base64.StdEncoding.EncodeToString(data), "overwrite": true})
		})
		return d.obstacle(ctx, path, err)
	}
	if err := write(); err != nil {
		return store.Entry{}, err
	}
	e, err := d.proven(ctx, int64(len(data)), func() (store.Entry, error) { return d.Stat(ctx, key, store.Cond{}) }, write)
	e.Key = key
	return e, err
}

// inFolder makes a folder and does what needs it, again where somebody removes it meanwhile, empty as it is.
func (d *DBFS) inFolder(ctx context.Context, dir string, do func() error) error {
	var err error
	for range 10 {
		if dir != "" && !d.knows(dir) {
			if err = d.tell(ctx, nil, "mkdirs", map[string]any{"path": dir}); err != nil {
				if d.Classify(err).Code == fault.AlreadyExists {
					return underFile()
				}
				return err
			}
			d.remember(dir)
		}
		if err = do(); d.Classify(err).Code != fault.NotFound {
			return err
		}
		d.forget(dir)
	}
	return err
}

// obstacle tells a folder in the way from other refusals.
func (d *DBFS) obstacle(ctx context.Context, path string, err error) error {
	if ctx.Err() == nil && d.Classify(err).Code == fault.AlreadyExists {
		if f, e := d.status(ctx, path); e == nil && f.Dir {
			return fault.New(fault.InvalidArgument, "there is a folder of this name")
		}
	}
	return err
}

// putBlocks stores a larger file: under a name of its own, and then moved. buf is full with its first bytes.
func (d *DBFS) putBlocks(ctx context.Context, key string, s *azurerest.Source, src io.Closer, buf []byte) (store.Entry, error) {
	path := d.path(key)
	if f, err := d.status(ctx, path); err == nil && f.Dir {
		return store.Entry{}, fault.New(fault.InvalidArgument, "there is a folder of this name")
	} else if err != nil && d.Classify(err).Code != fault.NotFound {
		return store.Entry{}, err
	}
	temp := d.root + "/" + hidden + "/" + rand.Text()
	f, err := d.writeBlocks(ctx, temp, s, src, buf)
	if err == nil {
		err = d.inFolder(ctx, parent(path), func() error { return d.place(ctx, temp, path) })
	}
	if err != nil {
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
		defer cancel()
		if e := d.remove(fresh, temp); e != nil && d.Classify(e).Code != fault.NotFound {
			d.log.Warn("a temporary file could not be deleted", "path", temp, "error", e)
		}
		return store.Entry{}, d.obstacle(ctx, path, err)
	}
	return f.entry(key), nil
}

// writeBlocks writes a file and looks at it.
func (d *DBFS) writeBlocks(ctx context.Context, temp string, s *azurerest.Source, src io.Closer, buf []byte) (f fileInfo, err error) {
	var x struct {
		Handle *int64 `json:"handle"`
	}
	err = d.inFolder(ctx, parent(temp), func() error { return d.tell(ctx, &x, "create", map[string]any{"path": temp, "overwrite": false}) })
	if err == nil && x.Handle == nil {
		err = fault.New(fault.Unavailable, "the service opened a file and gave no handle")
	}
	if err != nil {
		return f, err
	}
	add := func(b []byte) error {
		return d.tell(ctx, nil, "add-block", map[string]any{"handle": *x.Handle, "data": base64.StdEncoding.EncodeToString(b)})
	}
	n := len(buf)
	for err == nil {
		if n > block || s.Ended && n > 0 {
			k := min(n, block)
			err = add(buf[:k])
			n = copy(buf, buf[k:n])
			continue
		}
		if s.Ended {
			break
		}
		var k int
		k, err = s.Fill(buf[n:])
		n += k
	}
	if err == nil {
		err = src.Close() // a source may find only at its end that it was damaged
	}
	if err == nil {
		err = d.tell(ctx, nil, "close", map[string]any{"handle": *x.Handle})
	} else { // a handle that stays open ends by itself
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
		defer cancel()
		_ = d.tell(fresh, nil, "close", map[string]any{"handle": *x.Handle})
	}
	if err != nil {
		return f, err
	}
	f, err = d.status(ctx, temp)
	if err == nil && (f.Dir || *f.Size != s.N) {
		err = fault.New(fault.DataLoss, "the service holds another number of bytes than the %d sent", s.N)
	}
	return f, err
}

// place moves a temporary file to its path. A file that is there is moved aside first, and back when that fails.
func (d *DBFS) place(ctx context.Context, temp, path string) error {
	for range 10 {
		err := d.move(ctx, temp, path)
		if d.Classify(err).Code != fault.AlreadyExists {
			return err
		}
		if f, e := d.status(ctx, path); e == nil && f.Dir {
			return err
		}
		aside := d.root + "/" + hidden + "/" + rand.Text()
		if err = d.move(ctx, path, aside); d.Classify(err).Code == fault.NotFound {
			continue // gone meanwhile
		} else if err != nil {
			return err
		}
		if err = d.move(ctx, temp, path); err == nil {
			if e := d.remove(ctx, aside); e != nil {
				d.log.Warn("the file that was replaced could not be deleted", "path", aside, "error", e)
			}
			return nil
		}
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
		e := d.move(fresh, aside, path)
		cancel()
		switch {
		case d.Classify(e).Code == fault.AlreadyExists: // somebody else wrote it
			_ = d.remove(ctx, aside)
			continue
		case e != nil:
			d.log.Error("the file that was to be replaced could not be moved back: move it by hand", "from", aside, "to", path, "error", e)
		}
		return err
	}
	return fault.New(fault.Unavailable, "the file is replaced by others again and again")
}

// move renames. One whose reply was lost is known by what it left.
func (d *DBFS) move(ctx context.Context, from, to string) error {
	err := d.tell(ctx, nil, "move", map[string]any{"source_path": from, "destination_path": to})
	var network *NetError
	if errors.As(err, &network) && ctx.Err() == nil {
		if _, e := d.status(ctx, from); d.Classify(e).Code == fault.NotFound {
			if _, e := d.status(ctx, to); e == nil {
				return nil
			}
		}
	}
	return err
}

func (d *DBFS) remove(ctx context.Context, path string) error {
	return d.tell(ctx, nil, "delete", map[string]any{"path": path, "recursive": false})
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
