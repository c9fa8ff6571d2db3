package oci

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (c *call) begin(b *bucket, name string) *failure {
	var d struct {
		Object, ContentType, ContentLanguage, ContentEncoding, ContentDisposition, CacheControl, StorageTier string
		Metadata                                                                                             map[string]string
	}
	if f := c.json(&d); f != nil {
		return f
	}
	if f := checkName(d.Object); f != nil {
		return f
	}
	if f := checkTier(d.StorageTier); f != nil {
		return f
	}
	h := http.Header{}
	for n, v := range map[string]string{"Content-Type": firstOf(d.ContentType, "application/octet-stream"), "Content-Language": d.ContentLanguage, "Content-Encoding": d.ContentEncoding,
		"Content-Disposition": d.ContentDisposition, "Cache-Control": d.CacheControl, "Storage-Tier": d.StorageTier} {
		if v != "" {
			h.Set(n, v)
		}
	}
	for n, v := range d.Metadata {
		if !strings.HasPrefix(strings.ToLower(n), "opc-meta-") {
			return fail(400, "InvalidParameter", "metadata keys begin with opc-meta-")
		}
		h.Set(n, v)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if f := holds(c.r.Header, b.objects[d.Object]); f != nil {
		return f
	}
	u := &upload{id: c.s.unique(), name: d.Object, header: h, created: c.s.Now(), parts: map[int]*object{}}
	b.uploads[u.id] = u
	return c.reply(200, map[string]any{"namespace": c.s.Namespace, "bucket": name, "object": u.name, "uploadId": u.id, "timeCreated": stamp(u.created)})
}

func (c *call) upload(b *bucket, name string) *failure {
	c.s.mu.Lock()
	u := b.uploads[c.q.Get("uploadId")]
	c.s.mu.Unlock()
	if u == nil || u.name != name {
		return fail(404, "NoSuchUpload", "The upload ID '%s' was not found", c.q.Get("uploadId"))
	}
	switch c.r.Method {
	case "PUT":
		return c.part(b, u)
	case "GET":
		return c.listParts(u)
	case "POST":
		return c.commit(b, u)
	case "DELETE":
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		delete(b.uploads, u.id)
		c.w.WriteHeader(204)
		return nil
	}
	return fail(405, "MethodNotAllowed", "%s is not possible here", c.r.Method)
}

func (c *call) part(b *bucket, u *upload) *failure {
	n, err := strconv.Atoi(c.q.Get("uploadPartNum"))
	if err != nil || n < 1 || n > MaxParts {
		return fail(400, "InvalidParameter", "part numbers run from 1 to %d", MaxParts)
	}
	o, f := c.receive()
	if f != nil {
		return f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if b.uploads[u.id] == nil {
		return fail(404, "NoSuchUpload", "The upload ID '%s' was not found", u.id)
	}
	u.parts[n] = o
	c.w.Header().Set("etag", o.etag)
	c.w.Header().Set("opc-content-md5", o.md5)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(200)
	return nil
}

// window cuts a page out of n things by the parameters limit and page, and says where the next begins.
func (c *call) window(n int) (from, to int, f *failure) {
	limit := MaxPage
	if text := c.q.Get("limit"); text != "" {
		k, err := strconv.Atoi(text)
		if err != nil || k < 1 || k > MaxPage {
			return 0, 0, fail(400, "InvalidParameter", "limit must be from 1 to %d", MaxPage)
		}
		limit = k
	}
	if text := c.q.Get("page"); text != "" {
		k, err := strconv.Atoi(text)
		if err != nil || k < 0 || k > n {
			return 0, 0, fail(400, "InvalidParameter", "the page is not one of this list")
		}
		from = k
	}
	to = min(from+limit, n)
	if to < n {
		c.w.Header().Set("opc-next-page", strconv.Itoa(to))
	}
	return from, to, nil
}

func (c *call) listParts(u *upload) *failure {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out := []map[string]any{}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		p := u.parts[n]
		out = append(out, map[string]any{"partNumber": n, "etag": p.etag, "md5": p.md5, "size": len(p.data)})
	}
	from, to, f := c.window(len(out))
	if f != nil {
		return f
	}
	return c.reply(200, out[from:to])
}

func (c *call) listUploads(b *bucket, name string) *failure {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(b.uploads), func(x, y *upload) int { return strings.Compare(x.name+"\x00"+x.id, y.name+"\x00"+y.id) })
	from, to, f := c.window(len(all))
	if f != nil {
		return f
	}
	out := []map[string]any{}
	for _, u := range all[from:to] {
		out = append(out, map[string]any{"namespace": c.s.Namespace, "bucket": name, "object": u.name, "uploadId": u.id, "timeCreated": stamp(u.created)})
	}
	return c.reply(200, out)
}

func (c *call) commit(b *bucket, u *upload) *failure {
	var d struct {
		PartsToCommit []struct {
			PartNum int
			Etag    string
		}
		PartsToExclude []int
	}
	if f := c.json(&d); f != nil {
		return f
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if b.uploads[u.id] == nil {
		return fail(404, "NoSuchUpload", "The upload ID '%s' was not found", u.id)
	}
	if len(d.PartsToCommit) == 0 {
		return fail(400, "InvalidUploadPart", "There are no parts to commit")
	}
	named := map[int]bool{}
	for _, n := range d.PartsToExclude {
		named[n] = true
	}
	var data []byte
	sums := md5.New()
	slices.SortFunc(d.PartsToCommit, func(x, y struct {
		PartNum int
		Etag    string
	}) int {
		return x.PartNum - y.PartNum
	})
	for i, x := range d.PartsToCommit {
		p := u.parts[x.PartNum]
		switch {
		case p == nil || p.etag != x.Etag || named[x.PartNum]:
			return fail(400, "InvalidUploadPart", "The part %d with the etag %s is not there", x.PartNum, x.Etag)
		case len(p.data) < MinPart && i < len(d.PartsToCommit)-1:
			return fail(400, "InvalidUploadPart", "The part %d has %d bytes, the least is %d", x.PartNum, len(p.data), MinPart)
		}
		named[x.PartNum] = true
		data = append(data, p.data...)
		raw, _ := base64.StdEncoding.DecodeString(p.md5)
		sums.Write(raw)
	}
	for n := range u.parts {
		if !named[n] {
			return fail(400, "InvalidUploadPart", "The part %d is neither committed nor excluded", n)
		}
	}
	if f := holds(c.r.Header, b.objects[u.name]); f != nil {
		return f
	}
	o := &object{data: data, etag: c.s.unique(), header: u.header, multi: fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(sums.Sum(nil)), len(d.PartsToCommit))}
	c.store(b, u.name, o)
	delete(b.uploads, u.id)
	h := c.w.Header()
	h.Set("etag", o.etag)
	h.Set("opc-multipart-md5", o.multi)
	h.Set("last-modified", o.modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", "0")
	c.w.WriteHeader(200)
	return nil
}

func (c *call) createPAR(name string) *failure {
	var d struct {
		Name, ObjectName, AccessType string
		TimeExpires                  time.Time
	}
	if f := c.json(&d); f != nil {
		return f
	}
	if d.Name == "" || d.ObjectName == "" || !slices.Contains([]string{"ObjectRead", "ObjectWrite", "ObjectReadWrite"}, d.AccessType) || !d.TimeExpires.After(c.s.Now()) {
		return fail(400, "InvalidParameter", "a pre-authenticated request has a name, an object, a kind of access and an end")
	}
	token := strings.ReplaceAll(c.s.unique(), "-", "")
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.pars[token] = &par{ID: c.s.unique(), Name: d.Name, ObjectName: d.ObjectName, AccessType: d.AccessType, bucket: name, expires: d.TimeExpires}
	uri := fmt.Sprintf("/p/%s/n/%s/b/%s/o/%s", token, escape(c.s.Namespace), escape(name), escape(d.ObjectName))
	return c.reply(200, map[string]any{"id": "par-" + token[:8], "name": d.Name, "accessUri": uri, "objectName": d.ObjectName, "accessType": d.AccessType,
		"timeExpires": stamp(d.TimeExpires), "timeCreated": stamp(c.s.Now())})
}

// escape percent-encodes everything but unreserved characters.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// byPAR serves a request that carries its permission in its path.
func (c *call) byPAR(token, path string) *failure {
	c.s.mu.Lock()
	p := c.s.pars[token]
	c.s.mu.Unlock()
	gone := fail(404, "NotAuthorizedOrNotFound", "PAR does not exist")
	if p == nil || !c.s.Now().Before(p.expires) || path != fmt.Sprintf("/n/%s/b/%s/o/%s", escape(c.s.Namespace), escape(p.bucket), escape(p.ObjectName)) {
		return gone
	}
	read, write := strings.Contains(p.AccessType, "Read"), strings.Contains(p.AccessType, "Write")
	if !(read && (c.r.Method == "GET" || c.r.Method == "HEAD")) && !(write && c.r.Method == "PUT") {
		return gone
	}
	return c.dispatch(path)
}
