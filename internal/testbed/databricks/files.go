package databricks

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// file is /api/2.0/fs/files.
func (c *call) file(p string) *failure {
	if f := valid(p); f != nil {
		return f
	}
	q := c.r.URL.Query()
	if strings.HasSuffix(p, "/") {
		return fail(400, "INVALID_PARAMETER_VALUE", "Invalid path")
	}
	switch c.r.Method {
	case "GET", "HEAD":
		return c.read(p)
	case "PUT":
		return c.put(p, q.Get("overwrite") != "false")
	case "DELETE":
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		n := c.s.tree[p]
		if n == nil || n.dir {
			return fail(404, "NOT_FOUND", "The file being accessed is not found.")
		}
		c.s.drop(p)
		c.w.WriteHeader(204)
		return nil
	case "POST":
		switch q.Get("action") {
		case "initiate-upload":
			return c.initiate(p, q.Get("overwrite") != "false")
		case "complete-upload":
			return c.complete(p, q.Get("session_token"), q.Get("upload_type"))
		case "abort-upload":
			return c.abort(p, q.Get("session_token"), q.Get("upload_type"))
		}
	}
	return fail(400, "INVALID_PARAMETER_VALUE", "Unknown action")
}

func (c *call) read(p string) *failure {
	c.s.mu.Lock()
	n := c.s.tree[p]
	c.s.mu.Unlock()
	switch {
	case n == nil:
		return fail(404, "NOT_FOUND", "The file being accessed is not found.")
	case n.dir:
		return fail(409, "INVALID_STATE", "The path is a directory")
	}
	return serve(c.w, c.r, p, n)
}

// serve answers GET and HEAD of a file.
func serve(w http.ResponseWriter, r *http.Request, p string, n *node) *failure {
	if t, err := http.ParseTime(r.Header.Get("If-Unmodified-Since")); err == nil && n.modified.Truncate(time.Second).After(t) {
		return fail(412, "FAILED_PRECONDITION", "The file was modified since.")
	}
	h := w.Header()
	t := mime.TypeByExtension(path.Ext(p))
	if t == "" {
		t = "application/octet-stream"
	}
	h.Set("Content-Type", t)
	h.Set("Last-Modified", n.modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	off, end, size := int64(0), int64(len(n.data)), int64(len(n.data))
	if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && r.Method == "GET" {
		a, b, _ := strings.Cut(span, "-")
		x, errA := strconv.ParseInt(a, 10, 64)
		y, errB := strconv.ParseInt(b, 10, 64)
		switch {
		case a == "" && errB == nil && y > 0 && size > 0:
			off = max(size-y, 0)
		case errA == nil && x < size && (b == "" || errB == nil && y >= x):
			off = x
			if b != "" {
				end = min(end, y+1)
			}
		default:
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			return fail(416, "INVALID_PARAMETER_VALUE", "The range is not satisfiable")
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, end-1, size))
		h.Set("Content-Length", fmt.Sprint(end-off))
		w.WriteHeader(206)
	} else {
		h.Set("Content-Length", fmt.Sprint(size))
		w.WriteHeader(200)
	}
	if r.Method == "GET" {
		w.Write(n.data[off:end])
	}
	return nil
}

// store makes p hold data, if it may. The caller holds the lock.
func (s *Server) store(p string, data []byte, overwrite bool) *failure {
	if s.silent > 0 {
		s.silent--
		return nil
	}
	if f := s.parent(p); f != nil {
		return f
	}
	if n := s.tree[p]; n != nil && n.dir {
		return fail(409, "ALREADY_EXISTS", "The path is a directory")
	} else if n != nil && !overwrite {
		return fail(409, "ALREADY_EXISTS", "The file being created already exists.")
	}
	s.set(p, &node{data: data, modified: time.Now()})
	return nil
}

func (c *call) put(p string, overwrite bool) *failure {
	c.s.mu.Lock()
	f := c.s.parent(p)
	if n := c.s.tree[p]; f == nil && n != nil && !overwrite {
		f = fail(409, "ALREADY_EXISTS", "The file being created already exists.")
	}
	c.s.mu.Unlock()
	if f != nil {
		io.Copy(io.Discard, c.r.Body)
		return f
	}
	if c.r.ContentLength > MaxPut {
		return fail(400, "INVALID_PARAMETER_VALUE", "The content is too large")
	}
	data, err := io.ReadAll(c.r.Body)
	if err != nil { // the client hung up
		panic(http.ErrAbortHandler)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if f := c.s.store(p, data, overwrite); f != nil {
		return f
	}
	c.w.WriteHeader(204)
	return nil
}

// directory is /api/2.0/fs/directories.
func (c *call) directory(p string) *failure {
	if f := valid(p); f != nil {
		return f
	}
	p = strings.TrimSuffix(p, "/")
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n := c.s.tree[p]
	if c.r.Method == "PUT" {
		var missing []string
		for d := p; ; d = path.Dir(d) {
			if n := c.s.tree[d]; n != nil && !n.dir {
				return fail(409, "ALREADY_EXISTS", "A part of the path is a file")
			} else if n != nil {
				break
			}
			if strings.Count(d, "/") <= 4 {
				return fail(404, "NOT_FOUND", "Volume '%s' does not exist.", d)
			}
			missing = append(missing, d)
		}
		for _, d := range missing {
			c.s.set(d, &node{dir: true, modified: time.Now()})
		}
		c.w.WriteHeader(204)
		return nil
	}
	if n == nil || !n.dir {
		return fail(404, "NOT_FOUND", "The directory being accessed is not found.")
	}
	switch c.r.Method {
	case "HEAD":
		c.w.WriteHeader(200)
		return nil
	case "DELETE":
		if len(c.s.names[p]) > 0 {
			f := fail(400, "INVALID_PARAMETER_VALUE", "The directory is not empty.")
			f.reason = "FILES_API_DIRECTORY_IS_NOT_EMPTY"
			return f
		}
		if strings.Count(p, "/") <= 4 {
			return fail(400, "INVALID_PARAMETER_VALUE", "The root of a volume cannot be deleted")
		}
		c.s.drop(p)
		c.w.WriteHeader(204)
		return nil
	case "GET":
		return c.list(p)
	}
	return fail(400, "INVALID_PARAMETER_VALUE", "Unknown method")
}

func (c *call) list(p string) *failure {
	size, _ := strconv.Atoi(c.r.URL.Query().Get("page_size"))
	if size <= 0 || size > MaxPage {
		size = MaxPage
	}
	if c.s.Page > 0 {
		size = min(size, c.s.Page)
	}
	after := ""
	if t := c.r.URL.Query().Get("page_token"); t != "" {
		b, err := base64.RawURLEncoding.DecodeString(t)
		if err != nil {
			return fail(400, "INVALID_PARAMETER_VALUE", "The page token is invalid")
		}
		after = string(b)
	}
	var names []string
	for k := range c.s.names[p] {
		if k > after {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	x := map[string]any{}
	if len(names) > size {
		names = names[:size]
		x["next_page_token"] = base64.RawURLEncoding.EncodeToString([]byte(names[size-1]))
	}
	var contents []any
	for _, k := range names {
		n := c.s.tree[k]
		e := map[string]any{"path": k, "name": path.Base(k), "is_directory": n.dir, "last_modified": n.modified.UnixMilli()}
		if !n.dir {
			e["file_size"] = len(n.data)
		}
		contents = append(contents, e)
	}
	if contents != nil { // an empty directory is {}
		x["contents"] = contents
	}
	return c.answer(x)
}

func (c *call) initiate(p string, overwrite bool) *failure {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if f := c.s.parent(p); f != nil {
		return f
	}
	if n := c.s.tree[p]; n != nil && (!overwrite || n.dir) {
		return fail(409, "ALREADY_EXISTS", "The file being created already exists.")
	}
	id := "session-" + rand.Text()
	c.s.uploads[id] = &upload{path: p, overwrite: overwrite, parts: map[int]part{}}
	form := "multipart_upload"
	if c.s.Resumable {
		form = "resumable_upload"
	}
	return c.answer(map[string]any{form: map[string]any{"session_token": id}})
}

func (c *call) complete(p, id, kind string) *failure {
	var x struct {
		Parts []struct {
			Number int    `json:"part_number"`
			ETag   string `json:"etag"`
		} `json:"parts"`
	}
	if json.NewDecoder(c.r.Body).Decode(&x) != nil || kind != "multipart" {
		return fail(400, "INVALID_PARAMETER_VALUE", "The request cannot be read")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.s.uploads[id]
	if u != nil && u.done && u.path == p { // completing is idempotent
		return c.answer(map[string]any{})
	}
	if u == nil || u.path != p {
		return fail(404, "NOT_FOUND", "The upload session does not exist.")
	}
	var data []byte
	for i, q := range x.Parts {
		have, ok := u.parts[q.Number]
		switch {
		case !ok || have.etag != q.ETag:
			return fail(400, "INVALID_PARAMETER_VALUE", "One or more of the specified parts could not be found.")
		case i > 0 && q.Number <= x.Parts[i-1].Number:
			return fail(400, "INVALID_PARAMETER_VALUE", "The list of parts was not in ascending order.")
		case i < len(x.Parts)-1 && len(have.data) < MinPart:
			return fail(400, "INVALID_PARAMETER_VALUE", "Your proposed upload is smaller than the minimum allowed size.")
		}
		data = append(data, have.data...)
	}
	if len(x.Parts) == 0 {
		return fail(400, "INVALID_PARAMETER_VALUE", "You must specify at least one part.")
	}
	if f := c.s.store(p, data, u.overwrite); f != nil {
		return f
	}
	u.done, u.parts = true, nil
	return c.answer(map[string]any{})
}

func (c *call) abort(p, id, kind string) *failure {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.s.uploads[id]
	if u == nil || u.done || u.path != p || kind != "multipart" || c.s.Resumable {
		return fail(404, "NOT_FOUND", "The upload session does not exist.")
	}
	delete(c.s.uploads, id)
	return c.answer(map[string]any{})
}

func etagOf(b []byte) string { return fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(b))) }
