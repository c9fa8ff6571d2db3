package adlsgen2

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

func (d *Driver) readState(ctx context.Context, path string) (s saved, err error) {
	x, err := d.Client.Get(ctx, getter, path, store.GetOptions{})
	if err != nil {
		return s, err
	}
	defer x.Body.Close()
	b, err := io.ReadAll(io.LimitReader(x.Body, maxState))
	if err != nil {
		return s, err
	}
	if len(b) == 0 { // made by its upload, and not written yet
		return s, fault.New(fault.NotFound, "the upload has not begun")
	}
	if json.Unmarshal(bytes.TrimSpace(b), &s) != nil {
		err = fault.New(fault.DataLoss, "the state file of an upload cannot be read")
	}
	return s, err
}

// Uploads implements store.UploadLister: the state files below the directory of prefix, page by page of the listing.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	dir := parent(prefix)
	if dir != "" {
		dir += "/"
	}
	found, next, err := d.hiddenPage(ctx, dir, true, token)
	if err != nil {
		if d.Classify(err).Code == fault.NotFound && (dir != "" || d.missing(err) == nil) {
			err = nil
		}
		return store.UploadPage{}, err
	}
	page := store.UploadPage{Next: next}
	for _, f := range found {
		if f.kind != azurerest.TempState {
			continue
		}
		s, err := d.readState(ctx, f.path)
		if err == nil && (s.ID != f.id || s.Filesystem != d.o.Filesystem || azurerest.TempName(s.Key, azurerest.TempState, s.ID) != f.path) {
			continue // not ours
		}
		var e store.Entry
		if err == nil {
			e, err = d.Client.Stat(ctx, getter, azurerest.TempName(s.Key, azurerest.TempUpload, s.ID), store.Cond{})
		}
		if d.Classify(err).Code == fault.NotFound { // it ended meanwhile
			continue
		}
		if err != nil {
			return store.UploadPage{}, err
		}
		if len(s.Key) < len(prefix) || s.Key[:len(prefix)] != prefix {
			continue
		}
		state, err := json.Marshal(s)
		if err != nil {
			return store.UploadPage{}, err
		}
		page.Uploads = append(page.Uploads, store.PendingUpload{Key: s.Key, ID: s.ID, Started: f.modified, Size: e.Size, State: state})
	}
	return page, nil
}
