package adls

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

// clean is what the service makes of a path: a backslash is a slash, empty segments are dropped. So a client that does not
// refuse them would see two names merged here too.
func clean(path string) (string, *azurefake.Error) {
	bad := func() (string, *azurefake.Error) {
		return "", azurefake.Refuse(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
	}
	if len(utf16.Encode([]rune(path))) > 1024 {
		return bad()
	}
	var out []string
	for _, seg := range strings.Split(strings.ReplaceAll(path, `\`, "/"), "/") {
		switch {
		case seg == "":
			continue
		case seg == ".", seg == "..":
			return "", azurefake.Refuse(400, "InvalidUri", "The request URI is invalid.")
		case len(utf16.Encode([]rune(seg))) > 255:
			return bad()
		}
		for _, r := range seg {
			if r < ' ' || r == 0x7f {
				return bad()
			}
		}
		out = append(out, strings.TrimRight(seg, "."))
	}
	return strings.Join(out, "/"), nil
}

// find returns the node at a path, or nil.
func (n *node) find(path string) *node {
	if path == "" || n == nil {
		return n
	}
	for _, seg := range strings.Split(path, "/") {
		if n = n.children[seg]; n == nil {
			return nil
		}
	}
	return n
}

func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

var errConflict = azurefake.Refuse(409, "PathConflict", "The specified path, or an element of the path, exists and its resource type is invalid for this operation.")

// makeDirs returns the directory at a path, made with those above it. Each takes over the default entries of the ACL
// above.
func (c *call) makeDirs(path string) (*node, *azurefake.Error) {
	n := c.s.filesystems[c.fs]
	if path == "" {
		return n, nil
	}
	for _, seg := range strings.Split(path, "/") {
		next := n.children[seg]
		if next == nil {
			next = c.s.newNode(true)
			next.inherit(n)
			n.children[seg] = next
			c.s.touch(n)
		}
		if !next.dir {
			return nil, errConflict
		}
		n = next
	}
	return n, nil
}

func (n *node) inherit(above *node) {
	for _, e := range above.acl {
		if entry, ok := strings.CutPrefix(e, "default:"); ok {
			n.acl = append(n.acl, entry)
			if n.dir {
				n.acl = append(n.acl, e)
			}
		}
	}
}

func (n *node) accessList() string {
	if len(n.acl) > 0 {
		return strings.Join(n.acl, ",")
	}
	return fmt.Sprintf("user::%s,group::%s,other::%s", n.perms[:3], n.perms[3:6], n.perms[6:9])
}

// conditions checks If-Match and If-None-Match, with a prefix for those of a source.
func (c *call) conditions(n *node, prefix, code string) *azurefake.Error {
	h := c.r.Header
	match, none := h.Get(prefix+"If-Match"), h.Get(prefix+"If-None-Match")
	tag := ""
	if n != nil {
		tag = `"` + n.etag + `"`
	}
	switch {
	case match != "" && (n == nil || match != "*" && match != tag):
	case none == "*" && n != nil && code == "ConditionNotMet" && c.r.Method == "PUT":
		return azurefake.Refuse(409, "PathAlreadyExists", "The specified path already exists.")
	case none != "" && n != nil && (none == "*" || none == tag):
		if c.r.Method == "GET" || c.r.Method == "HEAD" {
			return azurefake.Refuse(304, code, "The condition specified using HTTP conditional header(s) is not met.")
		}
	default:
		return nil
	}
	return azurefake.Refuse(412, code, "The condition specified using HTTP conditional header(s) is not met.")
}

// describe takes over the content headers and properties of a request. all replaces what is there.
func (c *call) describe(n *node) *azurefake.Error {
	for _, name := range contentHeaders {
		if v := c.r.Header.Get("x-ms-" + name); v != "" {
			n.header[name] = v
		}
	}
	if v := c.r.Header.Get("x-ms-content-md5"); v != "" {
		if b, err := base64.StdEncoding.DecodeString(v); err != nil || len(b) != 16 {
			return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: x-ms-content-md5.")
		}
		n.header["Content-MD5"] = v
	}
	v := c.r.Header.Get("x-ms-properties")
	if v == "" {
		return nil
	}
	props := map[string]string{}
	for _, pair := range strings.Split(v, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		b, err := base64.StdEncoding.DecodeString(value)
		if !ok || name == "" || err != nil {
			return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: x-ms-properties.")
		}
		for _, x := range b {
			if x < ' ' || x > 0x7e {
				return azurefake.Refuse(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format: x-ms-properties.")
			}
		}
		if props[name] != "" || !identifier(name) {
			return azurefake.Refuse(400, "InvalidMetadata", "The metadata specified is invalid. It has characters that are not permitted.")
		}
		props[name] = value
	}
	n.props = props
	return nil
}

func identifier(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
