package alipan

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// node is a file or a folder.
type node struct {
	id, drive, parent, name string
	folder, trashed         bool
	created, updated        time.Time
	data                    []byte
	sums                    *sums   // of data, once they were asked for
	upload                  *upload // a file that is not complete
}

// sums are the checksums of a file.
type sums struct{ sha1, md5, crc string }

// hashed returns the checksums of a file. Data never changes once it is there.
func (n *node) hashed() *sums {
	if n.sums == nil {
		m := md5.Sum(n.data)
		n.sums = &sums{sha1Of(n.data), `"` + strings.ToUpper(hex.EncodeToString(m[:])) + `"`, fmt.Sprint(crc64.Checksum(n.data, ecma))}
	}
	return n.sums
}

var ecma = crc64.MakeTable(crc64.ECMA)

func rootOf(drive string) string { return drive + "/root" }

func sha1Of(b []byte) string { sum := sha1.Sum(b); return strings.ToUpper(hex.EncodeToString(sum[:])) }

func (n *node) describe(s *Server, web bool) map[string]any {
	m := map[string]any{"drive_id": n.drive, "domain_id": "bj29", "file_id": n.id, "name": n.name, "parent_file_id": n.parent, "created_at": stamp(n.created), "updated_at": stamp(n.updated),
		"hidden": false, "starred": false, "status": "available", "encrypt_mode": "none", "type": "folder"}
	if n.trashed {
		m["trashed"], m["parent_file_id"] = true, "recyclebin"
	}
	if n.folder {
		return m
	}
	if n.upload != nil {
		m["type"], m["status"], m["upload_id"] = "file", "uploading", n.upload.id
		return m
	}
	m["type"], m["size"], m["file_extension"], m["category"] = "file", len(n.data), strings.TrimPrefix(path.Ext(n.name), "."), "others"
	m["content_hash"], m["content_hash_name"] = n.hashed().sha1, "sha1"
	if web {
		m["crc64_hash"], m["content_type"], m["punish_flag"] = n.hashed().crc, "application/oct-stream", 0
	}
	return m
}

// find returns a node by its id, trashed or not.
func (c *call) find(drive, id string) (*node, *failure) {
	if drive == "" || c.s.nodes[rootOf(drive)] == nil {
		return nil, fail(404, "NotFound.Drive", "The resource drive cannot be found.")
	}
	n := c.s.nodes[drive+"/"+id]
	if n == nil {
		return nil, fail(404, "NotFound.File", "The resource file cannot be found. file not exist")
	}
	return n, nil
}

// folder returns a folder that is in the tree.
func (c *call) folder(drive, id string) (*node, *failure) {
	n, f := c.find(drive, id)
	switch {
	case f != nil:
		return nil, f
	case !n.folder:
		return nil, fail(400, "InvalidResource.ParentFileId", "The resource parent_file_id is not valid.")
	case !c.inTree(n):
		return nil, fail(404, "NotFound.File", "The resource file cannot be found. parent file not exist")
	}
	return n, nil
}

// inTree reports whether neither a node nor a folder above it lies in the recycle bin.
func (c *call) inTree(n *node) bool {
	for n != nil && !n.trashed {
		if n.id == "root" {
			return true
		}
		n = c.s.nodes[n.drive+"/"+n.parent]
	}
	return false
}

// children returns what lies in a folder, the oldest of one name first.
func (c *call) children(drive, id string) []*node {
	var out []*node
	for n := range c.s.kids[drive+"/"+id] {
		if n.upload == nil {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *node) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)), a.created.Compare(b.created), strings.Compare(a.id, b.id))
	})
	return out
}

// named returns the node of a name in a folder: of several the oldest, which is the worst for a client that replaces.
func (c *call) named(drive, id, name string) *node {
	var found *node
	for n := range c.s.kids[drive+"/"+id] {
		if n.upload == nil && n.name == name && (found == nil || cmp.Or(n.created.Compare(found.created), strings.Compare(n.id, found.id)) < 0) {
			found = n
		}
	}
	return found
}

// link and unlink put a node into its folder and take it out.
func (s *Server) link(n *node) {
	at := n.drive + "/" + n.parent
	if s.kids[at] == nil {
		s.kids[at] = map[*node]bool{}
	}
	s.kids[at][n] = true
}

func (s *Server) unlink(n *node) { delete(s.kids[n.drive+"/"+n.parent], n) }

func (c *call) get() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	if f != nil {
		return f
	}
	m := n.describe(c.s, c.web)
	if !n.folder && n.upload == nil {
		m["url"] = c.address(n, 0)
	}
	return c.reply(200, m)
}

func (c *call) getByPath() *failure {
	if !strings.HasPrefix(c.in.FilePath, "/") {
		return fail(400, "InvalidParameter.FilePath", "The input parameter file_path is not valid. ")
	}
	n, f := c.find(c.in.DriveID, "root")
	if f != nil {
		return f
	}
	for _, name := range strings.Split(strings.Trim(c.in.FilePath, "/"), "/") {
		if name == "" {
			continue
		}
		if n = c.named(n.drive, n.id, name); n == nil {
			return fail(404, "NotFound.File", "The resource file cannot be found. file not exist")
		}
	}
	return c.reply(200, n.describe(c.s, c.web))
}

func (c *call) list() *failure {
	limit := 50
	if c.in.Limit != nil {
		limit = *c.in.Limit
	}
	if limit < 1 || limit > maxPage {
		return fail(400, "InvalidParameter.Limit", "The input parameter limit is not valid. limit must be between 1 and %d", maxPage)
	}
	if _, f := c.folder(c.in.DriveID, c.in.ParentFileID); f != nil {
		return f
	}
	all := c.children(c.in.DriveID, c.in.ParentFileID)
	from := 0
	if c.in.Marker != "" {
		if _, err := fmt.Sscanf(c.in.Marker, "m%d", &from); err != nil || from > len(all) {
			return fail(400, "InvalidParameter.Marker", "The input parameter marker is not valid. ")
		}
	}
	to := min(from+limit, len(all))
	items, next := []any{}, ""
	for _, n := range all[from:to] {
		m := n.describe(c.s, c.web)
		if !n.folder {
			m["url"] = c.address(n, 0)
		}
		items = append(items, m)
	}
	if to < len(all) {
		next = fmt.Sprintf("m%d", to)
	}
	return c.reply(200, map[string]any{"items": items, "next_marker": next, "punished_file_count": 0})
}

func (c *call) trash() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	switch {
	case f != nil:
		return f
	case n.id == "root":
		return fail(400, "InvalidParameter.FileId", "The root cannot be trashed.")
	case n.trashed:
		return fail(404, "NotFound.File", "The resource file cannot be found. file in recyclebin")
	}
	n.trashed = true
	c.s.unlink(n)
	return c.gone()
}

// remove deletes for good, files in the making too.
func (c *call) remove() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	switch {
	case f != nil:
		return f
	case n.id == "root":
		return fail(400, "InvalidParameter.FileId", "The root cannot be deleted.")
	}
	c.s.drop(n)
	return c.gone()
}

func (s *Server) drop(n *node) {
	delete(s.nodes, n.drive+"/"+n.id)
	s.unlink(n)
	for child := range s.kids[n.drive+"/"+n.id] {
		s.drop(child)
	}
}

func (c *call) gone() *failure {
	if c.web {
		return c.reply(204, nil)
	}
	return c.reply(200, map[string]any{"domain_id": "bj29", "drive_id": c.in.DriveID, "file_id": c.in.FileID, "async_task_id": ""})
}

func (c *call) update() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	if f != nil {
		return f
	}
	if f := checkName(c.in.Name); f != nil {
		return f
	}
	if old := c.named(n.drive, n.parent, c.in.Name); old != nil && old != n && c.in.CheckNameMode != "ignore" {
		return fail(409, "AlreadyExist.File", "The resource file has already exists. drive has the same file")
	}
	n.name, n.updated = c.in.Name, c.s.Now()
	return c.reply(200, n.describe(c.s, c.web))
}

// place puts a node into a folder under a name, as far as the names that are there allow.
func (c *call) place(n *node, into *node, name, mode string) *failure {
	if old := c.named(into.drive, into.id, name); old != nil && old != n {
		switch mode {
		case "ignore":
		case "auto_rename":
			name = c.free(into, name)
		default:
			return fail(409, "AlreadyExist.File", "The resource file has already exists. drive has the same file")
		}
	}
	c.s.unlink(n)
	n.parent, n.name = into.id, name
	c.s.link(n)
	return nil
}

// free returns a name that nothing in a folder has.
func (c *call) free(into *node, name string) string {
	ext := path.Ext(name)
	for i := 1; ; i++ {
		if other := fmt.Sprintf("%s(%d)%s", strings.TrimSuffix(name, ext), i, ext); c.named(into.drive, into.id, other) == nil {
			return other
		}
	}
}

func (c *call) move() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	switch {
	case f != nil:
		return f
	case n.trashed:
		return fail(404, "NotFound.File", "The resource file cannot be found. file in recyclebin")
	}
	into, f := c.folder(c.in.DriveID, c.in.ToParent)
	if f != nil {
		return f
	}
	// The open API takes new_name only where the name is taken, so that it cannot be relied upon.
	if f := c.place(n, into, n.name, cmp.Or(c.in.CheckNameMode, map[bool]string{true: "auto_rename"}[c.in.AutoRename], "refuse")); f != nil {
		return f
	}
	n.updated = c.s.Now()
	return c.reply(200, map[string]any{"domain_id": "bj29", "drive_id": n.drive, "file_id": n.id})
}

func (c *call) copy() *failure {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	switch {
	case f != nil:
		return f
	case n.folder || n.upload != nil || !c.inTree(n):
		return fail(404, "NotFound.File", "The resource file cannot be found. file not exist")
	}
	into, f := c.folder(cmp.Or(c.in.ToDrive, c.in.DriveID), c.in.ToParent)
	if f != nil {
		return f
	}
	x := c.make(into.drive, into.id, n.name)
	x.data, x.sums = n.data, n.sums
	if f := c.place(x, into, n.name, map[bool]string{true: "auto_rename", false: "refuse"}[c.in.AutoRename]); f != nil {
		c.s.drop(x)
		return f
	}
	return c.reply(201, map[string]any{"domain_id": "bj29", "drive_id": x.drive, "file_id": x.id})
}

// make makes an empty node.
func (c *call) make(drive, parent, name string) *node {
	c.s.serial++
	now := c.s.Now()
	n := &node{id: fmt.Sprintf("%024x%s", c.s.serial, sha1Of([]byte(fmt.Sprint(c.s.serial, c.s.key)))[:16]), drive: drive, parent: parent, name: name, created: now, updated: now}
	c.s.nodes[drive+"/"+n.id] = n
	c.s.link(n)
	return n
}

// batch does several operations of the web API; each has a status of its own.
func (c *call) batch() *failure {
	if len(c.in.Requests) == 0 || len(c.in.Requests) > maxBatch {
		return fail(400, "InvalidParameter.Requests", "The input parameter requests is not valid. ")
	}
	ops := map[string]func(*call) *failure{"/file/move": (*call).move, "/file/copy": (*call).copy, "/recyclebin/trash": (*call).trash, "/file/delete": (*call).remove}
	out := []any{}
	for _, r := range c.in.Requests {
		one := map[string]any{"id": r.ID}
		w := &held{header: http.Header{}}
		x := &call{s: c.s, w: w, r: c.r, web: true, token: c.token}
		var f *failure
		if op := ops[r.URL]; op == nil || r.Method != "POST" {
			f = fail(404, "NotFound", "There is no %s.", r.URL)
		} else if err := json.Unmarshal(r.Body, &x.in); err != nil {
			f = fail(400, "InvalidJson", "The body cannot be read: %v", err)
		} else {
			f = op(x)
		}
		if f != nil {
			one["status"], one["body"] = f.status, map[string]any{"code": f.code, "message": f.message}
		} else if one["status"] = w.status; w.Len() > 0 {
			one["body"] = json.RawMessage(bytes.Clone(w.Bytes()))
		}
		out = append(out, one)
	}
	return c.reply(200, map[string]any{"responses": out})
}

// held is a reply that is part of another.
type held struct {
	bytes.Buffer
	header http.Header
	status int
}

func (h *held) Header() http.Header    { return h.header }
func (h *held) WriteHeader(status int) { h.status = status }

func checkName(s string) *failure {
	if s == "" || len(s) > MaxName || strings.HasSuffix(s, "/") || strings.Contains(s, "/") {
		return fail(400, "InvalidParameter.Name", "The input parameter name is not valid. ")
	}
	return nil
}
