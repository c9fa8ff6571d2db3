package gcs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// object is what the server behind says of an object.
type object struct {
	Name       string `json:"name"`
	Generation string `json:"generation"`
	Etag       string `json:"etag"`
	CRC32C     string `json:"crc32c"`
}

// find returns an object, or nil when there is none.
func (f *Front) find(bucket, name, generation string) (*object, error) {
	at := f.objectURL(bucket, name)
	if generation != "" {
		at += "?generation=" + url.QueryEscape(generation)
	}
	resp, err := f.client.Get(at)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == 404 {
		return nil, err
	}
	var o object
	if resp.StatusCode != 200 || json.Unmarshal(b, &o) != nil || o.Generation == "" {
		return nil, fmt.Errorf("%s: %s", resp.Status, b)
	}
	return &o, nil
}

func (f *Front) objectURL(bucket, name string) string {
	return f.behind.String() + "/storage/v1/b/" + url.PathEscape(bucket) + "/o/" + escape(name)
}

// escape is url.PathEscape that leaves no dots to those who take "/../" away.
func escape(name string) string { return strings.ReplaceAll(url.PathEscape(name), ".", "%2E") }

// holds reports whether an object has the generation that a condition asks for ("0": there is none); where it has not,
// the request is refused. An absent object is left to the server behind, unless a condition asks for it.
func (f *Front) holds(w http.ResponseWriter, r *http.Request, bucket, name, generation, want string) bool {
	if want == "" {
		return true
	}
	if _, err := strconv.ParseInt(want, 10, 64); err != nil {
		refuse(w, r, 400, "invalid", "InvalidArgument", "Invalid argument: "+want)
		return false
	}
	o, err := f.find(bucket, name, generation)
	switch {
	case err != nil:
		refuse(w, r, 503, "backendError", "ServiceUnavailable", err.Error())
	case o == nil && want == "0" || o != nil && o.Generation == want:
		return true
	case o == nil && (r.Method == "GET" || r.Method == "HEAD" || r.Method == "DELETE"):
		refuse(w, r, 404, "notFound", "NoSuchKey", "No such object: "+bucket+"/"+name)
	default:
		refuse(w, r, 412, "conditionNotMet", "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
	}
	return false
}

// copy does rewrites and moves, with the conditions on both sides.
func (f *Front) copy(w http.ResponseWriter, r *http.Request, t target) {
	q := r.URL.Query()
	src, err := f.find(t.bucket, t.object, q.Get("sourceGeneration"))
	switch {
	case err != nil:
		refuse(w, r, 503, "backendError", "", err.Error())
		return
	case src == nil && !f.bucketThere(t.bucket):
		refuse(w, r, 404, "notFound", "", "The specified bucket does not exist.")
		return
	case src == nil:
		refuse(w, r, 404, "notFound", "", "No such object: "+t.bucket+"/"+t.object)
		return
	case t.verb == "moveTo" && t.dst == t.object:
		refuse(w, r, 400, "invalid", "", "The source and destination objects must have different names.")
		return
	}
	if !f.holds(w, r, t.bucket, t.object, q.Get("sourceGeneration"), q.Get("ifSourceGenerationMatch")) || !f.holds(w, r, t.dstBucket, t.dst, "", q.Get("ifGenerationMatch")) {
		return
	}
	if t.verb != "moveTo" {
		f.proxy.ServeHTTP(w, r)
		return
	}
	resp, err := f.client.Post(f.objectURL(t.bucket, t.object)+"/rewriteTo/b/"+url.PathEscape(t.bucket)+"/o/"+escape(t.dst), "application/json", bytes.NewReader([]byte("{}")))
	if err != nil {
		refuse(w, r, 503, "backendError", "", err.Error())
		return
	}
	defer resp.Body.Close()
	var done struct{ Resource json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil || resp.StatusCode != 200 {
		refuse(w, r, 503, "backendError", "", fmt.Sprint(resp.Status, err))
		return
	}
	del, _ := http.NewRequestWithContext(r.Context(), "DELETE", f.objectURL(t.bucket, t.object), nil)
	gone, err := f.client.Do(del)
	if err != nil {
		refuse(w, r, 503, "backendError", "", err.Error())
		return
	}
	gone.Body.Close()
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(f.links(done.Resource, r.Host))
}

// plain does the XML API's simple PUT and DELETE, which signed URLs are for.
func (f *Front) plain(w http.ResponseWriter, r *http.Request, t target) {
	if t.object == "" {
		refuse(w, r, 400, "", "NotImplemented", "not in this stand-in")
		return
	}
	if err := f.slurp(r); err != nil {
		refuse(w, r, 400, "", "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
		return
	}
	f.writes.Lock()
	defer f.writes.Unlock()
	if !f.holds(w, r, t.bucket, t.object, "", r.Header.Get("X-Goog-If-Generation-Match")) {
		return
	}
	at, method := f.objectURL(t.bucket, t.object), r.Method
	if r.Method == "PUT" {
		method, at = "POST", f.behind.String()+"/upload/storage/v1/b/"+url.PathEscape(t.bucket)+"/o?uploadType=media&name="+url.QueryEscape(t.object)
	}
	req, err := http.NewRequestWithContext(r.Context(), method, at, r.Body)
	if err != nil {
		refuse(w, r, 400, "", "InvalidURI", err.Error())
		return
	}
	req.ContentLength = r.ContentLength
	req.Header.Set("Content-Type", first(r.Header.Get("Content-Type"), "application/octet-stream"))
	resp, err := f.client.Do(req)
	if err != nil {
		refuse(w, r, 503, "", "ServiceUnavailable", err.Error())
		return
	}
	defer resp.Body.Close()
	var o object
	switch {
	case resp.StatusCode == 404:
		refuse(w, r, 404, "", "NoSuchKey", "The specified key does not exist.")
	case resp.StatusCode != 200:
		refuse(w, r, resp.StatusCode, "", "InternalError", resp.Status)
	case r.Method == "DELETE":
		w.WriteHeader(204)
	case json.NewDecoder(resp.Body).Decode(&o) != nil:
		refuse(w, r, 503, "", "ServiceUnavailable", "no object")
	default:
		w.Header().Set("ETag", strconv.Quote(o.Etag))
		w.Header().Set("X-Goog-Generation", o.Generation)
		w.Header().Set("X-Goog-Hash", "crc32c="+o.CRC32C)
	}
}
