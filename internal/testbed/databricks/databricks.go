// Package databricks is a protocol fake of a Databricks workspace for tests: the Files API 2.0 of Unity Catalog volumes,
// the DBFS API 2.0, the workspace's OIDC endpoint, and the cloud storage that presigned URLs lead to, which stands on a
// host of its own. It verifies what the service verifies: the bearer token of each request, that storage gets none, the
// signature, expiry and headers of presigned URLs, limits, paths, parents, overwriting, and it fails in the service's form.
// What it takes is checked by Databricks's own Python SDK in judge_test.go.
//
// Sources: the REST API reference (Files, DBFS), and the Files API clients of Databricks's SDKs for Python and Go.
package databricks

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// The limits of the service.
const (
	MaxPut   = 5 << 30 // bytes of a single request
	MinPart  = 5 << 20 // of all parts but the last, as S3 has it
	MaxPage  = 1000
	MaxBlock = 1 << 20 // of DBFS
)

// Server is the fake. It is the http.Handler of the workspace; Storage is that of the cloud's storage. Set the exported
// fields before the first request.
type Server struct {
	StorageURL string        // where Storage listens
	Resumable  bool          // uploads have GCP's form
	Blocked    bool          // storage answers 403 to everything: a network that may not reach it
	NoURLs     string        // reason for which presigned URLs are refused, such as FILES_API_API_IS_NOT_ENABLED
	URLLife    time.Duration // of presigned URLs; 0 means as asked
	Page       int           // entries of a page of a directory; 0 means as asked
	Persist    int           // bytes of a chunk of GCP's form that are kept at most, in multiples of 256 KiB; 0 means all

	mu      sync.Mutex
	tokens  map[string]bool
	secrets map[string]string          // of service principals, by client id
	tree    map[string]*node           // by absolute path; DBFS's begin with "dbfs:", which is its top
	names   map[string]map[string]bool // the paths in each folder
	uploads map[string]*upload
	handles map[int64]*handle
	serial  int64
	silent  int    // that many writes answer well and store nothing
	key     string // signs URLs
}

type node struct {
	dir      bool
	data     []byte
	modified time.Time
}

type upload struct {
	path      string
	overwrite bool
	parts     map[int]part
	data      []byte // of the resumable form
	done      bool
}

type part struct {
	data []byte
	etag string
}

type handle struct {
	path string
	data []byte
}

// New returns a fake with the volume /Volumes/main/default/vol, an empty DBFS, and nobody who may use it.
func New() *Server {
	s := &Server{tokens: map[string]bool{}, secrets: map[string]string{}, tree: map[string]*node{}, names: map[string]map[string]bool{}, uploads: map[string]*upload{}, handles: map[int64]*handle{}, key: rand.Text()}
	s.Volume("/Volumes/main/default/vol")
	s.set("dbfs:", &node{dir: true, modified: time.Now()})
	return s
}

// Volume makes a volume.
func (s *Server) Volume(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; p != "/"; p = path.Dir(p) {
		s.set(p, &node{dir: true, modified: time.Now()})
	}
}

// set and drop change the tree. The caller holds the lock.
func (s *Server) set(p string, n *node) {
	s.tree[p] = n
	dir := path.Dir(p)
	if s.names[dir] == nil {
		s.names[dir] = map[string]bool{}
	}
	s.names[dir][p] = true
}

func (s *Server) drop(p string) {
	delete(s.tree, p)
	delete(s.names[path.Dir(p)], p)
	if len(s.names[p]) == 0 {
		delete(s.names, p)
	}
}

// Allow lets a token in.
func (s *Server) Allow(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = true
}

// Revoke lets a token in no more.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// Principal lets a service principal get tokens.
func (s *Server) Principal(id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[id] = secret
}

// FailSilently makes the next n writes of files in volumes answer well and store nothing.
func (s *Server) FailSilently(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = n
}

// ExpireHandles ends the handles of DBFS, as ten idle minutes do.
func (s *Server) ExpireHandles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.handles)
}

// Uploads returns how many uploads are neither completed nor aborted.
func (s *Server) Uploads() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.uploads {
		if !u.done {
			n++
		}
	}
	return n + len(s.handles)
}

// failure is an error of the service.
type failure struct {
	status                int
	code, message, reason string
}

func fail(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// call is a request under way.
type call struct {
	s *Server
	w http.ResponseWriter
	r *http.Request
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s, w, r}
	w.Header().Set("X-Databricks-Request-Id", rand.Text())
	f := c.route()
	if f == nil {
		return
	}
	x := map[string]any{"error_code": f.code, "message": f.message}
	if f.reason != "" {
		x["details"] = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": f.reason, "domain": "filesystem.databricks.com"}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	if r.Method != "HEAD" {
		json.NewEncoder(w).Encode(x)
	}
}

func (c *call) route() *failure {
	p := c.r.URL.Path
	if p == "/oidc/v1/token" {
		return c.token()
	}
	if strings.HasPrefix(p, "/oidc/.well-known/") {
		base := "http://" + c.r.Host
		return c.answer(map[string]any{"authorization_endpoint": base + "/oidc/v1/authorize", "token_endpoint": base + "/oidc/v1/token"})
	}
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	c.s.mu.Lock()
	known := c.s.tokens[token]
	c.s.mu.Unlock()
	if !ok || !known {
		return fail(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
	}
	switch {
	case strings.HasPrefix(p, "/api/2.0/fs/files/"):
		return c.file(strings.TrimPrefix(p, "/api/2.0/fs/files"))
	case strings.HasPrefix(p, "/api/2.0/fs/directories/"):
		return c.directory(strings.TrimPrefix(p, "/api/2.0/fs/directories"))
	case strings.HasPrefix(p, "/api/2.0/fs/create-") && c.r.Method == "POST":
		return c.presign(strings.TrimPrefix(p, "/api/2.0/fs/"))
	case strings.HasPrefix(p, "/api/2.0/dbfs/"):
		return c.dbfs(strings.TrimPrefix(p, "/api/2.0/dbfs/"))
	}
	return fail(404, "ENDPOINT_NOT_FOUND", "No API found for '%s %s'", c.r.Method, p)
}

// token is the client credentials grant of RFC 6749. Name and secret are taken as that has them, form-encoded, as
// Databricks's SDK for Go sends them, and as they are, as that for Python does.
func (c *call) token() *failure {
	id, secret, ok := c.r.BasicAuth()
	plain, _ := url.QueryUnescape(secret)
	c.s.mu.Lock()
	want, known := c.s.secrets[id]
	c.s.mu.Unlock()
	c.r.ParseForm()
	c.w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok || !known || want != secret && want != plain:
		c.w.WriteHeader(401)
		c.w.Write([]byte(`{"error":"invalid_client","error_description":"Client authentication failed"}`))
		return nil
	case c.r.Method != "POST" || c.r.PostForm.Get("grant_type") != "client_credentials" || c.r.PostForm.Get("scope") != "all-apis":
		c.w.WriteHeader(400)
		c.w.Write([]byte(`{"error":"invalid_request"}`))
		return nil
	}
	t := "oidc-" + rand.Text()
	c.s.Allow(t)
	return c.answer(map[string]any{"access_token": t, "token_type": "Bearer", "expires_in": 3600, "scope": "all-apis"})
}

func (c *call) answer(v any) *failure {
	b, _ := json.Marshal(v)
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	c.w.Write(b)
	return nil
}

// valid checks a path of a volume.
func valid(p string) *failure {
	parts := strings.Split(strings.TrimPrefix(strings.TrimSuffix(p, "/"), "/"), "/")
	if len(parts) < 4 || parts[0] != "Volumes" {
		return fail(400, "INVALID_PARAMETER_VALUE", "Invalid path: unsupported first path component or too few: a path has the form /Volumes/catalog/schema/volume/path")
	}
	for _, x := range parts {
		if x == "" || x == "." || x == ".." || len(x) > 255 || !utf8.ValidString(x) || strings.ContainsFunc(x, func(r rune) bool { return r < 32 || r == 127 }) {
			return fail(400, "INVALID_PARAMETER_VALUE", "Invalid path")
		}
	}
	return nil
}

// parent checks that the folder of a path is there. The caller holds the lock.
func (s *Server) parent(p string) *failure {
	dir := path.Dir(p)
	if n := s.tree[dir]; n != nil && n.dir {
		return nil
	}
	for d := dir; d != "/" && d != "." && d != "dbfs:"; d = path.Dir(d) {
		if n := s.tree[d]; n != nil && !n.dir {
			return fail(409, "ALREADY_EXISTS", "A part of the path is a file")
		}
	}
	return fail(404, "NOT_FOUND", "The parent directory does not exist")
}
