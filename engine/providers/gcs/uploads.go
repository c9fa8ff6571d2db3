package gcs

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Uploads implements store.UploadLister. The token holds both markers.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	var out store.UploadPage
	r := d.xmlRequest("storage.multipartUploads.list", "GET", "", "uploads", "", "encoding-type", "url")
	r.ask("prefix", prefix[:strings.LastIndexByte(prefix, '/')+1]) // hidden names share the folder only
	if token != "" {
		var m [2]string
		if err := json.Unmarshal([]byte(token), &m); err != nil {
			return out, fault.New(fault.InvalidArgument, "the token is not of a listing of uploads")
		}
		r.ask("key-marker", m[0])
		r.ask("upload-id-marker", m[1])
	}
	var page struct {
		IsTruncated        bool
		NextKeyMarker      string
		NextUploadIDMarker string `xml:"NextUploadIdMarker"`
		EncodingType       string
		Upload             []struct {
			Key       string
			UploadID  string `xml:"UploadId"`
			Initiated time.Time
		}
	}
	if _, err := d.xml(ctx, r, "ListMultipartUploadsResult", &page); err != nil {
		if d.o.CreateIfNotExists && missingBucket(err) {
			err = nil
		}
		return out, err
	}
	text := func(s string) (string, error) {
		if page.EncodingType == "url" {
			return url.QueryUnescape(s)
		}
		return s, nil
	}
	for _, x := range page.Upload {
		name, err := text(x.Key)
		if err != nil || name == "" || x.UploadID == "" {
			return out, fault.New(fault.DataLoss, "the service lists an upload of the key %q without id, or wrongly escaped", x.Key)
		}
		key, is := shown(name)
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		u := upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: key, Name: name, ID: x.UploadID, Size: -1, IfAbsent: is}} // which condition it had is not known: the stricter one
		out.Uploads = append(out.Uploads, store.PendingUpload{Key: key, ID: x.UploadID, Started: x.Initiated.UTC(), Size: -1, State: u.State()})
	}
	if !page.IsTruncated {
		return out, nil
	}
	key, err := text(page.NextKeyMarker)
	if err != nil {
		return out, err
	}
	next, _ := json.Marshal([2]string{key, page.NextUploadIDMarker})
	if out.Next = string(next); key == "" && page.NextUploadIDMarker == "" || out.Next == token {
		return out, fault.New(fault.DataLoss, "the service says that more uploads follow and does not say where")
	}
	return out, nil
}
