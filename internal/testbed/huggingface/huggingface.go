// Package huggingface stands in for the Hugging Face hub where tests run: the endpoints by which repositories are listed
// and read, and the other host that holds the bytes of large files.
//
// Repositories are made with Commit, which keeps every commit that came before. As on the hub, small files are served by
// the hub itself, by way of a redirect within it, and large ones by a redirect to the other host with a signed address
// that ends; that host refuses requests that carry an Authorization header. The hub's own Python client judges all this:
// see judge_test.go.
//
// Sources: https://huggingface.co/docs/hub/api and the requests of huggingface_hub.
package huggingface

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a hub. Its zero value is not ready: see New.
type Server struct {
	Large    int // files of so many bytes and more lie on the other host; every second of them as the hub's Xet storage has it
	PageSize int // entries of a page of a tree; with details of each a twentieth of it

	// Leaks counts requests that brought a token to the other host.
	Leaks atomic.Int32

	mu      sync.Mutex
	repos   map[string]*repo // "datasets/org/name"
	moved   map[string]string
	tokens  map[string][]string // token -> repositories that it opens, by their keys
	content map[string][]byte   // of large files, by SHA-256
	other   string
	secret  []byte
	now     func() time.Time
}

// repo is one repository.
type repo struct {
	id             string
	private, gated bool
	commits        []*commit // oldest first
	branches       map[string]*commit
}

// commit is a state of a repository.
type commit struct {
	id, title string
	date      time.Time
	files     map[string]*file
}

// file is a file at a commit.
type file struct {
	oid     string // git's id of the blob, or of the pointer to a large file
	sha256  string // of a large file
	xet     bool
	size    int64
	content []byte // of a small file
	changed *commit
}

// etag is what the hub calls the content by.
func (f *file) etag() string {
	if f.sha256 != "" {
		return f.sha256
	}
	return f.oid
}

// New returns a hub without repositories, whose large files lie at other, the URL of a server of Storage.
func New() *Server {
	s := &Server{Large: 1 << 20, PageSize: 1000, repos: map[string]*repo{}, moved: map[string]string{}, tokens: map[string][]string{}, content: map[string][]byte{},
		secret: make([]byte, 32), now: time.Now}
	rand.Read(s.secret)
	return s
}

// At says at which URL Storage is served.
func (s *Server) At(other string) { s.other = other }

// Allow makes a token known, which opens the private and gated repositories that are named: "datasets/org/name".
func (s *Server) Allow(token string, repos ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = repos
}

// Restrict makes a repository private, or one that asks for consent.
func (s *Server) Restrict(key string, private, gated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[key].private, s.repos[key].gated = private, gated
}

// Move gives a repository another name; the old one leads to it.
func (s *Server) Move(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[to], s.moved[from] = s.repos[from], to
	s.repos[to].id = to[strings.IndexByte(to, '/')+1:]
	delete(s.repos, from)
}

// Commit adds a commit to a branch of a repository, "models/org/name" or with datasets or spaces, and makes both when
// they are not there. A file of nil is taken away. It returns the commit's id.
func (s *Server) Commit(key, branch string, files map[string][]byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[key]
	if r == nil {
		r = &repo{id: key[strings.IndexByte(key, '/')+1:], branches: map[string]*commit{}}
		s.repos[key] = r
	}
	c := &commit{title: fmt.Sprintf("Commit %d", len(r.commits)+1), date: s.now().UTC().Truncate(time.Second).Add(time.Duration(len(r.commits)-1000) * time.Second), files: map[string]*file{}}
	parent := r.branches[branch]
	if parent == nil && len(r.commits) > 0 {
		parent = r.branches["main"]
	}
	if parent != nil {
		maps.Copy(c.files, parent.files)
	}
	h := sha1.New()
	fmt.Fprint(h, key, len(r.commits), c.date.UnixNano())
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if files[path] == nil {
			delete(c.files, path)
			continue
		}
		f := s.file(path, files[path])
		f.changed = c
		c.files[path] = f
		fmt.Fprint(h, path, f.etag())
	}
	c.id = hex.EncodeToString(h.Sum(nil))
	r.commits = append(r.commits, c)
	r.branches[branch] = c
	return c.id
}

// file keeps the content of a file.
func (s *Server) file(path string, content []byte) *file {
	f := &file{size: int64(len(content)), oid: blob(content)}
	if len(content) < s.Large {
		f.content = content
		return f
	}
	sum := sha256.Sum256(content)
	f.sha256 = hex.EncodeToString(sum[:])
	f.xet = sum[0]%2 == 0
	f.oid = blob([]byte(pointer(f)))
	s.content[f.sha256] = content
	return f
}

// pointer is the text that stands in git for a large file.
func pointer(f *file) string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", f.sha256, f.size)
}

// blob is git's id of content.
func blob(content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// ServeHTTP is the hub.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Request-Id", "Root=1-"+rand.Text())
	token, ok := s.token(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	}
	// Segments stay escaped until they are known to be one name.
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	api := parts[0] == "api"
	if api {
		parts = parts[1:]
	}
	cached := api && len(parts) > 0 && parts[0] == "resolve-cache"
	if cached {
		parts = parts[1:]
	}
	kind := "models"
	if len(parts) > 0 && slices.Contains([]string{"models", "datasets", "spaces"}, parts[0]) {
		kind, parts = parts[0], parts[1:]
	} else if api {
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
		return
	}
	if len(parts) < 2 {
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
		return
	}
	key := kind + "/" + parts[0] + "/" + parts[1]
	if to := s.moved[key]; to != "" {
		u := *r.URL
		old, now := parts[0]+"/"+parts[1], to[strings.IndexByte(to, '/')+1:]
		w.Header().Set("Location", strings.Replace(u.RequestURI(), old, now, 1))
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	rp := s.repos[key]
	opens := slices.Contains(s.tokens[token], key)
	switch {
	case rp == nil && token == "", rp != nil && rp.private && token == "":
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
		return
	case rp == nil, rp.private && !opens:
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return
	}
	rest := parts[2:]
	switch {
	case cached:
		s.cache(w, r, rp, rest)
	case api:
		s.api(w, r, kind, rp, rest, token, opens)
	case len(rest) > 2 && rest[0] == "resolve":
		s.resolve(w, r, kind, rp, rest[1], rest[2:], token, opens)
	default:
		refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
	}
}

// token is that of a request, "" for none; ok is false when it is not known.
func (s *Server) token(r *http.Request) (token string, ok bool) {
	h := r.Header.Get("Authorization")
	if h == "" {
		return "", true
	}
	token, ok = strings.CutPrefix(h, "Bearer ")
	_, known := s.tokens[token]
	return token, ok && known
}

// refuse answers with an error as the hub does, in headers and in JSON.
func refuse(w http.ResponseWriter, status int, code, text string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", text)
	reply(w, status, map[string]string{"error": text})
}

// consent refuses who may see a repository and not read its files.
func consent(w http.ResponseWriter, rp *repo, token string, opens bool) bool {
	switch {
	case !rp.gated || opens:
		return true
	case token == "":
		refuse(w, http.StatusUnauthorized, "GatedRepo", "Access to "+rp.id+" is restricted. You must have access to it and be authenticated to access it. Please log in.")
	default:
		refuse(w, http.StatusForbidden, "GatedRepo", "Access to "+rp.id+" is restricted and you are not in the authorized list. Visit the page to ask for access.")
	}
	return false
}

// at finds the commit that a revision names, which is escaped as one segment.
func (rp *repo) at(w http.ResponseWriter, segment string) *commit {
	rev, err := url.PathUnescape(segment)
	if c := rp.branches[rev]; err == nil && c != nil {
		return c
	}
	for _, c := range rp.commits {
		if err == nil && len(rev) >= 7 && strings.HasPrefix(c.id, rev) {
			return c
		}
	}
	refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+rev)
	return nil
}

// signed is the address of a large file on the other host, which ends.
func (s *Server) signed(f *file) string {
	path := "/repos/" + f.sha256
	if f.xet {
		path = "/xet-bridge-us/" + f.sha256
	}
	q := fmt.Sprintf("Expires=%d", s.now().Add(time.Hour).Unix())
	return s.other + path + "?" + q + "&Signature=" + s.sign(path+"?"+q)
}

func (s *Server) sign(text string) string {
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}
