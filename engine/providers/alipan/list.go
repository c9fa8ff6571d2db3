package alipan

import (
	"context"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := d.usable(ctx); err != nil {
		return store.Page{}, err
	}
	p, err := d.walker.List(ctx, q)
	if d.Classify(err).Code == fault.NotFound { // the root: the first write makes it
		if _, e := d.lookup(ctx, ""); d.Classify(e).Code == fault.NotFound {
			return store.Page{}, nil
		}
	}
	return p, err
}

// children reads a folder by its id, page by page.
func (d *Driver) children(ctx context.Context, id string, limit int) ([]item, error) {
	var out []item
	seen := map[string]bool{}
	for marker := ""; ; {
		var page struct {
			Items *[]item `json:"items"`
			Next  *string `json:"next_marker"`
		}
		in := fields{"parent_file_id": id, "limit": min(limit, pageSize), "fields": "*", "order_by": "name", "order_direction": "ASC"}
		if marker != "" {
			in["marker"] = marker
		}
		if err := d.call(ctx, opList, in, &page); err != nil {
			return nil, err
		}
		if page.Items == nil || page.Next == nil {
			return nil, notAlipan(nil, "it lists no folder")
		}
		for _, x := range *page.Items {
			if !x.whole() || x.Name == "" || x.Parent != "" && x.Parent != id {
				return nil, notAlipan(nil, "it lists what is no file of the folder")
			}
			if x.Trashed || x.Status == "uploading" || seen[x.ID] { // what moves while a folder is read may come twice
				continue
			}
			seen[x.ID] = true
			out = append(out, x)
		}
		if *page.Next == "" || len(out) >= limit {
			return out, nil
		}
		if seen["\x00"+*page.Next] {
			return nil, fault.New(fault.DataLoss, "the service gives the same page of names again and again")
		}
		seen["\x00"+*page.Next] = true
		marker = *page.Next
	}
}

// named is a name in a folder with what it stands for.
type named struct {
	store.DirEntry
	item *item
}

// readDir reads a whole folder in the order of its keys, which the service's own order by name is not. Of several files of
// one name the youngest is the object.
func (d *Driver) readDir(ctx context.Context, dir string) ([]named, error) {
	id, err := d.directory(ctx, dir)
	if err != nil {
		return nil, err
	}
	list, err := d.children(ctx, id, 1<<31)
	if err != nil {
		return nil, err
	}
	out := make([]named, 0, len(list))
	for i := range list {
		x := &list[i]
		if checkKey(dir+x.Name) != nil { // hidden, or a name that is no part of a key
			continue
		}
		if x.folder() {
			out = append(out, named{store.DirEntry{Name: x.Name + "/", Dir: true}, x})
		} else {
			out = append(out, named{store.DirEntry{Name: x.Name, Entry: x.entry(dir + x.Name)}, x})
		}
	}
	slices.SortFunc(out, func(a, b named) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if a.item.younger(b.item) {
			return -1
		}
		return 1
	})
	return slices.CompactFunc(out, func(a, b named) bool { return a.Name == b.Name }), nil
}

// entries are the entries of names, at most limit of them, with their sizes.
func (d *Driver) entries(ctx context.Context, list []named, limit int) ([]store.DirEntry, error) {
	list = list[:min(limit, len(list))]
	if err := d.plainAll(ctx, list); err != nil {
		return nil, err
	}
	out := make([]store.DirEntry, len(list))
	for i := range list {
		out[i] = list[i].DirEntry
	}
	return out, nil
}

// ListDir implements store.DirLister.
func (d *Driver) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	return d.entries(ctx, list[sort.Search(len(list), func(i int) bool { return list[i].Name > after }):], max)
}

// OpenDir implements store.DirOpener.
func (d *Driver) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &cursor{d, list[sort.Search(len(list), func(i int) bool { return list[i].Name >= from }):]}, nil
}

// cursor is what is left of a folder.
type cursor struct {
	d    *Driver
	list []named
}

// Next implements store.DirCursor.
func (c *cursor) Next(ctx context.Context, max int) ([]store.DirEntry, error) {
	if len(c.list) == 0 {
		return nil, io.EOF
	}
	out, err := c.d.entries(ctx, c.list, max)
	if err != nil {
		return nil, err
	}
	c.list = c.list[len(out):]
	return out, nil
}
