package databricks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// presign makes URLs for storage.
func (c *call) presign(what string) *failure {
	var x struct {
		Path    string    `json:"path"`
		Session string    `json:"session_token"`
		Start   int       `json:"start_part_number"`
		Count   int       `json:"count"`
		Expire  time.Time `json:"expire_time"`
	}
	download := what == "create-download-url"
	if download { // its parameters are in the query
		x.Path = c.r.URL.Query().Get("path")
		x.Expire, _ = time.Parse(time.RFC3339, c.r.URL.Query().Get("expire_time"))
	} else if err := json.NewDecoder(c.r.Body).Decode(&x); err != nil {
		return fail(400, "MALFORMED_REQUEST", "The request cannot be read")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.NoURLs != "" && what != "create-abort-upload-url" {
		f := fail(403, "PERMISSION_DENIED", "Presigned URLs are not possible here.")
		f.reason = c.s.NoURLs
		return f
	}
	u := c.s.uploads[x.Session]
	if n := c.s.tree[x.Path]; download && (n == nil || n.dir || valid(x.Path) != nil) {
		return fail(404, "NOT_FOUND", "The file being accessed is not found.")
	} else if !download && (u == nil || u.done || u.path != x.Path) {
		return fail(404, "NOT_FOUND", "The upload session does not exist.")
	}
	header := []any{map[string]string{"name": "x-fake-required", "value": "yes"}}
	id := x.Session
	address := func(op string, n int) map[string]any {
		return map[string]any{"url": c.s.sign(id, op, n, x.Expire), "headers": header}
	}
	switch what {
	case "create-download-url":
		if !x.Expire.Before(time.Now()) {
			id = x.Path
			return c.answer(address("download", 0))
		}
	case "create-upload-part-urls":
		if c.s.Resumable || x.Count < 1 || x.Start < 1 || x.Start+x.Count > 10_001 || x.Expire.Before(time.Now()) {
			return fail(400, "INVALID_PARAMETER_VALUE", "Part numbers or expiry are wrong")
		}
		var urls []any
		for n := x.Start; n < x.Start+x.Count; n++ {
			a := address("part", n)
			a["part_number"] = n
			urls = append(urls, a)
		}
		return c.answer(map[string]any{"upload_part_urls": urls})
	case "create-resumable-upload-url":
		if c.s.Resumable {
			x.Expire = time.Now().Add(time.Hour)
			return c.answer(map[string]any{"resumable_upload_url": address("resumable", 0)})
		}
	case "create-abort-upload-url":
		if !c.s.Resumable && !x.Expire.Before(time.Now()) {
			return c.answer(map[string]any{"abort_upload_url": address("abort", 0)})
		}
	}
	return fail(400, "INVALID_PARAMETER_VALUE", "Not possible for this upload")
}

func (s *Server) sign(id, op string, n int, expire time.Time) string {
	if s.URLLife != 0 {
		expire = time.Now().Add(s.URLLife)
	}
	q := url.Values{"op": {op}, "session": {id}, "n": {strconv.Itoa(n)}, "expires": {strconv.FormatInt(expire.UnixNano(), 10)}}
	q.Set("X-Signature", s.signature(q))
	return s.StorageURL + "/bucket/object?" + q.Encode()
}

func (s *Server) signature(q url.Values) string {
	m := hmac.New(sha256.New, []byte(s.key))
	fmt.Fprint(m, q.Get("op"), "\n", q.Get("session"), "\n", q.Get("n"), "\n", q.Get("expires"))
	return hex.EncodeToString(m.Sum(nil))
}

// Storage is the cloud's storage: what presigned URLs lead to.
func (s *Server) Storage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		xml := func(status int, code, message string) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		u := s.uploads[q.Get("session")]
		expires, _ := strconv.ParseInt(q.Get("expires"), 10, 64)
		switch {
		case r.Header.Get("Authorization") != "":
			xml(400, "InvalidArgument", "Only one auth mechanism allowed")
		case s.Blocked:
			xml(403, "AccessDenied", "Access Denied")
		case q.Get("X-Signature") != s.signature(q):
			xml(403, "SignatureDoesNotMatch", "The signature does not match")
		case time.Now().UnixNano() > expires:
			xml(403, "AccessDenied", "Request has expired")
		case r.Header.Get("X-Fake-Required") != "yes":
			xml(403, "AccessDenied", "There were headers missing which must be signed")
		case q.Get("op") == "download":
			if n := s.tree[q.Get("session")]; n == nil || n.dir {
				xml(404, "NoSuchKey", "The specified key does not exist.")
			} else if f := serve(w, r, q.Get("session"), n); f != nil {
				xml(f.status, f.code, f.message)
			}
		case u == nil:
			xml(404, "NoSuchUpload", "The specified upload does not exist.")
		case q.Get("op") == "resumable":
			s.resumable(w, r, u, q.Get("session"), data, xml)
		case u.done:
			xml(404, "NoSuchUpload", "The specified upload does not exist.")
		case r.Method == "PUT" && q.Get("op") == "part":
			n, _ := strconv.Atoi(q.Get("n"))
			p := part{data, etagOf(data)}
			u.parts[n] = p
			w.Header().Set("ETag", p.etag)
		case r.Method == "DELETE" && q.Get("op") == "abort":
			delete(s.uploads, q.Get("session"))
		default:
			xml(405, "MethodNotAllowed", "The method is not allowed")
		}
	})
}

// resumable is a session of Google Cloud Storage ("Perform resumable uploads").
func (s *Server) resumable(w http.ResponseWriter, r *http.Request, u *upload, id string, data []byte, xml func(int, string, string)) {
	if r.Method == "DELETE" {
		delete(s.uploads, id)
		w.WriteHeader(499)
		return
	}
	span, ok := strings.CutPrefix(r.Header.Get("Content-Range"), "bytes ")
	where, total, ok2 := strings.Cut(span, "/")
	size, errSize := strconv.Atoi(total)
	if r.Method != "PUT" || !ok || !ok2 || total != "*" && errSize != nil {
		xml(400, "InvalidArgument", "Invalid Content-Range")
		return
	}
	if u.done {
		w.WriteHeader(200)
		return
	}
	if where != "*" {
		var from, to int
		if n, _ := fmt.Sscanf(where, "%d-%d", &from, &to); n != 2 || to-from+1 != len(data) || from != len(u.data) {
			xml(400, "InvalidArgument", "Invalid Content-Range")
			return
		}
		if total == "*" && len(data)%(256<<10) != 0 {
			xml(400, "InvalidArgument", "Chunks are multiples of 256 KiB")
			return
		}
		if s.Persist > 0 && len(data) > s.Persist {
			data = data[:s.Persist/(256<<10)*(256<<10)]
		}
		u.data = append(u.data, data...)
	}
	if total == "*" || size != len(u.data) {
		if len(u.data) > 0 {
			w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.data)-1))
		}
		w.WriteHeader(308)
		return
	}
	if f := s.store(u.path, u.data, u.overwrite); f != nil {
		xml(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
		return
	}
	u.done, u.data = true, nil
	w.WriteHeader(200)
}
