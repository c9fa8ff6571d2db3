package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Delete implements store.Driver.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.checkKey(key); err != nil {
		return err
	}
	if c.IfMatch != "" && !d.caps.IfMatch {
		return fault.New(fault.Unimplemented, "no conditional delete: %s", d.preset.why)
	}
	if c.IfMatch != "" { // some services say nothing when the object is not there at all
		if _, err := d.Stat(ctx, key, c); err != nil {
			return err
		}
	}
	r := &request{action: "DeleteObject", method: "DELETE", key: key}
	if c.Version != "" {
		r.query, r.action = []string{"versionId", c.Version}, "DeleteObjectVersion"
	}
	r.set("If-Match", c.IfMatch)
	resp, err := d.do(ctx, r)
	if err != nil {
		if c.IfMatch == "" && d.Classify(err).Code == fault.NotFound && !missingBucket(err) {
			return nil
		}
		return err
	}
	drain(resp)
	if resp.ContentLength > 0 { // a delete has nothing to say
		return notS3(resp, "a delete was answered with text")
	}
	return nil
}

func missingBucket(err error) bool {
	e, ok := err.(*ReplyError)
	return ok && e.Code == "NoSuchBucket"
}

// MaxDeleteBatch implements store.BatchDeleter.
func (d *Driver) MaxDeleteBatch() int { return maxBatch }

type deleteResult struct {
	Deleted []struct{ Key string }
	Error   []struct{ Key, Code, Message string }
}

// DeleteBatch implements store.BatchDeleter. A key that the service does not confirm counts as not deleted. Keys that
// XML cannot hold are deleted one by one.
func (d *Driver) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	failed := map[string]error{}
	waiting := map[string]bool{}
	var alone []string
	var body bytes.Buffer
	body.WriteString(`<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for _, k := range keys {
		switch err := d.checkKey(k); {
		case err != nil:
			failed[k] = err
		case waiting[k]:
		case !plainInXML(k):
			alone = append(alone, k)
		default:
			waiting[k] = true
			body.WriteString("<Object><Key>")
			_ = xml.EscapeText(&body, []byte(k))
			body.WriteString("</Key></Object>")
		}
	}
	body.WriteString("</Delete>")
	if len(waiting) > 0 {
		sum := md5.Sum(body.Bytes())
		r := &request{action: "DeleteObject", method: "POST", query: []string{"delete", ""}, body: octets(body.Bytes())}
		r.set("Content-Md5", base64Of(sum[:]))
		r.set("Content-Type", "application/xml")
		var res deleteResult
		resp, err := d.xml(ctx, r, "DeleteResult", &res)
		if err != nil {
			return nil, err
		}
		for _, x := range res.Deleted {
			delete(waiting, x.Key)
		}
		for _, x := range res.Error {
			if waiting[x.Key] && codes[x.Code] != fault.NotFound {
				e := &ReplyError{Status: resp.StatusCode, Code: x.Code, Message: x.Message, Action: r.action, RequestID: resp.Header.Get("X-Amz-Request-Id")}
				e.Hint = d.hint(e, d.regionNow())
				failed[x.Key] = e
			}
			delete(waiting, x.Key)
		}
		for k := range waiting {
			failed[k] = fault.New(fault.Unavailable, "the service does not say whether the key was deleted")
		}
	}
	for _, k := range alone {
		if err := d.Delete(ctx, k, store.Cond{}); err != nil {
			failed[k] = err
		}
	}
	return failed, nil
}

// plainInXML reports whether a key goes through an XML document and comes back as it is, whatever a service does with
// line ends and outer spaces.
func plainInXML(k string) bool {
	return inXML(k) && !strings.ContainsAny(k, "\t\r\n") && strings.TrimSpace(k) == k
}

// ensureBucket makes the bucket before the first write, where that is asked for.
func (d *Driver) ensureBucket(ctx context.Context) error {
	if !d.o.CreateIfNotExists {
		return nil
	}
	d.mu.Lock()
	made, region := d.made, d.region
	d.mu.Unlock()
	if made {
		return nil
	}
	resp, err := d.do(ctx, &request{action: "ListBucket", method: "HEAD"})
	if err == nil {
		drain(resp)
	} else if d.Classify(err).Code == fault.NotFound {
		r := &request{action: "CreateBucket", method: "PUT"}
		if d.preset.name == "aws" && region != "us-east-1" {
			r.body = octets(fmt.Sprintf(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>`, region))
		}
		if resp, err = d.do(ctx, r); err == nil {
			drain(resp)
		} else if d.Classify(err).Code == fault.AlreadyExists { // somebody was faster
			err = nil
		}
	} else if d.Classify(err).Code == fault.PermissionDenied {
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
