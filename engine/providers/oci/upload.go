package oci

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// upload is a multipart upload under way.
type upload struct {
	d *Driver
	saved
}

// saved is the form of Upload.State.
type saved struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	ID       string `json:"id"`
	Size     int64  `json:"size"` // -1 unknown
	IfAbsent bool   `json:"if_absent,omitempty"`
	IfMatch  string `json:"if_match,omitempty"`
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	u, err := d.begin(ctx, key, o, size)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (d *Driver) begin(ctx context.Context, key string, o store.PutOptions, size int64) (*upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", size, int64(maxSize))
	}
	x, err := describe(o.Attrs)
	if err != nil {
		return nil, err
	}
	body := x.json()
	body["object"] = key
	if d.o.StorageTier != "" {
		body["storageTier"] = d.o.StorageTier
	}
	r := &request{action: "OBJECT_CREATE and OBJECT_OVERWRITE", method: "POST", path: "/u"}
	if err := r.encode(body); err != nil {
		return nil, err
	}
	condition(r, o)
	u := &upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: key, Size: size, IfAbsent: o.IfAbsent, IfMatch: o.IfMatch}}
	var res struct{ UploadID, Object string }
	late, done := outlive(ctx)
	defer done()
	resp, err := d.json(late, r, &res)
	if u.ID = res.UploadID; err == nil && (u.ID == "" || res.Object != key) {
		err = notOCI(resp, "it names no upload")
	}
	if cause := context.Cause(ctx); cause != nil {
		if u.ID != "" {
			_ = u.Abort(late)
		}
		err = cause
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// outlive returns a context that ends a moment after ctx: an upload that was begun while ctx ended has a name that only
// its reply tells, and without it could not be aborted.
func outlive(ctx context.Context) (context.Context, func()) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(800*time.Millisecond, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel(nil) }
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	u := &upload{d: d}
	if err := json.Unmarshal(state, &u.saved); err != nil || u.ID == "" || u.Bucket != d.o.Bucket || checkKey(u.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the state is not of an upload to the bucket %q", d.o.Bucket)
	}
	return u, nil
}

// State implements store.Upload.
func (u *upload) State() []byte {
	b, _ := json.Marshal(u.saved)
	return b
}

func (u *upload) request(action, method string, query ...string) *request {
	return &request{action: action, method: method, path: objectPath("/u/", u.Key), query: append(query, "uploadId", u.ID)}
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if n < 1 || n > maxParts || off < 0 {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d", n, off, maxParts)
	}
	size := body.Size()
	if size < 0 {
		data, err := transfer.ReadUpTo(ctx, body, 64<<20)
		if err != nil {
			return store.Part{}, err
		}
		size, body = int64(len(data)), store.BytesBody(data)
	}
	if size > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "a part of %d bytes: the most is %d", size, int64(maxPart))
	}
	r := u.request("OBJECT_CREATE", "PUT", "uploadPartNum", strconv.Itoa(n))
	h, sum, err := u.d.deliver(ctx, r, u.Key, body, size)
	if err != nil {
		return store.Part{}, err
	}
	return store.Part{N: n, Off: off, Size: size, ETag: h.Get("Etag"), Sum: sum}, nil
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	var out []store.Part
	off := int64(0)
	for page := ""; ; {
		r := u.request("OBJECT_CREATE", "GET", "limit", strconv.Itoa(maxPage))
		if page != "" {
			r.query = append(r.query, "page", page)
		}
		var list *[]struct {
			PartNumber int
			ETag, MD5  string
			Size       *int64
		}
		resp, err := u.d.json(ctx, r, &list)
		if err != nil {
			return nil, err
		}
		if list == nil {
			return nil, notOCI(resp, "it lists no parts")
		}
		for _, x := range *list {
			if x.PartNumber < 1 || x.ETag == "" || x.Size == nil || *x.Size < 0 || len(out) > 0 && x.PartNumber <= out[len(out)-1].N {
				return nil, fault.New(fault.DataLoss, "the service lists part %d with the ETag %q out of order or without size", x.PartNumber, x.ETag)
			}
			p := store.Part{N: x.PartNumber, Off: off, Size: *x.Size, ETag: x.ETag}
			if s, ok := parseSum(algoMD5, x.MD5); ok {
				p.Sum = s
			}
			off += p.Size
			out = append(out, p)
		}
		next := resp.Header.Get("Opc-Next-Page")
		if next == "" {
			return out, nil
		}
		if next == page {
			return nil, fault.New(fault.DataLoss, "the service gives the same page of parts again and again")
		}
		page = next
	}
}

// Commit implements store.Upload. The parts must make up the whole: numbers without a gap, and the size that was said.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	parts = slices.SortedFunc(slices.Values(parts), func(a, b store.Part) int { return a.N - b.N })
	type named struct {
		PartNum int    `json:"partNum"`
		ETag    string `json:"etag"`
	}
	var list []named
	total, sums := int64(0), md5.New()
	known := true
	for i, p := range parts {
		if p.N != i+1 || p.ETag == "" {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is missing", i+1)
		}
		known = known && p.Sum.Algo == algoMD5 && p.Sum.Parts == 0
		sums.Write(p.Sum.Value)
		total += p.Size
		list = append(list, named{p.N, p.ETag})
	}
	if len(parts) == 0 || u.Size >= 0 && total != u.Size {
		return store.Entry{}, fault.New(fault.DataLoss, "the parts have %d bytes, the object %d", total, u.Size)
	}
	var want []byte
	if known {
		want = sums.Sum(nil)
	}
	r := u.request("OBJECT_CREATE and OBJECT_OVERWRITE", "POST")
	if err := r.encode(map[string]any{"partsToCommit": list}); err != nil {
		return store.Entry{}, err
	}
	condition(r, store.PutOptions{IfAbsent: u.IfAbsent, IfMatch: u.IfMatch})
	resp, err := u.d.do(ctx, r)
	if err != nil {
		return u.committedBefore(ctx, len(parts), total, want, err)
	}
	drain(resp)
	h := resp.Header
	if h.Get("Etag") == "" {
		return store.Entry{}, notOCI(resp, "it has no ETag")
	}
	e := store.Entry{Key: u.Key, Size: total, ETag: h.Get("Etag"), Version: h.Get("Version-Id")}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	got, ok := parseSum(algoMD5, h.Get("Opc-Multipart-Md5"))
	switch {
	case !ok:
		return e, notOCI(resp, "it does not say which bytes it holds")
	case want != nil && (!bytes.Equal(got.Value, want) || got.Parts != len(parts)):
		return e, fault.New(fault.DataLoss, "the service holds parts with the MD5 %s-%d, sent were %s-%d", base64Of(got.Value), got.Parts, base64Of(want), len(parts))
	}
	e.Sums = []store.Sum{got}
	return e, nil
}

// committedBefore looks at a refusal to complete an upload: its first try may have succeeded and its reply been lost.
// Then the upload is gone, and the object stands there with the checksum of these parts. A condition that does not hold
// proves nothing: another may have stored the same bytes.
func (u *upload) committedBefore(ctx context.Context, n int, total int64, want []byte, err error) (store.Entry, error) {
	var reply *ReplyError
	if want == nil || !errors.As(err, &reply) || reply.Code != "NoSuchUpload" {
		return store.Entry{}, err
	}
	held, e := u.d.Stat(ctx, u.Key, store.Cond{})
	if e != nil || held.Size != total {
		return store.Entry{}, err
	}
	for _, s := range held.Sums {
		if s.Algo == algoMD5 && s.Parts == n && bytes.Equal(s.Value, want) {
			return held, nil
		}
	}
	return store.Entry{}, err
}

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	resp, err := u.d.do(ctx, u.request("OBJECT_DELETE", "DELETE"))
	if err != nil {
		if u.d.Classify(err).Code == fault.NotFound && !missingBucket(err) {
			return nil
		}
		return err
	}
	drain(resp)
	if resp.Header.Get("Opc-Request-Id") == "" {
		return notOCI(resp, fmt.Sprintf("an abort was answered with status %d and no id", resp.StatusCode))
	}
	return nil
}

// Uploads implements store.UploadLister. The service cannot filter, so that a page may be empty.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	r := &request{action: "BUCKET_READ", method: "GET", path: "/u", query: []string{"limit", strconv.Itoa(maxPage)}}
	if token != "" {
		r.query = append(r.query, "page", token)
	}
	var list *[]struct {
		Object, UploadID string
		TimeCreated      time.Time
	}
	resp, err := d.json(ctx, r, &list)
	if err != nil {
		if d.o.CreateIfNotExists && missingBucket(err) {
			err = nil
		}
		return store.UploadPage{}, err
	}
	if list == nil {
		return store.UploadPage{}, notOCI(resp, "it lists no uploads")
	}
	var out store.UploadPage
	for _, x := range *list {
		if len(x.Object) < len(prefix) || x.Object[:len(prefix)] != prefix {
			continue
		}
		u := upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: x.Object, ID: x.UploadID, Size: -1}}
		out.Uploads = append(out.Uploads, store.PendingUpload{Key: x.Object, ID: x.UploadID, Started: x.TimeCreated.UTC(), Size: -1, State: u.State()})
	}
	if out.Next = resp.Header.Get("Opc-Next-Page"); out.Next != "" && out.Next == token {
		return out, fault.New(fault.DataLoss, "the service gives the same page of uploads again and again")
	}
	return out, nil
}
