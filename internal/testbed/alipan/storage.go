package alipan

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// base is the address under which the fake was reached.
func (c *call) base() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// sign makes an address of storage: what it is for, when it ends, and a signature over both.
func (s *Server) sign(method, object string, end time.Time, web bool) url.Values {
	q := url.Values{"x-oss-expires": {strconv.FormatInt(end.Unix(), 10)}, "x-oss-web": {strconv.FormatBool(web)}}
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\n%s\n%s\n%s", method, object, q.Get("x-oss-expires"), q.Get("x-oss-web"))
	q.Set("x-oss-signature", hex.EncodeToString(h.Sum(nil)))
	return q
}

// address is where a file can be read.
func (c *call) address(n *node, life time.Duration) string {
	if life == 0 || life > c.s.URLLife {
		life = c.s.URLLife
	}
	object := n.drive + "/" + n.id
	return c.base() + "/oss/" + object + "?" + c.s.sign("GET", object, c.s.Now().Add(life), c.web).Encode()
}

func (c *call) downloadURL() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	switch {
	case f != nil:
		return f
	case n.folder:
		return fail(400, "InvalidResource.FileTypeFolder", "The resource file_type is not valid. folder is not supported")
	case n.upload != nil:
		return fail(404, "NotFound.File", "The resource file cannot be found. file not exist")
	case c.in.ExpireSec < 0 || c.in.ExpireSec > 14400:
		return fail(400, "InvalidParameter.ExpireSec", "The input parameter expire_sec is not valid. ")
	}
	life := min(time.Duration(c.in.ExpireSec)*time.Second, c.s.URLLife)
	if life == 0 {
		life = min(15*time.Minute, c.s.URLLife)
	}
	m := map[string]any{"method": "GET", "url": c.address(n, life), "expiration": stamp(c.s.Now().Add(life)), "size": len(n.data), "content_hash": n.hashed().sha1, "content_hash_name": "sha1"}
	if c.web {
		m["crc64_hash"], m["internal_url"], m["cdn_url"] = n.hashed().crc, "http://internal.invalid/", ""
	}
	return c.reply(200, m)
}

func (c *call) partURLs(n *node) ([]any, *failure) {
	list := []any{}
	for _, p := range c.in.Parts {
		if p.PartNumber < 1 || p.PartNumber > MaxParts {
			return nil, fail(400, "InvalidParameter.PartNumber", "The input parameter part_number is not valid. ")
		}
		object := fmt.Sprintf("%s/%s/%s/%d", n.drive, n.id, n.upload.id, p.PartNumber)
		list = append(list, map[string]any{"part_number": p.PartNumber, "content_type": "", "internal_upload_url": "http://internal.invalid/",
			"upload_url": c.base() + "/oss/" + object + "?" + c.s.sign("PUT", object, c.s.Now().Add(min(time.Hour, c.s.URLLife)), c.web).Encode()})
	}
	return list, nil
}

// storage serves the addresses.
func (s *Server) storage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "AliyunOSS")
	w.Header().Set("x-oss-request-id", fmt.Sprintf("%X", md5.Sum([]byte(r.URL.String()))))
	status, code, message := s.stored(w, r)
	if code == "" {
		return
	}
	add(&s.Refused, code)
	if _, err := io.Copy(io.Discard, r.Body); err != nil { // a connection that is closed with bytes unread is reset
		panic(http.ErrAbortHandler) // the client has gone
	}
	body := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  <Code>%s</Code>\n  <Message>%s</Message>\n  <HostId>%s</HostId>\n</Error>\n", code, message, r.Host)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func (s *Server) stored(w http.ResponseWriter, r *http.Request) (status int, code, message string) {
	object, q := strings.TrimPrefix(r.URL.Path, "/oss/"), r.URL.Query()
	seconds, err := strconv.ParseInt(q.Get("x-oss-expires"), 10, 64)
	end := time.Unix(seconds, 0)
	web := q.Get("x-oss-web") == "true"
	method := r.Method
	if method == "HEAD" {
		method = "GET"
	}
	switch {
	case err != nil || s.sign(method, object, end, web).Get("x-oss-signature") != q.Get("x-oss-signature"):
		return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	case !s.Now().Before(end):
		return 403, "AccessDenied", "Request has expired."
	case r.Header.Get("Authorization") != "":
		return 400, "InvalidArgument", "Only one auth mechanism allowed"
	}
	seg := strings.Split(object, "/")
	s.mu.Lock()
	n := s.nodes[seg[0]+"/"+seg[1]]
	var u *upload
	if n != nil {
		u = n.upload
	}
	s.mu.Unlock()
	if r.Method == "PUT" {
		part, _ := strconv.Atoi(seg[len(seg)-1])
		if n == nil || u == nil || len(seg) != 4 || u.id != seg[2] {
			return 404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
		}
		return s.takePart(w, r, n, u, part)
	}
	if ref := r.Header.Get("Referer"); web && !slices.Contains([]string{"https://www.aliyundrive.com/", "https://www.alipan.com/"}, ref) {
		return 403, "AccessDenied", "You are denied by bucket referer policy."
	}
	if n == nil || u != nil || len(seg) != 2 {
		return 404, "NoSuchKey", "The specified key does not exist."
	}
	s.mu.Lock()
	sums := n.hashed()
	s.mu.Unlock()
	return s.serve(w, r, n.data, sums)
}

// takePart keeps a part. Parts come in order, and none twice.
func (s *Server) takePart(w http.ResponseWriter, r *http.Request, n *node, u *upload, part int) (int, string, string) {
	if r.Header.Get("Content-Type") != "" {
		return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	}
	refuse := func() (int, string, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch have := len(u.parts); {
		case n.upload != u:
			return 404, "NoSuchUpload", "The specified upload does not exist."
		case part <= have:
			return 409, "PartAlreadyExist", "For sequential multipart upload, you can't overwrite uploaded parts."
		case part > have+1:
			return 400, "PartNotSequential", "For sequential multipart upload, you must upload or complete parts with sequential part number."
		}
		return 0, "", ""
	}
	if status, code, message := refuse(); code != "" {
		return status, code, message
	}
	if r.ContentLength < 0 {
		return 411, "MissingContentLength", "You must provide the Content-Length HTTP header."
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || int64(len(b)) != r.ContentLength {
		panic(http.ErrAbortHandler) // the client has gone
	}
	if status, code, message := refuse(); code != "" {
		return status, code, message
	}
	s.mu.Lock()
	u.parts = append(u.parts, b)
	s.mu.Unlock()
	sum := md5.Sum(b)
	w.Header().Set("ETag", `"`+strings.ToUpper(hex.EncodeToString(sum[:]))+`"`)
	w.Header().Set("x-oss-hash-crc64ecma", fmt.Sprint(crc64.Checksum(b, ecma)))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(200)
	return 0, "", ""
}

// serve answers with bytes, at most MaxRange of them: what the cap looks like is not published, and a reply that is cut
// without an error is what a client can miss.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, data []byte, sums *sums) (int, string, string) {
	h := w.Header()
	h.Set("ETag", sums.md5)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/oct-stream")
	h.Set("x-oss-hash-crc64ecma", sums.crc)
	h.Set("x-oss-hash-value", sums.sha1)
	h.Set("x-oss-object-type", "Multipart")
	size := int64(len(data))
	from, to, part := int64(0), size, false
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		a, b, _ := strings.Cut(text, "-")
		first, err1 := strconv.ParseInt(a, 10, 64)
		last, err2 := strconv.ParseInt(b, 10, 64)
		switch {
		case a == "" && err2 == nil:
			from, part = max(size-last, 0), true
		case err1 == nil && first >= size:
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			return 416, "InvalidRange", "The requested range cannot be satisfied."
		case err1 == nil && b == "":
			from, part = first, true
		case err1 == nil && err2 == nil && last >= first:
			from, to, part = first, min(last+1, size), true
		}
	}
	if to-from > MaxRange {
		to, part = from+MaxRange, true
	}
	h.Set("Content-Length", fmt.Sprint(to-from))
	if part {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
		w.WriteHeader(206)
	} else {
		w.WriteHeader(200)
	}
	if r.Method != "HEAD" {
		w.Write(data[from:to])
	}
	return 0, "", ""
}
