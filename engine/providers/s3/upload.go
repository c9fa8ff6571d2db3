package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
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
		data, err := readUpTo(ctx, body, 64<<20)
		if err != nil {
			return store.Part{}, err
		}
		size, body = int64(len(data)), held(data)
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

// readUpTo reads a source of unknown size that must have at most limit bytes.
func readUpTo(ctx context.Context, body store.Body, limit int64) ([]byte, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(&closing{ctx, io.LimitReader(src, limit+1)})
	if e := src.Close(); err == nil {
		err = e
	}
	if err == nil && int64(len(data)) > limit {
		err = fault.New(fault.InvalidArgument, "a part of unknown size has more than %d bytes", limit)
	}
	return data, err
}

type closing struct {
	ctx context.Context
	r   io.Reader
}

func (c *closing) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// held is a body in memory.
type held []byte

func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
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

type completedPart struct {
	XMLName    xml.Name `xml:"Part"`
	PartNumber int
	ETag       string
	CRC64      string `xml:"ChecksumCRC64NVME,omitempty"`
	CRC32C     string `xml:"ChecksumCRC32C,omitempty"`
	SHA256     string `xml:"ChecksumSHA256,omitempty"`
}

// Commit implements store.Upload. The parts must make up the whole: numbers without a gap, and the size that was said.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	parts = slices.SortedFunc(slices.Values(parts), func(a, b store.Part) int { return a.N - b.N })
	total := int64(0)
	var whole store.Sum
	var doc struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []completedPart
	}
	for i, p := range parts {
		if p.N != i+1 || p.ETag == "" {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is missing", i+1)
		}
		total += p.Size
		x := completedPart{PartNumber: p.N, ETag: p.ETag}
		if u.Algo != "" && p.Sum.Algo == u.Algo {
			switch u.Algo {
			case algoCRC64:
				x.CRC64 = base64Of(p.Sum.Value)
			case algoCRC32C:
				x.CRC32C = base64Of(p.Sum.Value)
			case algoSHA256:
				x.SHA256 = base64Of(p.Sum.Value)
			}
		}
		if i == 0 {
			whole = p.Sum
		} else if sum, ok := combine(u.Algo, whole.Value, p.Sum.Value, p.Size); ok && p.Sum.Algo == u.Algo {
			whole.Value = sum
		} else {
			whole = store.Sum{}
		}
		doc.Part = append(doc.Part, x)
	}
	if len(parts) == 0 || u.Size >= 0 && total != u.Size {
		return store.Entry{}, fault.New(fault.DataLoss, "the parts have %d bytes, the object %d", total, u.Size)
	}
	body, err := xml.Marshal(doc)
	if err != nil {
		return store.Entry{}, err
	}
	r := u.request("PutObject", "POST")
	r.body = octets(body)
	r.set("Content-Type", "application/xml")
	condition(r, store.PutOptions{IfAbsent: u.IfAbsent, IfMatch: u.IfMatch})
	if whole.Algo != u.Algo || whole.Algo == algoSHA256 {
		whole = store.Sum{}
	}
	if whole.Algo != "" {
		r.set(sumHeader(whole.Algo), base64Of(whole.Value))
		r.set("X-Amz-Checksum-Type", "FULL_OBJECT")
		r.set("X-Amz-Mp-Object-Size", strconv.FormatInt(total, 10))
	}
	e, err := u.complete(ctx, r, whole, total)
	if err != nil {
		return u.completedBefore(ctx, parts, total, err)
	}
	return e, nil
}

// completedBefore looks at a refusal to complete an upload: its first try may have succeeded and its reply been lost.
// Then the object stands there with the ETag that S3 gives to these parts: the MD5 of their MD5s, and their number.
func (u *upload) completedBefore(ctx context.Context, parts []store.Part, total int64, err error) (store.Entry, error) {
	if c := u.d.Classify(err).Code; c != fault.NotFound && c != fault.FailedPrecondition || missingBucket(err) {
		return store.Entry{}, err
	}
	sum := md5.New()
	for _, p := range parts {
		b, e := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if e != nil || len(b) != md5.Size {
			return store.Entry{}, err
		}
		sum.Write(b)
	}
	held, e := u.d.Stat(ctx, u.Key, store.Cond{})
	if e != nil || held.Size != total || held.ETag != fmt.Sprintf(`"%x-%d"`, sum.Sum(nil), len(parts)) {
		return store.Entry{}, err
	}
	return held, nil
}

func (u *upload) complete(ctx context.Context, r *request, whole store.Sum, total int64) (store.Entry, error) {
	var res struct{ ETag, ChecksumCRC64NVME, ChecksumCRC32C, ChecksumType string }
	resp, err := u.d.xml(ctx, r, "CompleteMultipartUploadResult", &res)
	if err != nil {
		return store.Entry{}, err
	}
	if res.ETag == "" {
		return store.Entry{}, notS3(resp, "it has no ETag")
	}
	e := store.Entry{Key: u.Key, Size: total, ETag: quoted(res.ETag), Version: version(resp.Header)}
	e.Modified, _ = http.ParseTime(resp.Header.Get("Date"))
	if whole.Algo == "" {
		return e, nil
	}
	got := map[string]string{algoCRC64: res.ChecksumCRC64NVME, algoCRC32C: res.ChecksumCRC32C}[whole.Algo]
	if got != "" && !strings.Contains(got, "-") && res.ChecksumType != "COMPOSITE" && got != base64Of(whole.Value) {
		return e, fault.New(fault.DataLoss, "the service holds bytes with the %s checksum %s, sent were %s", whole.Algo, got, base64Of(whole.Value))
	}
	e.Sums = []store.Sum{whole}
	return e, nil
}

// Abort implements store.Upload. A part that was under way may arrive after the abort and bring the upload back, so that
// the service is asked again where that can be.
func (u *upload) Abort(ctx context.Context) error {
	waits := []time.Duration{0}
	if u.loose.Load() {
		waits = []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}
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

// putUnknown stores a body of unknown size: in one piece while it is small, else in parts.
func (d *Driver) putUnknown(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	stop := context.AfterFunc(ctx, func() { src.Close() })
	defer func() {
		if stop() {
			src.Close()
		}
	}()
	var u *upload
	var parts []store.Part
	off := int64(0)
	data := make([]byte, minPart+1)
	for n := 1; ; n++ {
		k, err := readFull(src, data)
		if err == io.EOF && stop() {
			if e := src.Close(); e != nil { // a source may find only at its end that it was damaged
				err = e
			}
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		ended := err == io.EOF
		if err == nil || ended {
			switch {
			case u == nil && ended:
				r, err := d.write(key, o)
				if err != nil {
					return store.Entry{}, err
				}
				return d.putOne(ctx, r, held(data[:k]), int64(k))
			case u == nil:
				if u, err = d.begin(ctx, key, o, -1, true); err != nil {
					return store.Entry{}, err
				}
			}
			var p store.Part
			if k > 0 {
				if p, err = u.Part(ctx, n, off, held(data[:k])); err == nil {
					parts, off = append(parts, p), off+int64(k)
				}
			} else {
				err = nil
			}
			if err == nil && ended {
				var e store.Entry
				if e, err = u.Commit(ctx, parts); err == nil {
					return e, nil
				}
			}
			if err == nil {
				if n%1000 == 0 && len(data) < 256<<20 {
					data = make([]byte, 2*len(data))
				}
				continue
			}
		}
		if u != nil {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = u.Abort(fresh)
		}
		return store.Entry{}, err
	}
}

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
