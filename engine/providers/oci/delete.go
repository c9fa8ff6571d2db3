package oci

import (
	"context"
	"errors"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/ociauth"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := checkKey(key); err != nil {
		return err
	}
	r := &request{action: "OBJECT_DELETE", method: "DELETE", path: objectPath("/o/", key)}
	if c.Version != "" {
		r.query = []string{"versionId", c.Version}
	}
	r.set("If-Match", c.IfMatch)
	resp, err := d.do(ctx, r)
	if err != nil {
		var reply *ReplyError
		if c.IfMatch == "" && errors.As(err, &reply) && reply.Code == "ObjectNotFound" {
			return nil
		}
		return err
	}
	drain(resp)
	if resp.ContentLength > 0 || resp.Header.Get("Opc-Request-Id") == "" { // a delete has nothing to say
		return notOCI(resp, "a delete was answered with text")
	}
	return nil
}

func missingBucket(err error) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.Code == "BucketNotFound"
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
	resp, err := d.do(ctx, &request{action: "BUCKET_INSPECT", method: "HEAD"})
	switch {
	case err == nil:
		drain(resp)
	case d.Classify(err).Code == fault.NotFound:
		err = d.createBucket(ctx)
	case d.Classify(err).Code == fault.PermissionDenied:
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
	place := d.o.CompartmentID
	if place == "" {
		place = ociauth.Tenancy(ctx, d.cred)
	}
	if place == "" {
		return fault.Hinted(fault.InvalidArgument, "Set `compartment_id`.", "the compartment in which the bucket is to be made is not known")
	}
	ns, err := d.namespaceOf(ctx)
	if err != nil {
		return err
	}
	r := &request{action: "BUCKET_CREATE", method: "POST", root: true, path: "/n/" + escape(ns) + "/b"}
	if err := r.encode(map[string]string{"name": d.o.Bucket, "compartmentId": place}); err != nil {
		return err
	}
	var made struct{ Name string }
	resp, err := d.json(ctx, r, &made)
	if err == nil && made.Name != d.o.Bucket {
		err = notOCI(resp, "it names no bucket")
	}
	if d.Classify(err).Code == fault.AlreadyExists { // somebody was faster
		return nil
	}
	return err
}
