package azurefiles

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver. The service lists one directory at a time.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	p, err := d.walker.List(ctx, q)
	if e := d.missing(err); e != err {
		return store.Page{}, e
	}
	return p, err
}

// lister lists directories: of files the objects, or the state files of uploads.
type lister struct {
	d      *Driver
	states bool
}

// ListDir implements store.DirLister.
func (l lister) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
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
func (l lister) OpenDir(_ context.Context, dir, from string) (store.DirCursor, error) {
	return &azurerest.Cursor{From: from, Read: func(ctx context.Context, token string) ([]store.DirEntry, string, error) {
		if token == "" { // the service would list a directory of another spelling too
			if dir != "" && checkKey(strings.TrimSuffix(dir, "/")) != nil {
				return nil, "", nil
			}
			if ok, err := l.d.spelled(ctx, dir); !ok || err != nil {
				return nil, "", err
			}
		}
		list, next, err := l.d.page(ctx, dir, "", token, pageMax)
		return slices.DeleteFunc(list, func(e store.DirEntry) bool {
			kind, _, hidden := azurerest.Hidden(e.Name)
			if l.states {
				return !e.Dir && kind != azurerest.TempState
			}
			return !e.Dir && hidden
		}), next, err
	}}, nil
}

// Classify tells a Walker which directories vanished.
func (l lister) Classify(err error) fault.Class { return l.d.Classify(err) }

// listPage is a page of https://learn.microsoft.com/rest/api/storageservices/list-directories-and-files.
type listPage struct {
	Entries *struct {
		File      []listed
		Directory []listed
	}
	NextMarker *string
}

type listed struct {
	Name struct {
		Encoded bool   `xml:"Encoded,attr"`
		Text    string `xml:",chardata"`
	}
	Properties struct {
		ContentLength *int64 `xml:"Content-Length"`
		LastWriteTime string
		LastModified  string `xml:"Last-Modified"`
		ETag          string `xml:"Etag"`
	}
}

func (l listed) name() (string, error) {
	s, err := l.Name.Text, error(nil)
	if l.Name.Encoded {
		s, err = url.PathUnescape(s)
	}
	if err != nil || s == "" || strings.Contains(s, "/") {
		return "", fault.New(fault.DataLoss, "the listing has a name that cannot be read")
	}
	return s, nil
}

// page reads one page of a directory, "" or a path that ends with "/": of the names that begin with prefix, in whatever
// case. Names are in the order of a directory by bare name, so that only the order of pages is the service's.
func (d *Driver) page(ctx context.Context, dir, prefix, token string, size int) (list []store.DirEntry, next string, err error) {
	r := &azurerest.Request{Action: "List Directories and Files", Method: "GET", Key: strings.TrimSuffix(dir, "/"),
		Query: []string{"restype", "directory", "comp", "list", "include", "Timestamps,ETag", "maxresults", strconv.Itoa(size)}}
	r.Set("X-Ms-File-Extended-Info", "true")
	for _, x := range [][2]string{{"prefix", prefix}, {"marker", token}} {
		if x[1] != "" {
			r.Query = append(r.Query, x[0], x[1])
		}
	}
	var p listPage
	if _, err := d.XML(ctx, r, "EnumerationResults", &p); err != nil {
		if dir != "" && azurerest.Is(err, "ResourceTypeMismatch") { // a file has this name
			return nil, "", nil
		}
		return nil, "", err
	}
	if p.Entries == nil || p.NextMarker == nil {
		return nil, "", fault.New(fault.DataLoss, "the page of the listing lacks its names or what follows")
	}
	for _, x := range p.Entries.Directory {
		name, err := x.name()
		if err != nil {
			return nil, "", err
		}
		list = append(list, store.DirEntry{Name: name + "/", Dir: true})
		d.know(dir + name + "/")
	}
	for _, x := range p.Entries.File {
		name, err := x.name()
		if err != nil {
			return nil, "", err
		}
		e := store.Entry{Key: dir + name, ETag: azurerest.Quoted(x.Properties.ETag)}
		if n := x.Properties.ContentLength; n == nil || *n < 0 || e.ETag == "" {
			return nil, "", fault.New(fault.DataLoss, "the listing has a file without a size or an ETag")
		} else {
			e.Size = *n
		}
		if e.Modified, err = time.Parse(time.RFC3339Nano, x.Properties.LastWriteTime); err != nil {
			if e.Modified, err = http.ParseTime(x.Properties.LastModified); err != nil {
				return nil, "", fault.New(fault.DataLoss, "the listing has a time that cannot be read")
			}
		}
		list = append(list, store.DirEntry{Name: name, Entry: e})
		d.know(dir + name)
	}
	slices.SortFunc(list, func(a, b store.DirEntry) int {
		return strings.Compare(strings.TrimSuffix(a.Name, "/"), strings.TrimSuffix(b.Name, "/"))
	})
	return list, *p.NextMarker, nil
}
