package databricks

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dbfs is the DBFS API 2.0.
func (c *call) dbfs(op string) *failure {
	var x struct {
		Path, Data  string
		Source      string `json:"source_path"`
		Destination string `json:"destination_path"`
		Overwrite   bool
		Recursive   bool
		Handle      int64
		Contents    string
		Offset      int64
		Length      int64
	}
	x.Length = 512 << 10
	method := "POST"
	switch op {
	case "get-status", "list", "read":
		method = "GET"
		q := c.r.URL.Query()
		x.Path = q.Get("path")
		var err1, err2 error
		if v := q.Get("offset"); v != "" {
			x.Offset, err1 = strconv.ParseInt(v, 10, 64)
		}
		if v := q.Get("length"); v != "" {
			x.Length, err2 = strconv.ParseInt(v, 10, 64)
		}
		if err1 != nil || err2 != nil || x.Offset < 0 || x.Length < 0 {
			return fail(400, "INVALID_PARAMETER_VALUE", "Offset or length is wrong")
		}
	default:
		if json.NewDecoder(c.r.Body).Decode(&x) != nil {
			return fail(400, "MALFORMED_REQUEST", "The request cannot be read")
		}
	}
	if c.r.Method != method {
		return fail(404, "ENDPOINT_NOT_FOUND", "No API found")
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range []*string{&x.Path, &x.Source, &x.Destination} {
		if *p == "" {
			continue
		}
		*p = strings.TrimPrefix(*p, "dbfs:")
		if strings.HasPrefix(*p, "/Volumes") {
			return fail(403, "PERMISSION_DENIED", "No operations allowed on this path")
		}
		if !strings.HasPrefix(*p, "/") || *p != "/" && path.Clean(*p) != strings.TrimSuffix(*p, "/") || strings.ContainsAny(*p, "\x00\r\n") {
			return fail(400, "INVALID_PARAMETER_VALUE", "Path must be absolute and plain")
		}
		*p = "dbfs:" + strings.TrimSuffix(*p, "/")
	}
	n := s.tree[x.Path]
	switch op {
	case "get-status":
		if n == nil {
			return fail(404, "RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path %s.", x.Path)
		}
		return c.answer(info(x.Path, n))
	case "list":
		if n == nil {
			return fail(404, "RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path %s.", x.Path)
		}
		if !n.dir {
			return c.answer(map[string]any{"files": []any{info(x.Path, n)}})
		}
		var names []string
		for k := range s.names[x.Path] {
			names = append(names, k)
		}
		slices.Sort(names)
		files := []any{}
		for _, k := range names {
			files = append(files, info(k, s.tree[k]))
		}
		if len(files) == 0 {
			return c.answer(map[string]any{})
		}
		return c.answer(map[string]any{"files": files})
	case "read":
		switch {
		case n == nil:
			return fail(404, "RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path %s.", x.Path)
		case n.dir:
			return fail(400, "INVALID_PARAMETER_VALUE", "The path is a directory")
		case x.Length > MaxBlock:
			return fail(400, "MAX_READ_SIZE_EXCEEDED", "The read length is too large")
		}
		from := min(x.Offset, int64(len(n.data)))
		b := n.data[from:min(from+x.Length, int64(len(n.data)))]
		return c.answer(map[string]any{"bytes_read": len(b), "data": base64.StdEncoding.EncodeToString(b)})
	case "create":
		if f := s.writable(x.Path, x.Overwrite); f != nil {
			return f
		}
		s.serial++
		s.handles[s.serial] = &handle{path: x.Path}
		s.set(x.Path, &node{modified: time.Now()}) // visible and empty until it is closed
		return c.answer(map[string]any{"handle": s.serial})
	case "add-block", "close":
		h := s.handles[x.Handle]
		if h == nil {
			return fail(404, "RESOURCE_DOES_NOT_EXIST", "No stream with handle %d", x.Handle)
		}
		if op == "add-block" {
			b, err := base64.StdEncoding.DecodeString(x.Data)
			if err != nil || len(b) > MaxBlock {
				return fail(400, "MAX_BLOCK_SIZE_EXCEEDED", "The block is too large")
			}
			h.data = append(h.data, b...)
			return c.answer(map[string]any{})
		}
		delete(s.handles, x.Handle)
		if s.tree[h.path] != nil {
			s.set(h.path, &node{data: h.data, modified: time.Now()})
		}
		return c.answer(map[string]any{})
	case "mkdirs":
		for d := x.Path; d != "dbfs:"; d = path.Dir(d) {
			if n := s.tree[d]; n != nil && !n.dir {
				return fail(400, "RESOURCE_ALREADY_EXISTS", "A file exists on the path")
			}
		}
		for d := x.Path; s.tree[d] == nil; d = path.Dir(d) {
			s.set(d, &node{dir: true, modified: time.Now()})
		}
		return c.answer(map[string]any{})
	case "move":
		from := s.tree[x.Source]
		switch {
		case from == nil:
			return fail(404, "RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path %s.", x.Source)
		case s.tree[x.Destination] != nil:
			return fail(400, "RESOURCE_ALREADY_EXISTS", "A file or directory exists on path %s.", x.Destination)
		}
		if f := s.writable(x.Destination, false); f != nil {
			return f
		}
		s.move(x.Source, x.Destination, from)
		return c.answer(map[string]any{})
	case "delete":
		if n == nil {
			return c.answer(map[string]any{})
		}
		if len(s.names[x.Path]) > 0 && !x.Recursive {
			return fail(400, "IO_ERROR", "The directory is not empty")
		}
		s.remove(x.Path)
		return c.answer(map[string]any{})
	case "put":
		b, err := base64.StdEncoding.DecodeString(x.Contents)
		if err != nil || len(b) > MaxBlock {
			return fail(400, "MAX_BLOCK_SIZE_EXCEEDED", "The contents are too large")
		}
		if f := s.writable(x.Path, x.Overwrite); f != nil {
			return f
		}
		s.set(x.Path, &node{data: b, modified: time.Now()})
		return c.answer(map[string]any{})
	}
	return fail(404, "ENDPOINT_NOT_FOUND", "No API found for '%s'", op)
}

// move and remove take along what is below.
func (s *Server) move(from, to string, n *node) {
	s.set(to, n)
	for k := range s.names[from] {
		s.move(k, to+strings.TrimPrefix(k, from), s.tree[k])
	}
	s.drop(from)
}

func (s *Server) remove(p string) {
	for k := range s.names[p] {
		s.remove(k)
	}
	s.drop(p)
}

// writable checks that a file of DBFS may be made. Missing folders are not made here.
func (s *Server) writable(p string, overwrite bool) *failure {
	n := s.tree[p]
	switch {
	case n != nil && (n.dir || !overwrite):
		return fail(400, "RESOURCE_ALREADY_EXISTS", "A file or directory exists on path %s.", p)
	}
	if f := s.parent(p); f != nil {
		if f.status == 409 {
			return fail(400, "RESOURCE_ALREADY_EXISTS", "A part of the path is a file")
		}
		return fail(404, "RESOURCE_DOES_NOT_EXIST", "The parent folder does not exist")
	}
	return nil
}

func info(p string, n *node) map[string]any {
	if p == "dbfs:" {
		p = "/"
	}
	return map[string]any{"path": strings.TrimPrefix(p, "dbfs:"), "is_dir": n.dir, "file_size": len(n.data), "modification_time": n.modified.UnixMilli()}
}
