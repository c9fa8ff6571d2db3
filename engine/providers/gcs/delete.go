package gcs

import (
	"context"

	"cloud.google.com/go/storage"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver. There is no batch: it would save connections, which are kept here, and no request.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return d.delete(ctx, key, c)
}

func (d *Driver) delete(ctx context.Context, key string, c store.Cond) error {
	r := d.metaRequest("storage.objects.delete", "DELETE", objectPath(key))
	for _, x := range [][2]string{{"generation", c.Version}, {"ifGenerationMatch", c.IfMatch}} {
		if _, ok := generation(x[1]); !ok && x[1] != "" {
			return noMatch(x[1])
		}
		r.ask(x[0], x[1])
	}
	resp, b, err := d.text(ctx, r)
	switch {
	case err != nil && c.IfMatch == "" && gone(err):
		return nil
	case err != nil:
		return err
	case resp.StatusCode != 204 && resp.Header.Get("X-Guploader-Uploadid") == "" || len(b) > 0: // a delete has nothing to say
		return notGCS(resp, "a delete was answered with text")
	}
	return nil
}

// ensureBucket makes the bucket before the first write, where that is asked for.
func (d *Driver) ensureBucket(ctx context.Context) error {
	if !d.o.CreateIfNotExists {
		return nil
	}
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	if made {
		return nil
	}
	r := d.metaRequest("storage.buckets.get", "GET", "")
	r.ask("fields", "name")
	var there struct{ Name string }
	resp, err := d.json(ctx, r, &there)
	switch code := d.Classify(err).Code; {
	case err == nil && there.Name != d.o.Bucket:
		err = notGCS(resp, "it names no bucket")
	case code == fault.NotFound:
		err = d.createBucket(ctx)
	case code == fault.PermissionDenied || code == fault.Unauthenticated && d.cred == nil:
		err = nil // the write itself will tell
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.made = true
	d.mu.Unlock()
	return nil
}

func (d *Driver) createBucket(ctx context.Context) error {
	project := d.o.Project
	if project == "" && d.cred != nil {
		project = gcpauth.Project(d.cred)
	}
	if project == "" {
		return fault.Hinted(fault.InvalidArgument, "Set `project`.", "the project in which the bucket is to be made is not known")
	}
	c, err := d.client()
	if err != nil {
		return err
	}
	err = d.fromClient(ctx, "storage.buckets.create", c.Bucket(d.o.Bucket).Create(ctx, project, &storage.BucketAttrs{Location: d.o.Location, StorageClass: d.o.StorageClass}))
	if reply, ok := err.(*ReplyError); ok && reply.Status == 409 {
		if reply.Code == "conflict" && !d.mine(ctx) {
			return fault.Hinted(fault.PermissionDenied, "Names of buckets are shared by all users of the service: choose another.", "the bucket %q belongs to somebody else", d.o.Bucket)
		}
		return nil // somebody was faster
	}
	return err
}

// mine reports whether the bucket can be seen; another's that takes the name cannot.
func (d *Driver) mine(ctx context.Context) bool {
	r := d.metaRequest("storage.buckets.get", "GET", "")
	r.ask("fields", "name")
	_, _, err := d.text(ctx, r)
	return err == nil
}
