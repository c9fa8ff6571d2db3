package s3

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// upload is a multipart upload under way.
type upload struct {
	d *Driver
	saved
	// loose says that a part broke off without an answer, so that the service may still be at it.
	loose atomic.Bool
}

// saved is the form of Upload.State.
type saved struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	ID       string `json:"id"`
	Size     int64  `json:"size"`           // -1 unknown
	Algo     string `json:"algo,omitempty"` // the checksum of the parts, of whose whole the service is told; "" none
	IfAbsent bool   `json:"if_absent,omitempty"`
	IfMatch  string `json:"if_match,omitempty"`
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	return d.begin(ctx, key, o, size, true)
}

func (d *Driver) begin(ctx context.Context, key string, o store.PutOptions, size int64, sums bool) (*upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", size, int64(maxSize))
	}
	r := &request{action: "PutObject", method: "POST", key: key, query: []string{"uploads", ""}}
	if err := describe(r, o.Attrs); err != nil {
		return nil, err
	}
	d.stored(r)
	u := &upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: key, Size: size, IfAbsent: o.IfAbsent, IfMatch: o.IfMatch}}
	if sums && d.algo != "" {
		u.Algo = d.algo
		r.set("X-Amz-Checksum-Algorithm", strings.ToUpper(u.Algo))
		if u.Algo != algoSHA256 {
			r.set("X-Amz-Checksum-Type", "FULL_OBJECT")
		}
	}
	var res struct {
		UploadID string `xml:"UploadId"`
	}
	late, done := outlive(ctx)
	defer done()
	resp, err := d.xml(late, r, "InitiateMultipartUploadResult", &res)
	if u.ID = res.UploadID; err == nil && u.ID == "" {
		err = notS3(resp, "it names no upload")
	}
	if cause := context.Cause(ctx); cause != nil {
		if u.ID != "" {
			_, _ = d.do(late, u.request("AbortMultipartUpload", "DELETE"))
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
	if err := json.Unmarshal(state, &u.saved); err != nil || u.ID == "" || u.Bucket != d.o.Bucket || d.checkKey(u.Key) != nil {
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
	return &request{action: action, method: method, key: u.Key, query: append(query, "uploadId", u.ID)}
}

func checkPart(n int, off int64) error {
	if n < 1 || n > maxParts || off < 0 {
		return fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d", n, off, maxParts)
	}
	return nil
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if err := checkPart(n, off); err != nil {
		return store.Part{}, err
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
	r := u.request("PutObject", "PUT", "partNumber", strconv.Itoa(n))
	h, sum, err := u.d.deliver(ctx, r, u.Algo, body, size)
	if err != nil {
		return store.Part{}, u.broke(err)
	}
	return store.Part{N: n, Off: off, Size: size, ETag: quoted(h.Get("ETag")), Sum: sum}, nil
}

// broke notes a part that failed.
func (u *upload) broke(err error) error {
	var reply *ReplyError
	if !errors.As(err, &reply) {
		u.loose.Store(true)
	}
	return err
}

type partsPage struct {
	IsTruncated          bool
	NextPartNumberMarker string
	Part                 []struct {
		PartNumber                                        int
		ETag                                              string
		Size                                              int64
		ChecksumCRC64NVME, ChecksumCRC32C, ChecksumSHA256 string
	}
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	var out []store.Part
	off := int64(0)
	for marker := ""; ; {
		r := u.request("ListMultipartUploadParts", "GET")
		if marker != "" {
			r.query = append(r.query, "part-number-marker", marker)
		}
		var page partsPage
		if _, err := u.d.xml(ctx, r, "ListPartsResult", &page); err != nil {
			return nil, err
		}
		for _, x := range page.Part {
			p := store.Part{N: x.PartNumber, Off: off, Size: x.Size, ETag: quoted(x.ETag)}
			for algo, text := range map[string]string{algoCRC64: x.ChecksumCRC64NVME, algoCRC32C: x.ChecksumCRC32C, algoSHA256: x.ChecksumSHA256} {
				if s, ok := parseSum(algo, text); ok && algo == u.Algo {
					p.Sum = s
				}
			}
			if p.N < 1 || p.ETag == "" || p.Size < 0 || len(out) > 0 && p.N <= out[len(out)-1].N {
				return nil, fault.New(fault.DataLoss, "the service lists part %d with the ETag %q and %d bytes", p.N, p.ETag, p.Size)
			}
			off += p.Size
			out = append(out, p)
		}
		if !page.IsTruncated {
			return out, nil
		}
		if page.NextPartNumberMarker == "" || page.NextPartNumberMarker == marker {
			return nil, fault.New(fault.DataLoss, "the service says that more parts follow and does not say where")
		}
		marker = page.NextPartNumberMarker
	}
}

// Abort implements store.Upload. A part that was under way may arrive after the abort and bring the upload back, so that
// the service is asked again where that can be.
func (u *upload) Abort(ctx context.Context) error {
	waits := []time.Duration{0}
	if u.loose.Load() {
		waits = []time.Duration{0, 30 * time.Millisecond, 100 * time.Millisecond}
	}
	for _, wait := range waits {
		if err := clock.Sleep(ctx, clock.Real, wait); err != nil {
			return err
		}
		if err := u.abort(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (u *upload) abort(ctx context.Context) error {
	for range 3 {
		resp, err := u.d.do(ctx, u.request("AbortMultipartUpload", "DELETE"))
		if err != nil {
			if u.d.Classify(err).Code == fault.NotFound && !missingBucket(err) {
				return nil
			}
			return err
		}
		drain(resp)
		left, err := u.Parts(ctx)
		if u.d.Classify(err).Code == fault.NotFound || err == nil && len(left) == 0 {
			return nil
		}
		if err != nil { // whether anything is left cannot be seen (a policy may forbid it); the abort itself was accepted
			return context.Cause(ctx)
		}
	}
	return fault.New(fault.Unavailable, "parts of the upload are still there after it was aborted")
}
