package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// upload is a multipart upload of the XML API under way. That API has no conditions for it. So an upload with a
// condition completes under a hidden name, and the service renames it, in one step that holds the condition, keeps no
// copy and costs no fee for an early deletion (objects.move).
type upload struct {
	d *Driver
	saved
}

// saved is the form of Upload.State.
type saved struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Name     string `json:"name"` // under which it completes: the key, or a hidden one
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
	u := &upload{d: d, saved: saved{Bucket: d.o.Bucket, Key: key, Name: key, Size: size, IfAbsent: o.IfAbsent, IfMatch: o.IfMatch}}
	if o.IfAbsent || o.IfMatch != "" {
		if u.Name = hidden(key); len(u.Name) > maxKey {
			return nil, fault.Hinted(fault.InvalidArgument, "Allow overwriting, or choose a shorter key.",
				"the key has %d bytes: with more than %d an object cannot go up in parts under a condition", len(key), maxKey-len(u.Name)+len(key))
		}
	}
	x, err := describe(o.Attrs)
	if err != nil {
		return nil, err
	}
	r := d.xmlRequest("storage.multipartUploads.create", "POST", u.Name, "uploads", "")
	x.headers(r)
	r.set("X-Goog-Storage-Class", d.o.StorageClass)
	r.set("X-Goog-Acl", XMLACL(d.o.PredefinedACL))
	r.set("X-Goog-Encryption-Kms-Key-Name", d.o.KMSKeyName)
	var res struct {
		UploadID string `xml:"UploadId"`
	}
	late, done := outlive(ctx)
	defer done()
	resp, err := d.xml(late, r, "InitiateMultipartUploadResult", &res)
	if u.ID = res.UploadID; err == nil && u.ID == "" {
		err = notGCS(resp, "it names no upload")
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

// XMLACL is the XML API's name of a predefined ACL of the JSON API: "publicRead" is "public-read".
func XMLACL(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('-')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
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
	err := json.Unmarshal(state, &u.saved)
	key, _ := shown(u.Name)
	if err != nil || u.ID == "" || u.Bucket != d.o.Bucket || checkKey(u.Key) != nil || key != u.Key {
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
	return u.d.xmlRequest(action, method, u.Name, append(query, "uploadId", u.ID)...)
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
	r := u.request("storage.multipartUploads.create", "PUT", "partNumber", strconv.Itoa(n))
	if size <= small {
		data, err := transfer.ReadAll(ctx, body, size)
		if err != nil {
			return store.Part{}, err
		}
		body = store.BytesBody(data)
		r.set("X-Goog-Hash", "crc32c="+base64Of(crcOf(data)))
	}
	s := newStream(body, size)
	r.body = s
	resp, err := u.d.do(ctx, r)
	if err != nil {
		return store.Part{}, err
	}
	drain(resp)
	sum, err := s.Sent()
	if err != nil {
		return store.Part{}, err
	}
	got, known := sumOf(sumsOf(resp.Header), algoCRC32C)
	switch etag := resp.Header.Get("ETag"); {
	case etag == "":
		return store.Part{}, notGCS(resp, "it has no ETag")
	case !known:
		return store.Part{}, notGCS(resp, "it does not say which bytes it holds")
	case !bytes.Equal(got.Value, sum.Value): // a part that is not used
		return store.Part{}, fault.New(fault.DataLoss, "the service holds bytes with the CRC32C %s, sent were %s", base64Of(got.Value), base64Of(sum.Value))
	default:
		return store.Part{N: n, Off: off, Size: size, ETag: quoted(etag), Sum: sum}, nil
	}
}

// quoted gives an ETag its quotes, which listings may leave away.
func quoted(s string) string {
	if s == "" || strings.HasPrefix(s, `"`) {
		return s
	}
	return `"` + s + `"`
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	var out []store.Part
	off := int64(0)
	for marker := ""; ; {
		r := u.request("storage.multipartUploads.listParts", "GET", "max-parts", strconv.Itoa(maxPage))
		r.ask("part-number-marker", marker)
		var page struct {
			IsTruncated          bool
			NextPartNumberMarker string
			Part                 []struct {
				PartNumber int
				ETag       string
				Size       *int64
			}
		}
		if _, err := u.d.xml(ctx, r, "ListPartsResult", &page); err != nil {
			return nil, err
		}
		for _, x := range page.Part {
			if x.PartNumber < 1 || x.ETag == "" || x.Size == nil || *x.Size < 0 || len(out) > 0 && x.PartNumber <= out[len(out)-1].N {
				return nil, fault.New(fault.DataLoss, "the service lists part %d with the ETag %q out of order or without size", x.PartNumber, x.ETag)
			}
			out = append(out, store.Part{N: x.PartNumber, Off: off, Size: *x.Size, ETag: quoted(x.ETag)})
			off += *x.Size
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

// Commit implements store.Upload. The parts must make up the whole: numbers without a gap, and the size that was said.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	parts = slices.SortedFunc(slices.Values(parts), func(a, b store.Part) int { return a.N - b.N })
	type named struct {
		XMLName    xml.Name `xml:"Part"`
		PartNumber int
		ETag       string
	}
	var doc struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []named
	}
	total := int64(0)
	var crc []byte // of the whole; nil where a part's is not known, which went up in another process
	for i, p := range parts {
		if p.N != i+1 || p.ETag == "" {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is missing", i+1)
		}
		switch {
		case p.Sum.Algo != algoCRC32C:
			crc = nil
		case i == 0:
			crc = p.Sum.Value
		case crc != nil:
			crc, _ = store.CombineSums(algoCRC32C, crc, p.Sum.Value, p.Size)
		}
		total += p.Size
		doc.Part = append(doc.Part, named{PartNumber: p.N, ETag: p.ETag})
	}
	if len(parts) == 0 || u.Size >= 0 && total != u.Size {
		return store.Entry{}, fault.New(fault.DataLoss, "the parts have %d bytes, the object %d", total, u.Size)
	}
	text, err := xml.Marshal(doc)
	if err != nil {
		return store.Entry{}, err
	}
	r := u.request("storage.multipartUploads.create and storage.objects.create", "POST")
	r.body = block(text)
	r.set("Content-Type", "application/xml")
	var res struct{ ETag string } // not every key can stand in XML
	resp, err := u.d.xml(ctx, r, "CompleteMultipartUploadResult", &res)
	switch {
	case err == nil && res.ETag == "":
		return store.Entry{}, notGCS(resp, "it has no ETag")
	case gone(err) && crc == nil || err != nil && !gone(err):
		return store.Entry{}, err
	}
	// When the upload is gone, an earlier commit may have completed it, and its reply been lost: then the object stands
	// there, under this name, with these bytes.
	e, e2 := u.d.stat(ctx, u.Name, store.Cond{})
	if e2 != nil {
		if err == nil {
			err = e2
		}
		return store.Entry{}, err
	}
	got, known := sumOf(e.Sums, algoCRC32C)
	if !known || e.Size != total || crc != nil && !bytes.Equal(got.Value, crc) {
		if err == nil {
			err = fault.New(fault.DataLoss, "the service holds %d bytes with the CRC32C %s, the parts are %d with %s", e.Size, base64Of(got.Value), total, base64Of(crc))
			u.d.remove(ctx, u.Name, e.ETag)
		}
		return store.Entry{}, err
	}
	if u.Name != u.Key {
		return u.rename(ctx, e)
	}
	return e, nil
}

// rename gives the completed object its key, if the condition holds.
func (u *upload) rename(ctx context.Context, e store.Entry) (store.Entry, error) {
	b, err := u.d.bucket()
	if err != nil {
		return store.Entry{}, err
	}
	g, _ := generation(e.Version)
	to := storage.MoveObjectDestination{Object: u.Key, Conditions: &storage.Conditions{DoesNotExist: u.IfAbsent}}
	if u.IfMatch != "" {
		want, _ := generation(u.IfMatch)
		to.Conditions = &storage.Conditions{GenerationMatch: want}
	}
	a, err := b.Object(u.Name).If(storage.Conditions{GenerationMatch: g}).Move(ctx, to)
	if err != nil {
		return store.Entry{}, u.d.fromClient(ctx, "storage.objects.move and storage.objects.create", err)
	}
	return entryOfAttrs(a, u.Key)
}

// Abort implements store.Upload. What was completed and not renamed goes too.
func (u *upload) Abort(ctx context.Context) error {
	resp, err := u.d.do(ctx, u.request("storage.multipartUploads.abort", "DELETE"))
	switch {
	case err == nil:
		drain(resp)
		if resp.StatusCode != 204 {
			return notGCS(resp, "an abort was answered with text")
		}
	case !gone(err):
		return err
	}
	if u.Name != u.Key {
		return u.d.delete(ctx, u.Name, store.Cond{})
	}
	return nil
}
