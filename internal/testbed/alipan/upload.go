package alipan

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// upload is a file in the making.
type upload struct {
	id    string
	mode  string // check_name_mode
	size  *int64 // as declared
	parts [][]byte
}

func (c *call) create() *failure {
	in := &c.in
	into, f := c.folder(in.DriveID, in.ParentFileID)
	if f != nil {
		return f
	}
	if f := checkName(in.Name); f != nil {
		return f
	}
	old := c.named(in.DriveID, into.id, in.Name)
	head := func(n *node) map[string]any {
		return map[string]any{"domain_id": "bj29", "drive_id": n.drive, "file_id": n.id, "file_name": n.name, "parent_file_id": n.parent, "type": in.Type, "encrypt_mode": "none"}
	}
	if in.Type == "folder" {
		if old != nil && in.CheckNameMode == "refuse" {
			m := head(old)
			m["exist"] = true
			return c.reply(201, m)
		}
		n := c.make(in.DriveID, into.id, in.Name)
		n.folder = true
		if old != nil && in.CheckNameMode != "ignore" {
			c.s.drop(n)
			name := c.free(into, in.Name)
			n = c.make(in.DriveID, into.id, name)
			n.folder = true
		}
		return c.reply(201, head(n))
	}
	if in.Type != "file" {
		return fail(400, "InvalidParameter.Type", "The input parameter type is not valid. ")
	}
	if old != nil && in.CheckNameMode == "refuse" {
		m := head(old)
		m["exist"], m["status"] = true, "available"
		return c.reply(201, m)
	}
	if in.PreHash != "" && in.ContentHash == "" && c.preHashed(in.PreHash) {
		f := fail(409, "PreHashMatched", "Pre hash matched.")
		f.more = map[string]any{"file_name": in.Name, "parent_file_id": in.ParentFileID, "pre_hash": in.PreHash}
		return f
	}
	if len(in.Parts) > MaxParts {
		return fail(400, "InvalidParameter.PartInfoList", "The input parameter part_info_list is not valid. ")
	}
	if in.Size != nil && (*in.Size < 0 || *in.Size > 1<<43) {
		return fail(400, "InvalidParameter.Size", "The input parameter size is not valid. ")
	}
	n := c.make(in.DriveID, into.id, in.Name)
	n.upload = &upload{id: strings.ToUpper(sha1Of([]byte(n.id))[:32]), mode: in.CheckNameMode, size: in.Size}
	if in.ContentHash != "" {
		done, f := c.rapid(n)
		if f != nil {
			c.s.drop(n)
			return f
		}
		if done {
			c.finish(n)
			m := head(n)
			m["rapid_upload"], m["upload_id"], m["part_info_list"] = true, "rapid-"+n.id[:8], []any{}
			return c.reply(201, m)
		}
	}
	m := head(n)
	m["rapid_upload"], m["upload_id"], m["location"], m["revision_id"] = false, n.upload.id, "cn-beijing", ""
	if len(in.Parts) == 0 {
		in.Parts = append(in.Parts, struct {
			PartNumber int `json:"part_number"`
		}{1})
	}
	if m["part_info_list"], f = c.partURLs(n); f != nil {
		return f
	}
	return c.reply(201, m)
}

// preHashed reports whether the first KiB of some file has a SHA-1.
func (c *call) preHashed(sum string) bool {
	for _, n := range c.s.nodes {
		if !n.folder && n.upload == nil && len(n.data) >= 1024 && strings.EqualFold(sha1Of(n.data[:1024]), sum) {
			return true
		}
	}
	return false
}

// rapid makes a file out of one that the service has, for who proves to have its bytes: eight of them, at a place that the
// access token says.
func (c *call) rapid(n *node) (bool, *failure) {
	in := &c.in
	for _, x := range c.s.nodes {
		if x.folder || x.upload != nil || !strings.EqualFold(x.hashed().sha1, in.ContentHash) || in.Size == nil || int64(len(x.data)) != *in.Size {
			continue
		}
		if in.HashName != "sha1" || in.ProofVersion != "v1" || in.ProofCode != proof(c.token, x.data) {
			return false, fail(400, "InvalidParameter.ProofCode", "The input parameter proof_code is not valid. ")
		}
		n.data = x.data
		return true, nil
	}
	return false, nil
}

func proof(token string, data []byte) string {
	if len(data) == 0 {
		return ""
	}
	sum := md5.Sum([]byte(token))
	var at uint64
	fmt.Sscanf(hex.EncodeToString(sum[:])[:16], "%x", &at)
	at %= uint64(len(data))
	return base64.StdEncoding.EncodeToString(data[at:min(at+8, uint64(len(data)))])
}

// uploading returns the file of an upload.
func (c *call) uploading() (*node, *failure) {
	n, f := c.find(c.in.DriveID, c.in.FileID)
	if f != nil {
		return nil, f
	}
	if n.upload == nil || n.upload.id != c.in.UploadID {
		return nil, fail(404, "NotFound.UploadId", "The resource upload_id cannot be found. The specified upload does not exist.")
	}
	return n, nil
}

func (c *call) uploadURL() *failure {
	n, f := c.uploading()
	if f != nil {
		return f
	}
	list, f := c.partURLs(n)
	if f != nil {
		return f
	}
	return c.reply(200, map[string]any{"domain_id": "bj29", "drive_id": n.drive, "file_id": n.id, "upload_id": n.upload.id, "part_info_list": list, "create_at": stamp(n.created)})
}

func (c *call) uploadedParts() *failure {
	n, f := c.uploading()
	if f != nil {
		return f
	}
	const page = 3 // small, so that clients come back
	from := 0
	fmt.Sscan(fmt.Sprint(c.in.PartMarker), &from)
	list := []any{}
	to := min(from+page, len(n.upload.parts))
	for i := from; i < to; i++ {
		sum := md5.Sum(n.upload.parts[i])
		list = append(list, map[string]any{"part_number": i + 1, "part_size": len(n.upload.parts[i]), "etag": `"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`})
	}
	next := ""
	if to < len(n.upload.parts) {
		next = fmt.Sprint(to)
	}
	return c.reply(200, map[string]any{"drive_id": n.drive, "file_id": n.id, "upload_id": n.upload.id, "parallel_upload": false, "uploaded_parts": list, "next_part_number_marker": next})
}

func (c *call) complete() *failure {
	n, f := c.uploading()
	if f != nil {
		return f
	}
	total := int64(0)
	for i, p := range n.upload.parts {
		if len(p) < MinPart && i < len(n.upload.parts)-1 {
			return fail(400, "InvalidParameter.PartSize", "EntityTooSmall: part %d has %d bytes", i+1, len(p))
		}
		total += int64(len(p))
	}
	if n.upload.size != nil && *n.upload.size != total {
		return fail(400, "InvalidParameter.SizeNotMatch", "The input parameter size is not valid. %d bytes were uploaded", total)
	}
	var data []byte
	for _, p := range n.upload.parts {
		data = append(data, p...)
	}
	n.data = data
	c.finish(n)
	m := n.describe(c.s, c.web)
	m["upload_id"] = c.in.UploadID
	return c.reply(200, m)
}

// finish shows a file under its name.
func (c *call) finish(n *node) {
	mode := n.upload.mode
	n.upload = nil
	n.updated = c.s.Now()
	for _, old := range c.children(n.drive, n.parent) {
		if old != n && old.name == n.name {
			switch mode {
			case "overwrite":
				old.trashed = true
				c.s.unlink(old)
			case "ignore":
			default:
				n.name = c.free(&node{drive: n.drive, id: n.parent}, n.name)
			}
		}
	}
}
