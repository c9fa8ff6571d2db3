package s3

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

type uploadsPage struct {
	IsTruncated                       bool
	NextKeyMarker, NextUploadIDMarker string
	EncodingType                      string
	Upload                            []struct {
		Key                             string
		UploadID                        string `xml:"UploadId"`
		Initiated                       time.Time
		ChecksumAlgorithm, ChecksumType string
	}
}

// Uploads implements store.UploadLister. The token holds both markers.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	r := &request{action: "ListBucketMultipartUploads", method: "GET", query: []string{"uploads", "", "encoding-type", "url", "prefix", prefix}}
	if token != "" {
		var m [2]string
		if err := json.Unmarshal([]byte(token), &m); err != nil {
			return store.UploadPage{}, fault.New(fault.InvalidArgument, "the token is not of a listing of uploads")
		}
		r.query = append(r.query, "key-marker", m[0], "upload-id-marker", m[1])
	}
	var page uploadsPage
	if _, err := d.xml(ctx, r, "ListMultipartUploadsResult", &page); err != nil {
		var reply *ReplyError
		if errors.As(err, &reply) && reply.Code == "NoSuchUpload" && token == "" { // so says rclone's server of a bucket without any
			err = nil
		}
		return store.UploadPage{}, err
	}
	text := func(s string) (string, error) {
		if page.EncodingType == "url" {
			return unescape(s)
		}
		return s, nil
	}
	var out store.UploadPage
	for _, x := range page.Upload {
		key, err := text(x.Key)
		if err != nil {
			return out, err
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		u := upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: key, ID: x.UploadID, Size: -1}}
		if algo := strings.ToLower(x.ChecksumAlgorithm); newHash(algo) != nil && (x.ChecksumType == "FULL_OBJECT") == (algo != algoSHA256) {
			u.Algo = algo
		}
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
