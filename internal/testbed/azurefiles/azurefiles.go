// Package azurefiles stands in for Azure Files, of which there is no server to run: an account with shares over REST. It
// verifies signatures, checksums, names and the limits of ranges, takes names that differ in case for one, wants
// directories to exist, and answers in the service's forms, after
// https://learn.microsoft.com/rest/api/storageservices/file-service-rest-api. Microsoft's Python client and rclone check
// it.
package azurefiles

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

// Server is an account. Its URLs are those of an emulator: /ACCOUNT/SHARE/PATH.
type Server struct {
	azurefake.Account
	// MaxPage bounds pages of listings; 0 means 5000.
	MaxPage int
	// Shuffled lists in an order of its own, since the service promises none.
	Shuffled bool
	// Now is the clock of times of modification; nil means the real one.
	Now func() time.Time

	mu     sync.Mutex
	shares map[string]*node
	ids    int
}

// New returns an empty account.
func New(account, key string) *Server {
	return &Server{Account: azurefake.Account{Name: account, Key: key, Service: "f", Resource: "file", Intent: true}, shares: map[string]*node{}}
}

// node is a file or a directory.
type node struct {
	name     string
	id       string
	dir      bool
	parent   *node
	children map[string]*node // by folded name
	size     int64
	data     []byte // of what was written; zeros follow up to size
	header   map[string]string
	meta     map[string]string
	etag     string
	modified time.Time
	created  time.Time
	written  time.Time // last write, as SMB has it
}

const (
	maxRange = 4 << 20
	maxSize  = 4 << 40
	stamp    = "2006-01-02T15:04:05.0000000Z"
)

var contentHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

func (s *Server) newNode(name string, dir bool) *node {
	s.ids++
	n := &node{name: name, dir: dir, id: itoa(int64(s.ids) << 40), header: map[string]string{}, meta: map[string]string{}, created: s.now(), written: s.now()}
	if dir {
		n.children = map[string]*node{}
	}
	s.touch(n)
	return n
}

func (s *Server) touch(n *node) {
	n.etag, n.modified = azurefake.NewETag(), s.now().Truncate(time.Second)
}

// fold is what makes two names one: each character in upper case.
func fold(name string) string { return strings.Map(unicode.ToUpper, name) }

// find returns the node at a path, or nil.
func (n *node) find(path string) *node {
	if path == "" || n == nil {
		return n
	}
	for _, seg := range strings.Split(path, "/") {
		if n = n.children[fold(seg)]; n == nil {
			return nil
		}
	}
	return n
}

func (n *node) attach(above *node, name string) {
	n.name, n.parent = name, above
	above.children[fold(name)] = n
}

func (n *node) detach() { delete(n.parent.children, fold(n.name)) }

// Names returns the paths of all files of a share, as they are spelled.
func (s *Server) Names(share string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var walk func(n *node, at string)
	walk = func(n *node, at string) {
		for _, x := range n.children {
			if x.dir {
				out = append(out, at+x.name+"/")
				walk(x, at+x.name+"/")
			} else {
				out = append(out, at+x.name)
			}
		}
	}
	if n := s.shares[share]; n != nil {
		walk(n, "")
	}
	return out
}

// call is a request under way.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	q     url.Values
	share string
	path  string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	azurefake.Head(w, r)
	c := &call{s: s, w: w, r: r, q: r.URL.Query()}
	if err := c.serve(); err != nil {
		err.XML(w, r)
	}
}

func (c *call) serve() *azurefake.Error {
	account, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	if account != c.s.Name {
		return azurefake.Refuse(404, "ResourceNotFound", "The specified resource does not exist.")
	}
	c.share, c.path, _ = strings.Cut(rest, "/")
	handle, needs := c.route()
	if handle == nil {
		return azurefake.Refuse(400, "UnsupportedQueryParameter", "One of the query parameters specified in the request URI is not supported.")
	}
	path, bad := c.clean(c.path)
	if err := c.s.Check(c.r, needs, c.share, c.path); err != nil {
		return err
	}
	if c.path = path; bad != nil {
		return bad
	}
	body, err := azurefake.Body(c.w, c.r, maxRange)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.shares[c.share] == nil && !(c.path == "" && c.q.Get("restype") == "share" && c.r.Method == "PUT") {
		return azurefake.Refuse(404, "ShareNotFound", "The specified share does not exist.")
	}
	return handle(body)
}

// route finds what answers a request, and what a SAS must allow for it.
func (c *call) route() (func([]byte) *azurefake.Error, azurefake.Needs) {
	need := func(perms, kind string) azurefake.Needs { return azurefake.Needs{Perms: perms, Type: kind} }
	kind, comp := c.q.Get("restype"), c.q.Get("comp")
	switch m := c.r.Method; {
	case c.share == "":
	case kind == "share" && c.path == "" && comp == "":
		switch m {
		case "PUT":
			return c.createShare, need("cw", "c")
		case "DELETE":
			return c.deleteShare, need("d", "c")
		case "GET", "HEAD":
			return c.shareProperties, need("r", "c")
		}
	case kind == "directory" && comp == "list" && m == "GET":
		return c.list, need("l", "c")
	case comp == "rename" && m == "PUT" && (kind == "" || kind == "directory"):
		return c.rename, need("cw", "o")
	case kind == "directory" && comp == "" && m == "PUT":
		return c.createDir, need("cw", "o")
	case kind == "directory" && comp == "" && m == "DELETE":
		return c.deleteDir, need("d", "o")
	case kind == "directory" && comp == "" && (m == "GET" || m == "HEAD"):
		return c.dirProperties, need("r", "o")
	case kind != "" || c.path == "":
	case comp == "" && m == "PUT" && c.r.Header.Get("x-ms-type") != "":
		return c.create, need("cw", "o")
	case comp == "range" && m == "PUT":
		return c.putRange, need("w", "o")
	case comp == "properties" && m == "PUT":
		return c.setProperties, need("w", "o")
	case comp == "metadata" && m == "PUT":
		return c.setMetadata, need("w", "o")
	case comp == "" && m == "GET":
		return c.read, need("r", "o")
	case comp == "" && m == "HEAD":
		return c.properties, need("r", "o")
	case comp == "" && m == "DELETE":
		return c.delete, need("d", "o")
	}
	return nil, azurefake.Needs{}
}

// reserved names are those of devices: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-shares--directories--files--and-metadata.
const reserved = " CON PRN AUX NUL CLOCK$ COM1 COM2 COM3 COM4 COM5 COM6 COM7 COM8 COM9 LPT1 LPT2 LPT3 LPT4 LPT5 LPT6 LPT7 LPT8 LPT9 "

// clean checks the names of a path. Like the service it drops empty ones and dots at the end of a name, unless a request
// asks to keep these.
func (c *call) clean(path string) (string, *azurefake.Error) {
	bad := func() (string, *azurefake.Error) {
		return "", azurefake.Refuse(400, "InvalidFileOrDirectoryPathName", "The specified path or its names are invalid.")
	}
	if len(utf16.Encode([]rune(path))) > 2048 {
		return "", azurefake.Refuse(400, "FileOrDirectoryPathTooLong", "The specified path is too long.")
	}
	var out []string
	for _, seg := range strings.Split(path, "/") {
		if c.r.Header.Get("x-ms-allow-trailing-dot") != "true" {
			seg = strings.TrimRight(seg, ".")
		}
		if seg == "" {
			continue
		}
		if strings.ContainsAny(seg, "\"\\:|<>*?") || strings.Contains(reserved, " "+strings.ToUpper(seg)+" ") || len(utf16.Encode([]rune(seg))) > 255 || strings.Trim(seg, ".") == "" {
			return bad()
		}
		for _, r := range seg {
			if unicode.IsControl(r) || r == 0xfffe || r == 0xffff || r == 0xfffd {
				return bad()
			}
		}
		out = append(out, seg)
	}
	if len(out) > 250 {
		return bad()
	}
	return strings.Join(out, "/"), nil
}
