package adlsgen2

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver. It removes the directories above the file too, as far as they are empty then: in a store
// of objects a directory without one is not there. An empty directory of this very name goes as well.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if c.Version != "" {
		return fault.New(fault.FailedPrecondition, "the service keeps no versions of files")
	}
	there, err := d.remove(ctx, key, c.IfMatch)
	if err != nil || !there {
		return err
	}
	d.prune(ctx, parent(key))
	return context.Cause(ctx)
}

// remove is Path Delete of a file or an empty directory. What is not there is no error, unless an ETag is asked for.
func (d *Driver) remove(ctx context.Context, path, ifMatch string) (there bool, err error) {
	r := &azurerest.Request{Action: "Path Delete", Method: "DELETE", Key: path, Query: []string{"recursive", "false"}, Write: true}
	r.Set("If-Match", ifMatch)
	resp, err := d.Do(ctx, r)
	if err == nil {
		azurerest.Drain(resp)
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
			return false, azurerest.NotAzure(resp, "a delete is answered with another status")
		}
		return true, nil
	}
	if ifMatch == "" && (azurerest.Is(err, "PathNotFound", "DirectoryNotEmpty", "PathConflict", "ResourceTypeMismatch")) { // no file has this name
		return false, nil
	}
	return false, err
}

// prune removes dir and the directories above it as far as they are empty. The service refuses any other. Failing to is no
// failure of the delete: an empty directory is no object.
func (d *Driver) prune(ctx context.Context, dir string) {
	for ; dir != ""; dir = parent(dir) {
		r := &azurerest.Request{Action: "Path Delete", Method: "DELETE", Key: dir, Query: []string{"recursive", "false"}, Write: true}
		resp, err := d.Do(ctx, r)
		if err == nil {
			azurerest.Drain(resp)
		} else if !azurerest.Is(err, "PathNotFound") {
			return
		}
	}
}

// maxSwept bounds the directories that one open store looks through for what others left.
const maxSwept = 64

// sweep removes hidden files from a directory that nobody has changed for a week. It looks once at each of the first
// directories that are written to, at one page of names, where hidden names come early. It is best effort.
func (d *Driver) sweep(ctx context.Context, dir string) {
	d.mu.Lock()
	done := d.swept[dir] || len(d.swept) >= maxSwept
	if !done {
		d.swept[dir] = true
	}
	d.mu.Unlock()
	if done {
		return
	}
	if dir != "" {
		dir += "/"
	}
	for _, x := range d.hidden(ctx, dir) {
		if d.Clock.Now().Sub(x.modified) > azurerest.StaleDays*24*time.Hour {
			if _, err := d.remove(ctx, x.path, ""); err == nil {
				d.log.Info("removed what a killed process left", "file", x.path)
			}
		}
	}
}

// hiddenFile is a file on its way.
type hiddenFile struct {
	path     string
	kind     byte
	id       string
	modified time.Time
}

// hidden lists the hidden files on the first page of a directory.
func (d *Driver) hidden(ctx context.Context, dir string) (out []hiddenFile) {
	found, _, err := d.hiddenPage(ctx, dir, false, "")
	if err != nil {
		return nil
	}
	return found
}

// hiddenPage picks the hidden files out of a page of a listing.
func (d *Driver) hiddenPage(ctx context.Context, dir string, recursive bool, token string) (out []hiddenFile, next string, err error) {
	p, _, next, err := d.pathsOf(ctx, dir, recursive, token, pageMax)
	if err != nil {
		return nil, "", err
	}
	for _, x := range p {
		kind, id, ok := azurerest.Hidden(x.Name[strings.LastIndexByte(x.Name, '/')+1:])
		if !ok || text(x.IsDirectory) == "true" {
			continue
		}
		at, err := http.ParseTime(x.LastModified)
		if err == nil {
			out = append(out, hiddenFile{x.Name, kind, id, at})
		}
	}
	return out, next, nil
}
