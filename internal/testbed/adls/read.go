package adls

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

func (c *call) filesystemProperties([]byte) *azurefake.Error {
	c.w.Header().Set("x-ms-namespace-enabled", strconv.FormatBool(!c.s.Flat))
	for name, v := range map[string]string{"x-ms-lease-state": "available", "x-ms-lease-status": "unlocked", "x-ms-has-immutability-policy": "false", "x-ms-has-legal-hold": "false"} {
		c.w.Header().Set(name, v)
	}
	return c.done(c.s.filesystems[c.fs], 200)
}

// head sets the headers that describe a path.
func (c *call) head(n *node) {
	h := c.w.Header()
	h.Set("ETag", `"`+n.etag+`"`)
	h.Set("Last-Modified", n.modified.Format(http.TimeFormat))
	h.Set("x-ms-creation-time", n.created.UTC().Format(http.TimeFormat))
	h.Set("x-ms-resource-type", map[bool]string{true: "directory", false: "file"}[n.dir])
	h.Set("x-ms-blob-type", "BlockBlob")
	h.Set("x-ms-server-encrypted", "true")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-owner", n.owner)
	h.Set("x-ms-group", n.group)
	h.Set("x-ms-permissions", n.perms)
	if c.q.Get("action") == "getAccessControl" {
		h.Set("x-ms-acl", n.accessList())
	}
	for name, v := range n.header {
		h.Set(name, v)
	}
	var props []string
	for _, name := range slices.Sorted(maps.Keys(n.props)) {
		props = append(props, name+"="+n.props[name])
		b, _ := base64.StdEncoding.DecodeString(n.props[name])
		h["x-ms-meta-"+name] = []string{string(b)} // as the Blob service has it
	}
	if n.dir {
		h["x-ms-meta-hdi_isfolder"] = []string{"true"}
	}
	h.Set("x-ms-properties", strings.Join(props, ","))
}

func (c *call) properties([]byte) *azurefake.Error {
	n := c.s.filesystems[c.fs].find(c.path)
	if n == nil {
		return errNotFound
	}
	if err := c.conditions(n, "", "ConditionNotMet"); err != nil {
		return err
	}
	c.head(n)
	c.w.Header().Set("Accept-Ranges", "bytes")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(n.data)))
	c.w.WriteHeader(200)
	return nil
}

func (c *call) read([]byte) *azurefake.Error {
	n, err := c.file()
	if err != nil {
		return err
	}
	if err := c.conditions(n, "", "ConditionNotMet"); err != nil {
		return err
	}
	from, to, ranged, err := azurefake.Range(c.r, int64(len(n.data)))
	if err != nil {
		return err
	}
	c.head(n)
	h := c.w.Header()
	status := 200
	part := n.data[from:to]
	if ranged {
		status = 206
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(n.data)))
		for _, name := range []string{"x-ms-content-md5", "x-ms-blob-content-md5"} {
			if v := h.Get("Content-MD5"); v != "" {
				h.Set(name, v)
			}
		}
		h.Del("Content-MD5")
		if c.r.Header.Get("x-ms-range-get-content-md5") == "true" {
			if len(part) > 4<<20 {
				return azurefake.Refuse(400, "OutOfRangeInput", "One of the request inputs is out of range.")
			}
			h.Set("Content-MD5", azurefake.MD5(part))
		}
	} else if c.r.Header.Get("x-ms-range-get-content-md5") == "true" {
		return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: x-ms-range-get-content-md5.")
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(part)))
	c.write(status, part)
	return nil
}

// write answers with a body. A slow reader must not hold the others; content is replaced, never changed in place.
func (c *call) write(status int, b []byte) {
	c.w.WriteHeader(status)
	c.s.mu.Unlock()
	defer c.s.mu.Lock()
	c.w.Write(b)
}

type listed struct {
	path string
	n    *node
}

// walk gathers what is below a directory, each directory before its content.
func (c *call) walk(n *node, at string, deep bool, out []listed) []listed {
	names := slices.Sorted(maps.Keys(n.children))
	if c.s.Shuffled {
		h := func(s string) uint32 { f := fnv.New32a(); f.Write([]byte(s)); return f.Sum32() }
		slices.SortFunc(names, func(a, b string) int { return int(int64(h(a)) - int64(h(b))) })
	}
	for _, name := range names {
		x := n.children[name]
		out = append(out, listed{at + name, x})
		if deep && x.dir {
			out = c.walk(x, at+name+"/", deep, out)
		}
	}
	return out
}

func (c *call) list([]byte) *azurefake.Error {
	bad := func(name string) *azurefake.Error {
		return azurefake.Refuse(400, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid: "+name+".")
	}
	dir, err := clean(c.q.Get("directory"))
	if err != nil {
		return err
	}
	deep, perr := strconv.ParseBool(c.q.Get("recursive"))
	if perr != nil {
		return bad("recursive")
	}
	limit := 5000
	if c.s.MaxPage > 0 {
		limit = c.s.MaxPage
	}
	if v := c.q.Get("maxResults"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return bad("maxResults")
		}
		limit = min(limit, n)
	}
	top := c.s.filesystems[c.fs].find(dir)
	if top == nil || !top.dir {
		return errNotFound
	}
	at := ""
	if dir != "" {
		at = dir + "/"
	}
	all := c.walk(top, at, deep, nil)
	if token := c.q.Get("continuation"); token != "" {
		b, err := base64.StdEncoding.DecodeString(token)
		last, ok := strings.CutPrefix(string(b), "continue:")
		if err != nil || !ok {
			return bad("continuation")
		}
		i := slices.IndexFunc(all, func(x listed) bool { return x.path == last })
		if i < 0 && !c.s.Shuffled { // it was removed meanwhile
			i = slices.IndexFunc(all, func(x listed) bool {
				return strings.ReplaceAll(x.path, "/", "\x00") > strings.ReplaceAll(last, "/", "\x00")
			}) - 1
			if i < -1 {
				i = len(all) - 1
			}
		}
		all = all[i+1:]
	}
	if len(all) > limit {
		c.w.Header().Set("x-ms-continuation", base64.StdEncoding.EncodeToString([]byte("continue:"+all[limit-1].path)))
		all = all[:limit]
	}
	paths := []map[string]string{}
	for _, x := range all {
		m := map[string]string{"name": x.path, "contentLength": strconv.Itoa(len(x.n.data)), "etag": x.n.etag, "lastModified": x.n.modified.Format(http.TimeFormat),
			"owner": x.n.owner, "group": x.n.group, "permissions": x.n.perms, "creationTime": strconv.FormatInt(x.n.created.UnixNano()/100+116444736000000000, 10)}
		if x.n.dir {
			m["isDirectory"] = "true"
		}
		paths = append(paths, m)
	}
	b, _ := json.Marshal(map[string]any{"paths": paths})
	c.w.Header().Set("Content-Type", "application/json;charset=utf-8")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	c.write(200, b)
	return nil
}
