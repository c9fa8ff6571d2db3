package oci

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kept are the headers that are stored with an object.
var kept = []string{"Content-Type", "Content-Language", "Content-Encoding", "Content-Disposition", "Cache-Control", "Storage-Tier"}

func checkName(name string) *failure {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\r\n") {
		return fail(400, "InvalidObjectName", "the object name is not 1 to %d bytes of UTF-8 without line breaks and NUL", MaxName)
	}
	return nil
}

// headers takes what is stored out of a request.
func headers(r *http.Request) (http.Header, *failure) {
	h, size := http.Header{}, 0
	for name, v := range r.Header {
		if slices.Contains(kept, name) || strings.HasPrefix(name, "Opc-Meta-") {
			h[name] = v
		}
		if strings.HasPrefix(name, "Opc-Meta-") {
			size += len(name) + len(v[0])
			for i := range len(v[0]) {
				if v[0][i] > '~' {
					return nil, fail(400, "InvalidHeader", "metadata is ASCII")
				}
			}
		}
	}
	if size > maxMeta {
		return nil, fail(400, "MetadataTooLarge", "metadata has more than %d bytes", maxMeta)
	}
	return h, checkTier(h.Get("Storage-Tier"))
}

func checkTier(s string) *failure {
	if !slices.Contains([]string{"", "Standard", "InfrequentAccess", "Archive"}, s) {
		return fail(400, "InvalidStorageTier", "the storage tier %q", s)
	}
	return nil
}

// holds checks the conditions of a request against the object as it stands. The lock is held.
func holds(h http.Header, o *object) *failure {
	return conditions(h.Get("If-None-Match"), h.Get("If-Match"), o)
}

func conditions(none, match string, o *object) *failure {
	switch {
	case none != "" && none != "*":
		return fail(400, "InvalidHeader", "if-none-match is * or absent")
	case none == "*" && o != nil:
		return fail(412, "IfNoneMatchFailed", "The If-None-Match header is '*' but there is an existing entity")
	case match != "" && match != "*" && (o == nil || o.etag != match), match == "*" && o == nil:
		return fail(412, "IfMatchFailed", "The If-Match header is '%s' but the current entity's etag does not match", match)
	}
	return nil
}

func (c *call) object(b *bucket, name string) *failure {
	if f := checkName(name); f != nil {
		return f
	}
	switch c.r.Method {
	case "GET", "HEAD":
		return c.get(b, name)
	case "PUT":
		return c.put(b, name)
	case "DELETE":
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		o := b.objects[name]
		if o == nil {
			return c.noObject(name)
		}
		if f := holds(c.r.Header, o); f != nil {
			return f
		}
		delete(b.objects, name)
		c.w.Header().Set("last-modified", c.s.Now().UTC().Format(http.TimeFormat))
		c.w.WriteHeader(204)
		return nil
	}
	return fail(405, "MethodNotAllowed", "%s is not possible here", c.r.Method)
}

func (c *call) noObject(name string) *failure {
	return fail(404, "ObjectNotFound", "The object '%s' was not found", strings.ToValidUTF8(name, "?"))
}

// receive reads a body of declared length and verifies its checksum.
func (c *call) receive() (*object, *failure) {
	n := c.r.ContentLength
	switch {
	case n < 0:
		return nil, fail(411, "LengthRequired", "Content-Length is required")
	case n > MaxPut:
		return nil, fail(413, "RequestEntityTooLarge", "the body is too large")
	}
	var buf bytes.Buffer
	buf.Grow(int(n))
	if m, err := io.Copy(&buf, c.r.Body); err != nil || m != n {
		return nil, fail(400, "IncompleteBody", "the body ended after %d of %d bytes", m, n)
	}
	sum := md5.Sum(buf.Bytes())
	text := base64.StdEncoding.EncodeToString(sum[:])
	if want := c.r.Header.Get("Content-Md5"); want != "" && want != text {
		return nil, fail(400, "UnmatchedContentMD5", "The computed MD5 of the request body (%s) does not match the Content-MD5 header (%s)", text, want)
	}
	return &object{data: buf.Bytes(), md5: text, etag: c.s.unique()}, nil
}

func (c *call) put(b *bucket, name string) *failure {
	h, f := headers(c.r)
	if f != nil {
		return f
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	c.s.mu.Lock()
	f = holds(c.r.Header, b.objects[name])
	c.s.mu.Unlock()
	if f != nil { // before the body, which Expect holds back
		return f
	}
	o, f := c.receive()
	if f != nil {
		return f
	}
	o.header = h
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if f := holds(c.r.Header, b.objects[name]); f != nil {
		return f
	}
	c.store(b, name, o)
	out := c.w.Header()
	out.Set("etag", o.etag)
	out.Set("opc-content-md5", o.md5)
	out.Set("last-modified", o.modified.UTC().Format(http.TimeFormat))
	out.Set("Content-Length", "0")
	c.w.WriteHeader(200)
	return nil
}

// store puts an object in its place. The lock is held.
func (c *call) store(b *bucket, name string, o *object) {
	o.created, o.modified = c.s.Now(), c.s.Now()
	b.objects[name] = o
}

func (c *call) get(b *bucket, name string) *failure {
	c.s.mu.Lock()
	o := b.objects[name]
	c.s.mu.Unlock()
	if o == nil {
		return c.noObject(name)
	}
	if c.q.Has("versionId") {
		return fail(404, "ObjectNotFound", "the version was not found")
	}
	if f := conditions("", c.r.Header.Get("If-Match"), o); f != nil {
		return f
	}
	if tier := o.header.Get("Storage-Tier"); tier == "Archive" && c.r.Method == "GET" {
		return fail(409, "NotRestored", "The object is archived")
	}
	h := c.w.Header()
	for n, v := range o.header {
		h[n] = v
	}
	h.Set("etag", o.etag)
	h.Set("last-modified", o.modified.UTC().Format(http.TimeFormat))
	h.Set("accept-ranges", "bytes")
	if o.multi != "" {
		h.Set("opc-multipart-md5", o.multi)
	}
	data, status := o.data, 200
	if text := c.r.Header.Get("Range"); text != "" && c.r.Method == "GET" {
		off, end, ok := span(text, int64(len(data)))
		if !ok {
			h.Set("content-range", fmt.Sprintf("bytes */%d", len(data)))
			for n := range o.header {
				h.Del(n)
			}
			return fail(416, "InvalidRange", "the range %q of %d bytes", text, len(data))
		}
		h.Set("content-range", fmt.Sprintf("bytes %d-%d/%d", off, end-1, len(data)))
		data, status = data[off:end], 206
	} else if o.md5 != "" {
		h.Set("content-md5", o.md5)
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	c.w.WriteHeader(status)
	if c.r.Method == "GET" {
		c.w.Write(data)
	}
	return nil
}

// span reads "bytes=0-9", "bytes=5-" and "bytes=-5".
func span(text string, size int64) (off, end int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes=")
	from, to, dash := strings.Cut(text, "-")
	if !ok || !dash || size == 0 {
		return 0, 0, false
	}
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 64)
		return max(size-n, 0), size, err == nil && n > 0
	}
	off, err := strconv.ParseInt(from, 10, 64)
	if err != nil || off >= size {
		return 0, 0, false
	}
	if to == "" {
		return off, size, true
	}
	last, err := strconv.ParseInt(to, 10, 64)
	return off, min(last+1, size), err == nil && last >= off
}

// list gives one page.
func (c *call) list(b *bucket) *failure {
	prefix, delim := c.q.Get("prefix"), c.q.Get("delimiter")
	start, end, after := c.q.Get("start"), c.q.Get("end"), c.q.Get("startAfter")
	limit := MaxPage
	if text := c.q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxPage {
			return fail(400, "InvalidParameter", "limit must be from 1 to %d", MaxPage)
		}
		limit = n
	}
	if delim != "" && delim != "/" {
		return fail(400, "InvalidParameter", "the delimiter can only be /")
	}
	fields := strings.Split(c.q.Get("fields"), ",")
	for _, f := range fields {
		if !slices.Contains([]string{"", "name", "size", "etag", "timeCreated", "md5", "timeModified", "storageTier", "archivalState"}, f) {
			return fail(400, "InvalidParameter", "no field %q", f)
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	names := make([]string, 0, len(b.objects))
	for n := range b.objects {
		if strings.HasPrefix(n, prefix) && n >= start && (end == "" || n < end) && (after == "" || n > after) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	list, prefixes := []map[string]any{}, []string{}
	next := ""
	for _, n := range names {
		dir := ""
		if i := strings.Index(n[len(prefix):], "/"); delim != "" && i >= 0 {
			dir = n[:len(prefix)+i+1]
			if len(prefixes) > 0 && prefixes[len(prefixes)-1] == dir {
				continue
			}
		}
		if len(list)+len(prefixes) == limit {
			next = n
			break
		}
		if dir != "" {
			prefixes = append(prefixes, dir)
			continue
		}
		o := b.objects[n]
		e := map[string]any{"name": n}
		all := map[string]any{"size": len(o.data), "etag": o.etag, "md5": firstOf(o.md5, o.multi), "timeCreated": stamp(o.created), "timeModified": stamp(o.modified), "storageTier": firstOf(o.header.Get("Storage-Tier"), "Standard")}
		for _, f := range fields {
			if v, ok := all[f]; ok {
				e[f] = v
			}
		}
		list = append(list, e)
	}
	out := map[string]any{"objects": list}
	if delim != "" {
		out["prefixes"] = prefixes
	}
	if next != "" {
		out["nextStartWith"] = next
	}
	return c.reply(200, out)
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
