package azurefiles

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// remove is Delete File. What is not there is no error.
func (d *Driver) remove(ctx context.Context, path string) (there bool, err error) {
	_, err = d.Call(ctx, &azurerest.Request{Action: "Delete File", Method: "DELETE", Key: path, Write: true}, http.StatusAccepted)
	if azurerest.Is(err, "ResourceNotFound", "ParentNotFound", "ResourceTypeMismatch") {
		return false, nil
	}
	return err == nil, err
}

// prune removes dir and the directories above it as far as they are empty. The service refuses any other. Failing to is no
// failure of the delete: an empty directory is no object.
func (d *Driver) prune(ctx context.Context, dir string) {
	for ; dir != ""; dir = parent(dir) {
		d.forget(dir + "/")
		_, err := d.Call(ctx, &azurerest.Request{Action: "Delete Directory", Method: "DELETE", Key: dir, Query: []string{"restype", "directory"}, Write: true}, http.StatusAccepted)
		if err != nil && !azurerest.Is(err, "ResourceNotFound", "ParentNotFound") {
			return
		}
	}
}

// Delete implements store.Driver. It removes the directories above the file too, as far as they are empty then: in a store
// of objects a directory without one is not there.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if c.IfMatch != "" || c.Version != "" {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", d.Caps().Why["IfMatch"])
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if !d.knows(key) {
		if ok, err := d.has(ctx, key); !ok || err != nil {
			return err
		}
		if ok, err := d.spelled(ctx, key); !ok || err != nil {
			return err
		}
	}
	there, err := d.remove(ctx, key)
	if err != nil || !there {
		return err
	}
	d.mu.Lock()
	delete(d.exact, key)
	d.mu.Unlock()
	d.prune(ctx, parent(key))
	return context.Cause(ctx)
}

// maxSwept bounds the directories that one open store looks through for what others left.
const maxSwept = 64

// sweep removes hidden files from a directory that nobody has changed for a week. It looks once at each of the first
// directories that are written to. It is best effort.
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
	list, _, err := d.page(ctx, dir, azurerest.TempStart, "", pageMax)
	if err != nil {
		return
	}
	for _, e := range list {
		if _, _, hidden := azurerest.Hidden(e.Name); !hidden || e.Dir {
			continue
		}
		resp, err := d.Do(ctx, reading("HEAD", dir+e.Name, store.Cond{})) // its time of last write can be the object's
		if err != nil {
			continue
		}
		azurerest.Drain(resp)
		at, err := http.ParseTime(resp.Header.Get("Last-Modified"))
		if err == nil && d.Clock.Now().Sub(at) > azurerest.StaleDays*24*time.Hour {
			if _, err := d.remove(ctx, dir+e.Name); err == nil {
				d.log.Info("removed what a killed process left", "file", strings.TrimPrefix(dir+e.Name, "/"))
			}
		}
	}
}
