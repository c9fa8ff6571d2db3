package adlsgen2

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// flatPages is how many pages of a recursive listing are read of a directory. One that ends by then is sorted and given
// as it is, with all that is below it; a larger one is read level by level, each directory in it in the same way. So keys
// ascend without a request for each small directory, whatever the service's own order, and in bounded memory.
const flatPages = 2

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	w := d.flat
	if q.Delimiter != "" {
		w = d.level
	}
	p, err := w.List(ctx, q)
	if e := d.missing(err); e != err {
		return store.Page{}, e
	}
	return p, err
}

// flat reads directories with all that is below them.
type flat struct{ d *Driver }

// ListDir implements store.DirLister.
func (l flat) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	return level(l).ListDir(ctx, dir, after, max)
}

// OpenDir implements store.DirOpener. The cursor's names may have slashes: it gives the files of directories below too.
func (l flat) OpenDir(_ context.Context, dir, from string) (store.DirCursor, error) {
	return &flatCursor{d: l.d, dir: dir, from: from}, nil
}

// Classify tells a Walker which directories vanished.
func (l flat) Classify(err error) fault.Class { return l.d.Classify(err) }

type flatCursor struct {
	d         *Driver
	dir, from string
	rest      []store.DirEntry
	levels    store.DirCursor // of a directory that is too large
	begun     bool
}

// Next implements store.DirCursor.
func (c *flatCursor) Next(ctx context.Context, max int) ([]store.DirEntry, error) {
	if !c.begun {
		if err := c.begin(ctx); err != nil {
			return nil, err
		}
		c.begun = true
	}
	if c.levels != nil {
		return c.levels.Next(ctx, max)
	}
	if len(c.rest) == 0 {
		return nil, io.EOF
	}
	n := min(max, len(c.rest))
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out, nil
}

func (c *flatCursor) begin(ctx context.Context) error {
	c.rest = nil
	for n, token := 0, ""; ; n++ {
		if n == flatPages {
			c.rest = nil
			var err error
			c.levels, err = level{c.d}.OpenDir(ctx, c.dir, c.from)
			return err
		}
		list, next, err := c.d.page(ctx, c.dir, true, token, pageMax)
		if err != nil {
			return err
		}
		for _, e := range list {
			if !e.Dir && e.Name >= c.from {
				c.rest = append(c.rest, e)
			}
		}
		if next == "" {
			break
		}
		if next == token {
			return fault.New(fault.DataLoss, "the service gives the same page of a listing again and again")
		}
		token = next
	}
	slices.SortFunc(c.rest, func(a, b store.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(c.rest); i++ {
		if c.rest[i].Name == c.rest[i-1].Name {
			return fault.New(fault.DataLoss, "the listing has the name %q twice", c.rest[i].Name)
		}
	}
	return nil
}

// level reads directories one by one.
type level struct{ d *Driver }

// ListDir implements store.DirLister.
func (l level) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	if after != "" {
		after += "\x00"
	}
	c, err := l.OpenDir(ctx, dir, after)
	if err != nil {
		return nil, err
	}
	return azurerest.Smallest(ctx, c, max)
}

// OpenDir implements store.DirOpener.
func (l level) OpenDir(_ context.Context, dir, from string) (store.DirCursor, error) {
	return &azurerest.Cursor{From: from, Read: func(ctx context.Context, token string) ([]store.DirEntry, string, error) {
		return l.d.page(ctx, dir, false, token, pageMax)
	}}, nil
}

// Classify tells a Walker which directories vanished.
func (l level) Classify(err error) fault.Class { return l.d.Classify(err) }

// pathItem is a path in a listing. Numbers and booleans come as strings.
type pathItem struct {
	Name          string          `json:"name"`
	IsDirectory   json.RawMessage `json:"isDirectory"`
	LastModified  string          `json:"lastModified"`
	ETag          string          `json:"eTag"`
	ContentLength json.RawMessage `json:"contentLength"`
}

// pathsOf is Path List: https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path/list.
func (d *Driver) pathsOf(ctx context.Context, dir string, recursive bool, token string, size int) (list []pathItem, there bool, next string, err error) {
	r := &azurerest.Request{Action: "Path List", Method: "GET", Query: []string{"resource", "filesystem", "recursive", strconv.FormatBool(recursive), "maxResults", strconv.Itoa(size)}}
	if dir != "" {
		if checkKey(strings.TrimSuffix(dir, "/")) != nil { // the service would take it for another
			return nil, false, "", nil
		}
		r.Query = append(r.Query, "directory", strings.TrimSuffix(dir, "/"))
	}
	if token != "" {
		r.Query = append(r.Query, "continuation", token)
	}
	resp, body, err := d.Read(ctx, r)
	if err != nil {
		if dir != "" && azurerest.Is(err, "PathConflict", "ResourceTypeMismatch") { // a file has this name
			err = nil
		}
		return nil, false, "", err
	}
	var p struct {
		Paths *[]pathItem `json:"paths"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, false, "", azurerest.NotAzure(resp, "it is no whole JSON document")
	}
	if p.Paths == nil {
		return nil, false, "", azurerest.NotAzure(resp, "its body is not a list of paths")
	}
	return *p.Paths, true, resp.Header.Get("X-Ms-Continuation"), nil
}

// page reads one page of a directory, "" or a key that ends with "/". Names are relative to it.
func (d *Driver) page(ctx context.Context, dir string, recursive bool, token string, size int) (list []store.DirEntry, next string, err error) {
	paths, there, next, err := d.pathsOf(ctx, dir, recursive, token, size)
	if err != nil || !there {
		return nil, "", err
	}
	bad := func(what string) ([]store.DirEntry, string, error) {
		return nil, "", fault.New(fault.DataLoss, "the listing has a path %s", what)
	}
	list = make([]store.DirEntry, 0, len(paths))
	for _, x := range paths {
		name, ok := strings.CutPrefix(x.Name, dir)
		if !ok || name == "" || !recursive && strings.Contains(name, "/") {
			return bad(fmt.Sprintf("%q that is not in the directory %q", x.Name, dir))
		}
		if text(x.IsDirectory) == "true" {
			list = append(list, store.DirEntry{Name: name + "/", Dir: true})
			continue
		}
		if _, _, hidden := azurerest.Hidden(x.Name[strings.LastIndexByte(x.Name, '/')+1:]); hidden {
			continue
		}
		e := store.Entry{Key: x.Name, ETag: azurerest.Quoted(x.ETag)}
		if e.Size, err = strconv.ParseInt(text(x.ContentLength), 10, 64); err != nil || e.Size < 0 || e.ETag == "" {
			return bad(fmt.Sprintf("%q without a size or an ETag", x.Name))
		}
		if e.Modified, err = http.ParseTime(x.LastModified); err != nil {
			return bad(fmt.Sprintf("%q whose time cannot be read", x.Name))
		}
		list = append(list, store.DirEntry{Name: name, Entry: e})
	}
	return list, next, nil
}

// text is a JSON string, number or boolean as text.
func text(raw json.RawMessage) string { return string(bytes.Trim(raw, `"`)) }
