package adls

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

// maxStaged is how many appends a file may have, as blocks of a blob.
const maxStaged = 50_000

func (c *call) createFilesystem([]byte) *azurefake.Error {
	if c.s.filesystems[c.fs] != nil {
		code := "FilesystemAlreadyExists"
		if c.q.Has("restype") {
			code = "ContainerAlreadyExists"
		}
		return azurefake.Refuse(409, code, "The specified filesystem already exists.")
	}
	ok := len(c.fs) >= 3 && len(c.fs) <= 63 && strings.Trim(c.fs, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	if !ok || strings.Contains(c.fs, "--") {
		return azurefake.Refuse(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
	}
	c.s.filesystems[c.fs] = c.s.newNode(true)
	return c.done(c.s.filesystems[c.fs], 201)
}

func (c *call) deleteFilesystem([]byte) *azurefake.Error {
	delete(c.s.filesystems, c.fs)
	return c.done(nil, 202)
}

// done answers without a body.
func (c *call) done(n *node, status int) *azurefake.Error {
	if n != nil {
		c.w.Header().Set("ETag", `"`+n.etag+`"`)
		c.w.Header().Set("Last-Modified", n.modified.Format(http.TimeFormat))
	}
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(status)
	return nil
}

func (c *call) create([]byte) *azurefake.Error {
	kind := c.q.Get("resource")
	if kind != "file" && kind != "directory" {
		return azurefake.Refuse(400, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid: resource.")
	}
	dir, base := split(c.path)
	above, err := c.makeDirs(dir)
	if err != nil {
		return err
	}
	old := above.children[base]
	if err := c.conditions(old, "", "ConditionNotMet"); err != nil {
		return err
	}
	if old != nil && old.dir != (kind == "directory") {
		return errConflict
	}
	n := c.s.newNode(kind == "directory")
	if old != nil && old.dir {
		n.children = old.children
	}
	n.inherit(above)
	if err := c.describe(n); err != nil {
		return err
	}
	if n.header["Content-Type"] == "" {
		n.header["Content-Type"] = "application/octet-stream"
	}
	above.children[base] = n
	c.s.touch(above)
	return c.done(n, 201)
}

var errNotFound = azurefake.Refuse(404, "PathNotFound", "The specified path does not exist.")

// file returns the file that a request is for.
func (c *call) file() (*node, *azurefake.Error) {
	n := c.s.filesystems[c.fs].find(c.path)
	if n == nil {
		return nil, errNotFound
	}
	if n.dir {
		return nil, azurefake.Refuse(409, "ResourceTypeMismatch", "The resource type is invalid for this operation.")
	}
	return n, nil
}

func (c *call) position() (int64, *azurefake.Error) {
	if !c.q.Has("position") {
		return 0, azurefake.Refuse(400, "MissingRequiredQueryParameter", "A query parameter that's mandatory for this request is not specified: position.")
	}
	pos, err := strconv.ParseInt(c.q.Get("position"), 10, 64)
	if err != nil || pos < 0 {
		return 0, azurefake.Refuse(400, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid: position.")
	}
	return pos, nil
}

func (c *call) append(body []byte) *azurefake.Error {
	n, err := c.file()
	if err != nil {
		return err
	}
	pos, err := c.position()
	if err != nil {
		return err
	}
	switch {
	case len(body) == 0:
		return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: Content-Length.")
	case pos < int64(len(n.data)):
		return azurefake.Refuse(400, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid: position.")
	case len(n.staged) >= maxStaged:
		return azurefake.Refuse(409, "BlockCountExceedsLimit", "The committed block count cannot exceed the maximum limit of 50,000 blocks.")
	}
	n.staged[pos] = body
	if c.q.Get("flush") == "true" {
		if err := c.settle(n, pos+int64(len(body))); err != nil {
			return err
		}
		return c.done(n, 202)
	}
	return c.done(nil, 202)
}

// settle makes what was appended before pos the content.
func (c *call) settle(n *node, pos int64) *azurefake.Error {
	at := int64(len(n.data))
	var chunks [][]byte
	for at < pos {
		b, ok := n.staged[at]
		if !ok {
			break
		}
		chunks = append(chunks, b)
		at += int64(len(b))
	}
	if at != pos {
		return azurefake.Refuse(400, "InvalidFlushPosition", "The uploaded data is not contiguous or the position query parameter value is not equal to the length of the file after appending the uploaded data.")
	}
	for _, b := range chunks {
		n.data = append(n.data, b...)
	}
	for p := range n.staged {
		if p < pos || c.q.Get("retainUncommittedData") != "true" {
			delete(n.staged, p)
		}
	}
	if len(chunks) > 0 {
		delete(n.header, "Content-MD5")
	}
	c.s.touch(n)
	return nil
}

func (c *call) flush(body []byte) *azurefake.Error {
	n, err := c.file()
	if err != nil {
		return err
	}
	pos, err := c.position()
	if err != nil {
		return err
	}
	if len(body) > 0 {
		return azurefake.Refuse(400, "InvalidInput", "A flush must not have a request body.")
	}
	if err := c.conditions(n, "", "ConditionNotMet"); err != nil {
		return err
	}
	if err := c.settle(n, pos); err != nil {
		return err
	}
	if c.r.Header.Get("x-ms-properties") != "" {
		return azurefake.Refuse(400, "UnsupportedHeader", "One of the HTTP headers specified in the request is not supported: x-ms-properties.")
	}
	if err := c.describe(n); err != nil {
		return err
	}
	return c.done(n, 200)
}

func (c *call) set([]byte) *azurefake.Error {
	n := c.s.filesystems[c.fs].find(c.path)
	if n == nil {
		return errNotFound
	}
	if err := c.conditions(n, "", "ConditionNotMet"); err != nil {
		return err
	}
	h := c.r.Header
	if c.q.Get("action") == "setProperties" {
		if err := c.describe(n); err != nil {
			return err
		}
		c.s.touch(n)
		return c.done(n, 200)
	}
	if h.Get("x-ms-acl") != "" && h.Get("x-ms-permissions") != "" {
		return azurefake.Refuse(400, "InvalidHeaderValue", "x-ms-acl and x-ms-permissions cannot be specified together.")
	}
	if v := h.Get("x-ms-acl"); v != "" {
		for _, e := range strings.Split(v, ",") {
			f := strings.Split(strings.TrimPrefix(e, "default:"), ":")
			if len(f) != 3 || len(f[2]) != 3 || strings.Trim(f[2], "rwx-") != "" || !strings.Contains(" user group other mask ", " "+f[0]+" ") || strings.HasPrefix(e, "default:") && !n.dir {
				return azurefake.Refuse(400, "InvalidAclEntry", fmt.Sprintf("The access control list value is invalid: %q.", e))
			}
		}
		n.acl = strings.Split(v, ",")
	}
	if v := h.Get("x-ms-permissions"); len(v) == 9 {
		n.perms, n.acl = v, nil
	}
	for name, to := range map[string]*string{"x-ms-owner": &n.owner, "x-ms-group": &n.group} {
		if v := h.Get(name); v != "" {
			*to = v
		}
	}
	return c.done(n, 200)
}

// rename moves a path in one step. A file keeps its ETag.
func (c *call) rename([]byte) *azurefake.Error {
	raw, sas, signed := strings.Cut(c.r.Header.Get("x-ms-rename-source"), "?")
	path, err := url.PathUnescape(strings.TrimPrefix(raw, "/"))
	if err != nil || !strings.HasPrefix(raw, "/") {
		return azurefake.Refuse(400, "InvalidRenameSourcePath", "The source directory cannot be the same as the destination directory, nor can the destination be a subdirectory of the source directory.")
	}
	fs, from, _ := strings.Cut(path, "/")
	from, bad := clean(from)
	if bad != nil {
		return bad
	}
	if c.r.Header.Get("Authorization") == "" { // who signs by SAS must do so for the source too
		q, err := url.ParseQuery(sas)
		if !signed || err != nil {
			return azurefake.Refuse(403, "CannotVerifyCopySource", "This request is not authorized to perform this operation on the source.")
		}
		if err := c.s.CheckSAS(q, azurefake.Needs{Perms: "dm", Type: "o"}, fs, from); err != nil {
			return err
		}
	}
	src := c.s.filesystems[fs].find(from)
	if src == nil || from == "" {
		return azurefake.Refuse(404, "SourcePathNotFound", "The source path for a rename operation does not exist.")
	}
	if from == c.path || strings.HasPrefix(c.path, from+"/") {
		return azurefake.Refuse(409, "InvalidRenameSourcePath", "The source directory cannot be the same as the destination directory, nor can the destination be a subdirectory of the source directory.")
	}
	dir, base := split(c.path)
	above := c.s.filesystems[c.fs].find(dir)
	if above == nil {
		return azurefake.Refuse(404, "RenameDestinationParentPathNotFound", "The parent directory of the destination path does not exist.")
	}
	if !above.dir {
		return errConflict
	}
	old := above.children[base]
	if err := c.conditions(old, "", "ConditionNotMet"); err != nil {
		return err
	}
	if err := c.conditions(src, "x-ms-source-", "SourceConditionNotMet"); err != nil {
		return err
	}
	switch {
	case old != nil && old.dir != src.dir:
		return azurefake.Refuse(409, "InvalidSourceOrDestinationResourceType", "The source and destination resource type must be identical.")
	case old != nil && old.dir && len(old.children) > 0:
		return azurefake.Refuse(409, "DirectoryNotEmpty", "The destination directory is not empty.")
	}
	if err := c.describe(src); err != nil {
		return err
	}
	was, name := split(from)
	delete(c.s.filesystems[fs].find(was).children, name)
	above.children[base] = src
	if c.s.QuietRename {
		return c.done(nil, 201)
	}
	return c.done(src, 201)
}

func (c *call) delete([]byte) *azurefake.Error {
	n := c.s.filesystems[c.fs].find(c.path)
	if n == nil {
		return errNotFound
	}
	if err := c.conditions(n, "", "ConditionNotMet"); err != nil {
		return err
	}
	if n.dir && len(n.children) > 0 && c.q.Get("recursive") != "true" {
		return azurefake.Refuse(409, "DirectoryNotEmpty", "The recursive query parameter value must be true to delete a non-empty directory.")
	}
	dir, base := split(c.path)
	above := c.s.filesystems[c.fs].find(dir)
	delete(above.children, base)
	c.s.touch(above)
	return c.done(nil, 200)
}
