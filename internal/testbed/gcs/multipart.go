package gcs

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minPart is the least size of every part but the last.
const minPart = 5 << 20

// upload is a multipart upload under way.
type upload struct {
	bucket, name string
	meta         map[string]any
	query        url.Values
	begun        time.Time
	parts        map[int]part
}

type part struct {
	data []byte
	etag string
	at   time.Time
}

// Uploads returns the number of uploads under way.
func (f *Front) Uploads() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.uploads) }

func (f *Front) multipart(w http.ResponseWriter, r *http.Request, t target) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Goog-If-") || name == "If-Match" || name == "If-None-Match" {
			refuse(w, r, 400, "", "NotImplemented", "A header you provided implies functionality that is not implemented.")
			return
		}
	}
	q := r.URL.Query()
	if q.Has("uploads") {
		switch {
		case !f.bucketThere(t.bucket):
			refuse(w, r, 404, "", "NoSuchBucket", "The specified bucket does not exist.")
		case r.Method == "POST" && t.object != "":
			f.initiate(w, r, t)
		case r.Method == "GET" && t.object == "":
			f.listUploads(w, r, t)
		default:
			refuse(w, r, 405, "", "MethodNotAllowed", "The specified method is not allowed against this resource.")
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.ContentLength >= 0 && int64(len(body)) != r.ContentLength {
		refuse(w, r, 400, "", "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
		return
	}
	f.mu.Lock()
	u := f.uploads[q.Get("uploadId")]
	f.mu.Unlock()
	if u == nil || u.bucket != t.bucket || u.name != t.object {
		refuse(w, r, 404, "", "NoSuchUpload", "The requested upload was not found.")
		return
	}
	switch r.Method {
	case "PUT":
		f.putPart(w, r, u, body)
	case "GET":
		f.listParts(w, r, u)
	case "POST":
		f.complete(w, r, u, body)
	case "DELETE":
		f.mu.Lock()
		delete(f.uploads, q.Get("uploadId"))
		f.mu.Unlock()
		w.WriteHeader(204)
	}
}

func (f *Front) initiate(w http.ResponseWriter, r *http.Request, t target) {
	u := &upload{bucket: t.bucket, name: t.object, meta: map[string]any{"name": t.object}, query: url.Values{"uploadType": {"multipart"}}, begun: time.Now().UTC(), parts: map[int]part{}}
	for name, field := range map[string]string{"Content-Type": "contentType", "Content-Encoding": "contentEncoding", "Content-Disposition": "contentDisposition",
		"Cache-Control": "cacheControl", "Content-Language": "contentLanguage", "X-Goog-Storage-Class": "storageClass"} {
		if v := r.Header.Get(name); v != "" {
			u.meta[field] = v
		}
	}
	own := map[string]string{}
	for name, v := range r.Header {
		if n, ok := strings.CutPrefix(name, "X-Goog-Meta-"); ok {
			own[strings.ToLower(n)] = v[0]
		}
	}
	u.meta["metadata"] = own
	if acl := r.Header.Get("X-Goog-Acl"); acl != "" {
		words := strings.Split(acl, "-")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		u.query.Set("predefinedAcl", strings.Join(words, ""))
	}
	id := rand.Text()
	f.mu.Lock()
	f.uploads[id] = u
	f.mu.Unlock()
	answer(w, struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: t.bucket, Key: t.object, UploadId: id})
}

func answer(w http.ResponseWriter, v any) {
	b, _ := xml.Marshal(v)
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	_, _ = w.Write(append([]byte(xml.Header), b...))
}

func sums(b []byte) (crc, sum string, hexMD5 string) {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	h.Write(b)
	m := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), base64.StdEncoding.EncodeToString(m[:]), hex.EncodeToString(m[:])
}

func (f *Front) putPart(w http.ResponseWriter, r *http.Request, u *upload, body []byte) {
	n, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if err != nil || n < 1 || n > 10_000 {
		refuse(w, r, 400, "", "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.")
		return
	}
	crc, sum, hexMD5 := sums(body)
	want := map[string]string{"crc32c": crc, "md5": sum}
	for _, line := range append(r.Header["X-Goog-Hash"], prefixed("md5=", r.Header.Get("Content-Md5"))) {
		for _, s := range strings.Split(line, ",") {
			if algo, v, ok := strings.Cut(strings.TrimSpace(s), "="); ok && want[algo] != v {
				refuse(w, r, 400, "", "BadDigest", "The checksum you specified did not match what we received.")
				return
			}
		}
	}
	p := part{body, `"` + hexMD5 + `"`, time.Now().UTC()}
	f.mu.Lock()
	u.parts[n] = p
	f.mu.Unlock()
	w.Header().Set("ETag", p.etag)
	w.Header()["X-Goog-Hash"] = []string{"crc32c=" + crc, "md5=" + sum}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func (f *Front) listParts(w http.ResponseWriter, r *http.Request, u *upload) {
	type entry struct {
		PartNumber   int
		LastModified string
		ETag         string
		Size         int
	}
	q := r.URL.Query()
	limit, after := 1000, 0
	if n, err := strconv.Atoi(q.Get("max-parts")); err == nil && n > 0 && n < limit {
		limit = n
	}
	after, _ = strconv.Atoi(q.Get("part-number-marker"))
	out := struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket, Key, UploadId string
		IsTruncated           bool
		NextPartNumberMarker  int
		Part                  []entry
	}{Bucket: u.bucket, Key: u.name, UploadId: q.Get("uploadId")}
	f.mu.Lock()
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= after {
			continue
		}
		if len(out.Part) == limit {
			out.IsTruncated = true
			break
		}
		p := u.parts[n]
		out.Part = append(out.Part, entry{n, p.at.Format(time.RFC3339), p.etag, len(p.data)})
		out.NextPartNumberMarker = n
	}
	f.mu.Unlock()
	answer(w, out)
}

func (f *Front) complete(w http.ResponseWriter, r *http.Request, u *upload, body []byte) {
	var doc struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []struct {
			PartNumber int
			ETag       string
		}
	}
	if xml.Unmarshal(body, &doc) != nil || len(doc.Part) == 0 {
		refuse(w, r, 400, "", "MalformedCompleteMultipartUploadRequest", "The XML you provided was not well-formed or did not validate.")
		return
	}
	var data []byte
	for i, x := range doc.Part {
		f.mu.Lock()
		p, ok := u.parts[x.PartNumber]
		f.mu.Unlock()
		switch {
		case i > 0 && x.PartNumber <= doc.Part[i-1].PartNumber:
			refuse(w, r, 400, "", "InvalidPartOrder", "The list of parts was not in ascending order.")
			return
		case !ok || strings.Trim(x.ETag, `"`) != strings.Trim(p.etag, `"`):
			refuse(w, r, 400, "", "InvalidPart", "One or more of the specified parts could not be found.")
			return
		case i < len(doc.Part)-1 && len(p.data) < minPart:
			refuse(w, r, 400, "", "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.")
			return
		}
		data = append(data, p.data...)
	}
	meta, _ := json.Marshal(u.meta)
	kind, _ := u.meta["contentType"].(string)
	edge := rand.Text()
	var frame bytes.Buffer
	fmt.Fprintf(&frame, "--%s\r\nContent-Type: application/json\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n", edge, meta, edge, first(kind, "application/octet-stream"))
	frame.Write(data)
	fmt.Fprintf(&frame, "\r\n--%s--\r\n", edge)
	f.writes.Lock()
	defer f.writes.Unlock()
	req, err := http.NewRequestWithContext(r.Context(), "POST", f.behind.String()+"/upload/storage/v1/b/"+url.PathEscape(u.bucket)+"/o?"+u.query.Encode(), &frame)
	if err != nil {
		refuse(w, r, 500, "", "InternalError", err.Error())
		return
	}
	req.Header.Set("Content-Type", "multipart/related; boundary="+edge)
	resp, err := f.client.Do(req)
	if err != nil {
		refuse(w, r, 503, "", "ServiceUnavailable", err.Error())
		return
	}
	defer resp.Body.Close()
	var o object
	if json.NewDecoder(resp.Body).Decode(&o) != nil || resp.StatusCode != 200 {
		refuse(w, r, 503, "", "ServiceUnavailable", resp.Status)
		return
	}
	f.mu.Lock()
	delete(f.uploads, r.URL.Query().Get("uploadId"))
	f.mu.Unlock()
	answer(w, struct {
		XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location, Bucket, Key, ETag string
	}{Location: "http://" + r.Host + r.URL.EscapedPath(), Bucket: u.bucket, Key: u.name, ETag: strconv.Quote(o.Etag)})
}

func (f *Front) listUploads(w http.ResponseWriter, r *http.Request, t target) {
	type entry struct{ Key, UploadId, Initiated string }
	q := r.URL.Query()
	limit := 1000
	if n, err := strconv.Atoi(q.Get("max-uploads")); err == nil && n > 0 && n < limit {
		limit = n
	}
	text := func(s string) string {
		if q.Get("encoding-type") == "url" {
			return url.QueryEscape(s)
		}
		return s
	}
	out := struct {
		XMLName                           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		Bucket, EncodingType              string
		IsTruncated                       bool
		NextKeyMarker, NextUploadIdMarker string
		Upload                            []entry
	}{Bucket: t.bucket, EncodingType: q.Get("encoding-type")}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []entry
	for id, u := range f.uploads {
		if u.bucket == t.bucket && strings.HasPrefix(u.name, q.Get("prefix")) && (u.name > q.Get("key-marker") || u.name == q.Get("key-marker") && id > q.Get("upload-id-marker") && q.Has("upload-id-marker")) {
			all = append(all, entry{u.name, id, u.begun.Format(time.RFC3339)})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return 2*strings.Compare(a.Key, b.Key) + strings.Compare(a.UploadId, b.UploadId)
	})
	if len(all) > limit {
		all, out.IsTruncated = all[:limit], true
		out.NextKeyMarker, out.NextUploadIdMarker = text(all[limit-1].Key), all[limit-1].UploadId
	}
	for _, x := range all {
		out.Upload = append(out.Upload, entry{text(x.Key), x.UploadId, x.Initiated})
	}
	answer(w, out)
}
