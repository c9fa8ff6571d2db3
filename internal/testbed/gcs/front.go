// Package gcs stands in front of fake-gcs-server and adds what that server lacks of Cloud Storage: tokens and signed
// URLs are verified, reads, deletes and copies hold their conditions, errors have the service's words, and there are
// uploads in parts (XML API) and renames (objects.move). It is written from the service's documentation and uses no code
// of the product; Google's Python client checks it.
package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Front is the handler. Its buckets and objects are those of the server behind it.
type Front struct {
	behind *url.URL
	proxy  *httputil.ReverseProxy
	client *http.Client

	// writes is held while a condition is looked at and the request that depends on it is done.
	writes sync.Mutex

	mu      sync.Mutex
	tokens  map[string]bool
	public  map[string]bool
	signers map[string]*rsa.PublicKey
	uploads map[string]*upload
}

// New returns a front of the server at an address (http://host:port).
func New(behind string) (*Front, error) {
	u, err := url.Parse(behind)
	if err != nil {
		return nil, err
	}
	f := &Front{behind: u, client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}},
		tokens: map[string]bool{}, public: map[string]bool{}, signers: map[string]*rsa.PublicKey{}, uploads: map[string]*upload{}}
	f.proxy = &httputil.ReverseProxy{Transport: f.client.Transport, ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
		if r.Context().Err() == nil {
			refuse(w, r, 503, "backendError", "ServiceUnavailable", err.Error())
		}
	}, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out = p.Out.WithContext(context.WithValue(p.Out.Context(), hostKey{}, p.In.Host))
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = u.Scheme, u.Host, u.Host
	}, ModifyResponse: f.answered}
	return f, nil
}

// Close closes idle connections to the server behind.
func (f *Front) Close() { f.client.CloseIdleConnections() }

// Allow takes a bearer token; Revoke takes it no more.
func (f *Front) Allow(token string) { f.mu.Lock(); defer f.mu.Unlock(); f.tokens[token] = true }

// Revoke refuses a token from now on.
func (f *Front) Revoke(token string) { f.mu.Lock(); defer f.mu.Unlock(); delete(f.tokens, token) }

// Publish lets everybody read a bucket.
func (f *Front) Publish(bucket string) { f.mu.Lock(); defer f.mu.Unlock(); f.public[bucket] = true }

// Signer takes URLs that are signed by an account with the private half of a key.
func (f *Front) Signer(email string, key *rsa.PublicKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signers[email] = key
}

// MakeBucket makes a bucket.
func (f *Front) MakeBucket(name string) error {
	resp, err := f.client.Post(f.behind.String()+"/storage/v1/b?project=testbed", "application/json", strings.NewReader(fmt.Sprintf(`{"name":%q}`, name)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("make bucket %s: %s", name, resp.Status)
	}
	return nil
}

// target is what a request is about.
type target struct {
	xml, listing   bool
	bucket, object string
	verb           string // what follows an object in the JSON API: "rewriteTo" or "moveTo"
	dstBucket, dst string
}

func parse(r *http.Request) (t target, ok bool) {
	path := r.URL.EscapedPath()
	rest, is := strings.CutPrefix(strings.TrimPrefix(path, "/download"), "/storage/v1/b")
	up, upload := strings.CutPrefix(path, "/upload/storage/v1/b/")
	var parts []string
	switch {
	case upload:
		parts = strings.Split(up, "/")
	case is:
		parts = strings.Split(strings.TrimPrefix(rest, "/"), "/")
	case strings.HasPrefix(path, "/batch/"):
		return t, false
	default:
		t.xml = true
		b, o, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		parts = []string{b, "o", o}
	}
	for i := range parts {
		s, err := url.PathUnescape(parts[i])
		if err != nil {
			return t, false
		}
		parts[i] = s
	}
	parts = append(parts, "", "", "", "", "", "", "")
	t.bucket = parts[0]
	if parts[1] == "o" {
		t.object = parts[2]
		t.listing = !t.xml && !upload && parts[2] == ""
		switch t.verb = parts[3]; t.verb {
		case "rewriteTo", "copyTo": // /b/BUCKET/o/OBJECT
			t.dstBucket, t.dst = parts[5], parts[7]
		case "moveTo": // /o/OBJECT
			t.dstBucket, t.dst = t.bucket, parts[5]
		}
	}
	return t, true
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Guploader-Uploadid", rand.Text())
	t, ok := parse(r)
	if !ok {
		refuse(w, r, 404, "notFound", "NoSuchKey", "Not Found")
		return
	}
	if !f.allowed(w, r, t) {
		return
	}
	q := r.URL.Query()
	switch {
	case t.xml && (q.Has("uploads") || q.Has("uploadId")):
		f.multipart(w, r, t)
	case t.xml && (r.Method == "PUT" || r.Method == "DELETE"):
		f.plain(w, r, t)
	case r.Method == "GET" && t.listing:
		f.list(w, r, t)
	case r.Method == "GET" || r.Method == "HEAD":
		if t.object == "" || f.holds(w, r, t.bucket, t.object, q.Get("generation"), first(q.Get("ifGenerationMatch"), r.Header.Get("X-Goog-If-Generation-Match"))) {
			f.proxy.ServeHTTP(w, r)
		}
	case t.verb == "rewriteTo" || t.verb == "copyTo" || t.verb == "moveTo":
		f.writes.Lock()
		defer f.writes.Unlock()
		f.copy(w, r, t)
	case r.Method == "DELETE" && t.object != "":
		f.writes.Lock()
		defer f.writes.Unlock()
		if f.holds(w, r, t.bucket, t.object, q.Get("generation"), q.Get("ifGenerationMatch")) {
			f.proxy.ServeHTTP(w, r)
		}
	default: // what is read before the lock is not waited for by others
		if err := f.slurp(r); err != nil {
			refuse(w, r, 400, "invalid", "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
			return
		}
		f.writes.Lock()
		defer f.writes.Unlock()
		f.proxy.ServeHTTP(w, r)
	}
}

// slurp reads the body of a request whole: one that breaks off stores nothing.
func (f *Front) slurp(r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err == nil && r.ContentLength >= 0 && int64(len(b)) != r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return err
}

// allowed reports whether a request may be made; one that may not is refused.
func (f *Front) allowed(w http.ResponseWriter, r *http.Request, t target) bool {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	known, public := f.tokens[token], f.public[t.bucket]
	f.mu.Unlock()
	switch {
	case bearer && known:
		return true
	case r.URL.Query().Has("X-Goog-Signature"):
		if err := f.signed(r); err != nil {
			refuse(w, r, 403, "forbidden", "SignatureDoesNotMatch", err.Error())
			return false
		}
		return true
	case r.Header.Get("Authorization") != "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
		refuse(w, r, 401, "authError", "AuthenticationRequired", "Invalid Credentials")
		return false
	case public && (r.Method == "GET" || r.Method == "HEAD"):
		return true
	}
	refuse(w, r, 401, "required", "AccessDenied", "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object. Permission 'storage.objects.get' denied on resource (or it may not exist).")
	return false
}

type hostKey struct{}

// links lets the links in a description of objects lead here instead of to the server behind.
func (f *Front) links(b []byte, host string) []byte {
	return bytes.ReplaceAll(b, []byte(f.behind.String()+"/"), []byte("http://"+host+"/"))
}

// answered puts the service's words on replies of the server behind.
func (f *Front) answered(resp *http.Response) error {
	t, _ := parse(resp.Request)
	switch {
	case resp.StatusCode == 404:
		code, message := "NoSuchKey", "No such object: "+t.bucket+"/"+t.object
		if !f.bucketThere(t.bucket) {
			code, message = "NoSuchBucket", "The specified bucket does not exist."
		}
		resp.Body.Close()
		body, kind := text(t.xml, 404, "notFound", code, message)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Type", kind)
		resp.Header.Set("Content-Length", fmt.Sprint(len(body)))
	case strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes 0--1/"): // of nothing
		body, kind := text(true, 416, "", "InvalidRange", "The requested range cannot be satisfied.")
		resp.Body.Close()
		resp.StatusCode, resp.Status, resp.Body, resp.ContentLength = 416, "416 Requested Range Not Satisfiable", io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Range", "bytes */0")
		resp.Header.Set("Content-Type", kind)
		resp.Header.Set("Content-Length", fmt.Sprint(len(body)))
	case resp.Request.Method == "DELETE" && resp.StatusCode == 200:
		resp.Body.Close()
		resp.StatusCode, resp.Status, resp.Body, resp.ContentLength = 204, "204 No Content", http.NoBody, 0
		resp.Header.Del("Content-Length")
		resp.Header.Del("Content-Type")
	case resp.StatusCode == 200 && !t.xml && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && resp.Request.URL.Query().Get("alt") != "media":
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		host, _ := resp.Request.Context().Value(hostKey{}).(string)
		body = f.links(body, host)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	return nil
}

func (f *Front) bucketThere(name string) bool {
	resp, err := f.client.Get(f.behind.String() + "/storage/v1/b/" + url.PathEscape(name))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == 200
}

// refuse answers with an error in the form of the API that was asked.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason, code, message string) {
	t, _ := parse(r)
	body, kind := text(t.xml, status, reason, code, message)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	if r.Method != "HEAD" {
		_, _ = w.Write(body)
	}
}

func text(isXML bool, status int, reason, code, message string) (body []byte, kind string) {
	if isXML {
		b, _ := xml.Marshal(struct {
			XMLName       xml.Name `xml:"Error"`
			Code, Message string
		}{Code: code, Message: message})
		return append([]byte(xml.Header), b...), "application/xml; charset=UTF-8"
	}
	b, _ := json.Marshal(map[string]any{"error": map[string]any{"code": status, "message": message,
		"errors": []any{map[string]string{"message": message, "domain": "global", "reason": reason}}}})
	return b, "application/json; charset=UTF-8"
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}
