package webhdfs

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
		if _, e := d.status(ctx, d.root+"/"); d.Classify(e).Code == fault.NotFound {
			return store.Page{}, nil
		}
	}
	return p, err
}

// batch is the reply of LISTSTATUS_BATCH.
type batch struct {
	DirectoryListing *struct {
		PartialListing *struct {
			FileStatuses *struct{ FileStatus []fileStatus }
		} `json:"partialListing"`
		RemainingEntries *int64 `json:"remainingEntries"`
	}
}

// readDir reads a whole directory, in batches of the size that the cluster chooses. Names are those of a directory's
// listing in HDFS, in its own order: bytes count as signed there, and the "/" of folders does not, which is why all of it
// is read and sorted.
func (d *Driver) readDir(ctx context.Context, dir string) ([]store.DirEntry, error) {
	var out []store.DirEntry
	after, first := "", ""
	for {
		var b batch
		query := []string{}
		if after != "" {
			query = []string{"startAfter", after}
		}
		resp, err := d.json(ctx, &b, "GET", d.root+"/"+strings.TrimSuffix(dir, "/"), "LISTSTATUS_BATCH", query...)
		if err != nil {
			return nil, err
		}
		l := b.DirectoryListing
		if l == nil || l.PartialListing == nil || l.PartialListing.FileStatuses == nil || l.PartialListing.FileStatuses.FileStatus == nil || l.RemainingEntries == nil {
			return nil, notHDFS(resp, "it lists no folder")
		}
		list := l.PartialListing.FileStatuses.FileStatus
		if len(list) > 0 {
			if first != "" && list[0].PathSuffix == first {
				return nil, fault.New(fault.DataLoss, "the cluster gives the same batch of names again and again")
			}
			first = list[0].PathSuffix
		}
		for _, s := range list {
			if s.PathSuffix == "" { // the listing of a file is that file: here is no folder
				return nil, fault.New(fault.NotFound, "there is a file, and no folder")
			}
			after = s.PathSuffix
			name := s.PathSuffix
			if dir == "" && (name == hidden || name == ".reserved") {
				continue
			}
			if s.Type == "DIRECTORY" {
				out = append(out, store.DirEntry{Name: name + "/", Dir: true})
			} else if s.Type == "FILE" {
				out = append(out, store.DirEntry{Name: name, Entry: s.entry(dir + name)})
			}
		}
		if *l.RemainingEntries <= 0 {
			break
		}
		if len(list) == 0 {
			return nil, fault.New(fault.DataLoss, "the cluster says that %d more names follow and gives none", *l.RemainingEntries)
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
func (d *Driver) ListDir(ctx context.Context, dir, after string, _ int) ([]store.DirEntry, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	return list[sort.Search(len(list), func(i int) bool { return list[i].Name > after }):], nil
}

// OpenDir implements store.DirOpener.
func (d *Driver) OpenDir(ctx context.Context, dir, from string) (store.DirCursor, error) {
	list, err := d.readDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	c := cursor(list[sort.Search(len(list), func(i int) bool { return list[i].Name >= from }):])
	return &c, nil
}

// cursor is what is left of a directory.
type cursor []store.DirEntry

// Next implements store.DirCursor.
func (c *cursor) Next(_ context.Context, max int) ([]store.DirEntry, error) {
	if len(*c) == 0 {
		return nil, io.EOF
	}
	n := min(max, len(*c))
	out := (*c)[:n]
	*c = (*c)[n:]
	return out, nil
}
