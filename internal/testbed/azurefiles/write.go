package azurefiles

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

var (
	errParent   = azurefake.Refuse(404, "ParentNotFound", "The specified parent path does not exist.")
	errNotFound = azurefake.Refuse(404, "ResourceNotFound", "The specified resource does not exist.")
	errType     = azurefake.Refuse(409, "ResourceTypeMismatch", "The specified resource type does not match the type of the existing resource.")
	errExists   = azurefake.Refuse(409, "ResourceAlreadyExists", "The specified resource already exists.")
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func badHeader(name string) *azurefake.Error {
	return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: "+name+".")
}

// done answers without a body.
func (c *call) done(n *node, status int) *azurefake.Error {
	if n != nil {
		h := c.w.Header()
		h.Set("ETag", `"`+n.etag+`"`)
		h.Set("Last-Modified", n.modified.Format(http.TimeFormat))
		h.Set("x-ms-request-server-encrypted", "true")
		c.smb(n)
	}
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(status)
	return nil
}

// smb sets the headers that SMB's properties have.
func (c *call) smb(n *node) {
	h := c.w.Header()
	parent := "0"
	if n.parent != nil {
		parent = n.parent.id
	}
	for name, v := range map[string]string{"id": n.id, "parent-id": parent, "attributes": map[bool]string{true: "Directory", false: "Archive"}[n.dir], "permission-key": "1*1",
		"creation-time": n.created.Format(stamp), "last-write-time": n.written.Format(stamp), "change-time": n.modified.Format(stamp)} {
		h.Set("x-ms-file-"+name, v)
	}
}

func (c *call) createShare([]byte) *azurefake.Error {
	if c.s.shares[c.share] != nil {
		return azurefake.Refuse(409, "ShareAlreadyExists", "The specified share already exists.")
	}
	if len(c.share) < 3 || len(c.share) > 63 || strings.Trim(c.share, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Contains(c.share, "--") {
		return azurefake.Refuse(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
	}
	c.s.shares[c.share] = c.s.newNode("", true)
	return c.done(c.s.shares[c.share], 201)
}

func (c *call) deleteShare([]byte) *azurefake.Error {
	delete(c.s.shares, c.share)
	return c.done(nil, 202)
}

// above returns the directory that holds the path of a request, and the path's last name.
func (c *call) above() (*node, string, *azurefake.Error) {
	i := strings.LastIndexByte(c.path, '/')
	n := c.s.shares[c.share].find(c.path[:max(i, 0)])
	if n == nil || !n.dir {
		return nil, "", errParent
	}
	return n, c.path[i+1:], nil
}

// at returns what the path of a request names, of the right type.
func (c *call) at(dir bool) (*node, *azurefake.Error) {
	if c.path != "" {
		if _, _, err := c.above(); err != nil {
			return nil, err
		}
	}
	n := c.s.shares[c.share].find(c.path)
	if n == nil {
		return nil, errNotFound
	}
	if n.dir != dir {
		return nil, errType
	}
	return n, nil
}

func (c *call) createDir([]byte) *azurefake.Error {
	above, name, err := c.above()
	if err != nil {
		return err
	}
	if above.children[fold(name)] != nil || c.path == "" {
		return errExists
	}
	n := c.s.newNode(name, true)
	n.attach(above, name)
	return c.done(n, 201)
}

func (c *call) deleteDir([]byte) *azurefake.Error {
	n, err := c.at(true)
	if err != nil {
		return err
	}
	if n.parent == nil {
		return azurefake.Refuse(400, "InvalidUri", "The root directory cannot be deleted.")
	}
	if len(n.children) > 0 {
		return azurefake.Refuse(409, "DirectoryNotEmpty", "The specified directory is not empty.")
	}
	n.detach()
	return c.done(nil, 202)
}

// length reads x-ms-content-length.
func (c *call) length() (int64, *azurefake.Error) {
	n, err := strconv.ParseInt(c.r.Header.Get("x-ms-content-length"), 10, 64)
	if err != nil || n < 0 || n > maxSize {
		return 0, badHeader("x-ms-content-length")
	}
	return n, nil
}

// describe takes over the content headers, which are replaced all together, and the time of the last write.
func (c *call) describe(n *node) *azurefake.Error {
	n.header = map[string]string{}
	for _, name := range contentHeaders {
		if v := c.r.Header.Get("x-ms-" + name); v != "" {
			n.header[name] = v
		}
	}
	if v := c.r.Header.Get("x-ms-content-md5"); v != "" {
		n.header["Content-MD5"] = v
	}
	return c.lastWrite(n)
}

func (c *call) lastWrite(n *node) *azurefake.Error {
	switch v := c.r.Header.Get("x-ms-file-last-write-time"); v {
	case "preserve":
	case "now", "":
		n.written = c.s.now()
	default:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return badHeader("x-ms-file-last-write-time")
		}
		n.written = t.UTC().Truncate(100 * time.Nanosecond)
	}
	return nil
}

func (c *call) metadata(n *node) *azurefake.Error {
	meta := map[string]string{}
	for name, v := range c.r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-ms-meta-") {
			key := strings.TrimPrefix(low, "x-ms-meta-")
			for i, r := range key {
				letter := r == '_' || r >= 'a' && r <= 'z'
				if !letter && (i == 0 || r < '0' || r > '9') {
					return azurefake.Refuse(400, "InvalidMetadata", "The metadata specified is invalid. It has characters that are not permitted.")
				}
			}
			meta[key] = v[0]
		}
	}
	n.meta = meta
	return nil
}

func (c *call) create([]byte) *azurefake.Error {
	if c.r.Header.Get("x-ms-type") != "file" {
		return badHeader("x-ms-type")
	}
	size, err := c.length()
	if err != nil {
		return err
	}
	above, name, err := c.above()
	if err != nil {
		return err
	}
	old := above.children[fold(name)]
	if old != nil && old.dir {
		return errType
	}
	n := c.s.newNode(name, false)
	if old != nil {
		name = old.name // a file that is written again keeps its spelling
	}
	n.size = size
	if err := c.describe(n); err != nil {
		return err
	}
	if err := c.metadata(n); err != nil {
		return err
	}
	if n.header["Content-Type"] == "" {
		n.header["Content-Type"] = "application/octet-stream"
	}
	n.attach(above, name)
	return c.done(n, 201)
}

func (c *call) putRange(body []byte) *azurefake.Error {
	n, err := c.at(false)
	if err != nil {
		return err
	}
	v := c.r.Header.Get("x-ms-range")
	if v == "" {
		v = c.r.Header.Get("Range")
	}
	var from, to int64
	if k, err := fmt.Sscanf(v, "bytes=%d-%d", &from, &to); k != 2 || err != nil || from < 0 || to < from {
		return badHeader("x-ms-range")
	}
	if to >= n.size {
		return azurefake.Refuse(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
	}
	switch c.r.Header.Get("x-ms-write") {
	case "update":
		if int64(len(body)) != to-from+1 {
			return badHeader("x-ms-range")
		}
	case "clear":
		if len(body) > 0 {
			return badHeader("Content-Length")
		}
		body = make([]byte, to-from+1)
	default:
		return badHeader("x-ms-write")
	}
	if need := to + 1; int64(len(n.data)) < need {
		n.data = append(n.data, make([]byte, need-int64(len(n.data)))...)
	}
	copy(n.data[from:], body)
	if err := c.lastWrite(n); err != nil {
		return err
	}
	c.s.touch(n)
	if c.w.Header().Get("Content-MD5") == "" {
		c.w.Header().Set("Content-MD5", azurefake.MD5(body))
	}
	return c.done(n, 201)
}

func (c *call) setProperties([]byte) *azurefake.Error {
	n, err := c.at(false)
	if err != nil {
		return err
	}
	if c.r.Header.Get("x-ms-content-length") != "" {
		size, err := c.length()
		if err != nil {
			return err
		}
		n.size = size
		n.data = n.data[:min(int64(len(n.data)), size)]
	}
	if err := c.describe(n); err != nil {
		return err
	}
	c.s.touch(n)
	return c.done(n, 200)
}

func (c *call) setMetadata([]byte) *azurefake.Error {
	n, err := c.at(false)
	if err != nil {
		return err
	}
	if err := c.metadata(n); err != nil {
		return err
	}
	c.s.touch(n)
	return c.done(n, 200)
}

// rename moves a file or directory in one step. It keeps its id.
func (c *call) rename([]byte) *azurefake.Error {
	u, perr := url.Parse(c.r.Header.Get("x-ms-file-rename-source"))
	if perr != nil || u.Host != c.r.Host {
		return badHeader("x-ms-file-rename-source")
	}
	share, path, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"+c.s.Name+"/"), "/")
	if c.r.Header.Get("Authorization") == "" { // who signs by SAS must do so for the source too
		if u.Query().Get("sig") == "" {
			return azurefake.Refuse(403, "CannotVerifyCopySource", "This request is not authorized to perform this operation on the source.")
		}
		if err := c.s.CheckSAS(u.Query(), azurefake.Needs{Perms: "d", Type: "o"}, share, path); err != nil {
			return err
		}
	}
	path, bad := c.clean(path)
	if bad != nil {
		return bad
	}
	src := c.s.shares[share].find(path)
	if src == nil || src.parent == nil {
		return errNotFound
	}
	if src.dir != (c.q.Get("restype") == "directory") {
		return errType
	}
	above, name, err := c.above()
	if err != nil {
		return err
	}
	if old := above.children[fold(name)]; old != nil && old != src {
		switch {
		case old.dir != src.dir:
			return errType
		case c.r.Header.Get("x-ms-file-rename-replace-if-exists") != "true":
			return errExists
		case old.dir && len(old.children) > 0:
			return azurefake.Refuse(409, "DirectoryNotEmpty", "The specified directory is not empty.")
		}
		old.detach()
	}
	for n := above; n != nil; n = n.parent {
		if n == src {
			return azurefake.Refuse(409, "InvalidRenameSourcePath", "The destination cannot be below the source.")
		}
	}
	src.detach()
	src.attach(above, name)
	c.s.touch(src)
	return c.done(src, 200)
}

func (c *call) delete([]byte) *azurefake.Error {
	n, err := c.at(false)
	if err != nil {
		return err
	}
	n.detach()
	return c.done(nil, 202)
}
