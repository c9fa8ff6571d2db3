// Package adls stands in for Azure Data Lake Storage Gen2, of which there is no server to run: an account with a
// hierarchical namespace. It verifies signatures, conditions, checksums, positions and limits, and answers in the
// service's forms, after https://learn.microsoft.com/rest/api/storageservices/data-lake-storage-gen2. It also answers the
// calls of the Blob service that Microsoft's Python client for data lakes makes, which checks it.
package adls

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/internal/testbed/azurefake"
)

// Server is an account. Its URLs are those of an emulator: /ACCOUNT/FILESYSTEM/PATH.
type Server struct {
	azurefake.Account
	// MaxAppend bounds one append, in bytes; 0 means the 100 MiB that every version of the service takes.
	MaxAppend int64
	// MaxPage bounds pages of listings; 0 means 5000.
	MaxPage int
	// Shuffled lists in an order of its own, since the service promises none.
	Shuffled bool
	// QuietRename answers renames without ETag and time.
	QuietRename bool
	// Flat says that the account has no hierarchical namespace.
	Flat bool
	// Now is the clock of times of modification; nil means the real one.
	Now func() time.Time

	mu          sync.Mutex
	filesystems map[string]*node
}

// New returns an empty account.
func New(account, key string) *Server {
	return &Server{Account: azurefake.Account{Name: account, Key: key, Service: "b", Resource: "blob"}, filesystems: map[string]*node{}}
}

// node is a file or a directory.
type node struct {
	dir      bool
	children map[string]*node
	data     []byte
	staged   map[int64][]byte // appended and not flushed, by position
	header   map[string]string
	props    map[string]string // base64
	etag     string
	modified time.Time
	created  time.Time
	acl      []string
	owner    string
	group    string
	perms    string
}

// content headers, by the name that reads answer with.
var contentHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}

const defaultPerms = "rw-r-----"

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) newNode(dir bool) *node {
	n := &node{dir: dir, header: map[string]string{}, props: map[string]string{}, owner: "$superuser", group: "$superuser", perms: defaultPerms, created: s.now()}
	if dir {
		n.children, n.perms = map[string]*node{}, "rwxr-x---"
	} else {
		n.staged = map[int64][]byte{}
	}
	s.touch(n)
	return n
}

func (s *Server) touch(n *node) {
	n.etag, n.modified = azurefake.NewETag(), s.now().UTC().Truncate(time.Second)
}

// call is a request under way.
type call struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	q    url.Values
	fs   string
	path string
}

// Staged returns how many bytes were appended to a file and not flushed, or -1 where there is none.
func (s *Server) Staged(fs, path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.filesystems[fs].find(path)
	if x == nil {
		return -1
	}
	for _, b := range x.staged {
		n += len(b)
	}
	return n
}

// ACL returns the access control list of a path.
func (s *Server) ACL(fs, path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.filesystems[fs].find(path); n != nil {
		return n.accessList()
	}
	return ""
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	azurefake.Head(w, r)
	c := &call{s: s, w: w, r: r, q: r.URL.Query()}
	if err := c.serve(); err != nil {
		if c.q.Has("restype") || c.q.Has("comp") {
			err.XML(w, r)
		} else {
			err.JSON(w, r)
		}
	}
}

func (c *call) serve() *azurefake.Error {
	account, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	if account != c.s.Name {
		return azurefake.Refuse(404, "ResourceNotFound", "The specified resource does not exist.")
	}
	var err *azurefake.Error
	c.fs, c.path, _ = strings.Cut(rest, "/")
	if c.path, err = clean(c.path); err != nil {
		return err
	}
	handle, needs := c.route()
	if handle == nil {
		return azurefake.Refuse(400, "UnsupportedQueryParameter", "One of the query parameters specified in the request URI is not supported.")
	}
	if err := c.s.Check(c.r, needs, c.fs, c.path); err != nil {
		return err
	}
	limit := c.s.MaxAppend
	if limit == 0 {
		limit = 100 << 20
	}
	body, err := azurefake.Body(c.w, c.r, limit)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.filesystems[c.fs] == nil && !(c.path == "" && c.r.Method == "PUT") {
		code := "FilesystemNotFound"
		if c.q.Has("restype") {
			code = "ContainerNotFound"
		}
		return azurefake.Refuse(404, code, "The specified filesystem does not exist.")
	}
	return handle(body)
}

// route finds what answers a request, and what a SAS must allow for it.
func (c *call) route() (func([]byte) *azurefake.Error, azurefake.Needs) {
	need := func(perms, kind string) azurefake.Needs { return azurefake.Needs{Perms: perms, Type: kind} }
	filesystem := c.q.Get("resource") == "filesystem" || c.q.Get("restype") == "container"
	action := c.q.Get("action")
	switch m := c.r.Method; {
	case c.fs == "":
		return nil, azurefake.Needs{}
	case c.path == "" && filesystem && m == "PUT" && !c.q.Has("comp"):
		return c.createFilesystem, need("cw", "c")
	case c.path == "" && filesystem && m == "DELETE":
		return c.deleteFilesystem, need("d", "c")
	case c.path == "" && filesystem && m == "GET" && c.q.Has("recursive"):
		return c.list, need("l", "c")
	case c.path == "" && filesystem && (m == "HEAD" || m == "GET") && !c.q.Has("comp"):
		return c.filesystemProperties, need("rl", "c")
	case c.path == "":
		return nil, azurefake.Needs{}
	case m == "PUT" && c.r.Header.Get("x-ms-rename-source") != "":
		return c.rename, need("cw", "o")
	case m == "PUT" && c.q.Get("resource") != "":
		return c.create, need("cw", "o")
	case m == "PATCH" && action == "append":
		return c.append, need("aw", "o")
	case m == "PATCH" && action == "flush":
		return c.flush, need("w", "o")
	case m == "PATCH" && (action == "setProperties" || action == "setAccessControl"):
		return c.set, need("wp", "o")
	case m == "GET" && !c.q.Has("comp"):
		return c.read, need("r", "o")
	case m == "HEAD":
		return c.properties, need("r", "o")
	case m == "DELETE":
		return c.delete, need("d", "o")
	}
	return nil, azurefake.Needs{}
}
