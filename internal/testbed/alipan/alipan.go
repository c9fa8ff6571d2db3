// Package alipan is a protocol fake of Alipan (Aliyun Drive), for tests: no server of that protocol can be had. It speaks
// the web API that the service's own pages use, and the open API for registered programs, over one drive, and the storage
// (Aliyun OSS) that addresses of both lead to. It verifies what the service verifies: access tokens and their end, refresh
// tokens that are good once, the signature of a device's session, presigned addresses and their end, the referring page,
// the order of parts, their least size, and proofs of possession. It fails in the service's form. What it takes is checked
// by AliPCS-Py in judge_test.go, and where that has no call (writes by the open API) by a client in Python of our own.
//
// Sources: AliPCS-Py 0.8.1, aligo 6.2.8, OpenDAL's service aliyun_drive, AList's drivers aliyundrive and aliyundrive_open,
// the open API's own pages (yuque.com/aliyundrive/zpfszx), the error texts that users reported to tickstep/aliyunpan, and
// the API reference of Aliyun OSS. Where these are silent, the fake takes the way that is worse for a client, and says so.
package alipan

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The limits of the service.
const (
	MaxRange = 50 << 20  // bytes of one download request
	MaxParts = 10_000    // of one upload
	MinPart  = 100 << 10 // bytes of all parts but the last (OSS)
	MaxPart  = 5 << 30   // bytes of a part (OSS)
	MaxName  = 1024      // bytes
	maxPage  = 200       // of a listing
	maxBatch = 100
)

// The account that the fake holds.
const (
	UserID        = "user-0123456789abcdef"
	DeviceID      = "device-0123456789abcdef"
	DriveID       = "1000001" // the default drive
	ResourceDrive = "1000002"
	BackupDrive   = "1000003"
	ClientID      = "client-0123456789abcdef" // of the open API
	ClientSecret  = "client-secret-0123456789abcdef"
)

// Server is the fake. It is an http.Handler: give it to httptest or to package faults.
type Server struct {
	Now     func() time.Time
	Life    time.Duration // of an access token
	URLLife time.Duration // of an address
	// Requests counts requests that were let in, by path; Refused those that were not, by code.
	Requests, Refused sync.Map
	// Busy is how many of the next requests of the API are answered with 429.
	Busy atomic.Int64

	mu       sync.Mutex
	key      []byte // addresses are signed with it
	web      grant
	open     grant
	access   map[string]*access
	sessions map[string]string // by device: the signature
	nodes    map[string]*node
	kids     map[string]map[*node]bool // what lies in a folder, by drive and id
	serial   int
}

// grant is who may refresh: one refresh token is good at a time, once.
type grant struct{ refresh string }

// access is an access token.
type access struct {
	web     bool
	expires time.Time
}

// New returns a fake with an empty drive.
func New() *Server {
	s := &Server{Now: time.Now, Life: 2 * time.Hour, URLLife: 4 * time.Hour, key: []byte(rand.Text()), access: map[string]*access{}, sessions: map[string]string{}, nodes: map[string]*node{}, kids: map[string]map[*node]bool{}}
	s.web.refresh, s.open.refresh = "web-"+rand.Text(), "open-"+rand.Text()
	for _, d := range []string{DriveID, ResourceDrive, BackupDrive} {
		s.nodes[rootOf(d)] = &node{id: "root", drive: d, folder: true}
	}
	return s
}

// WebToken returns the refresh token of the web API that is good now.
func (s *Server) WebToken() string { s.mu.Lock(); defer s.mu.Unlock(); return s.web.refresh }

// OpenToken returns the refresh token of the open API that is good now.
func (s *Server) OpenToken() string { s.mu.Lock(); defer s.mu.Unlock(); return s.open.refresh }

// Expire ends all access tokens.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// Forget ends all sessions of devices.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Count returns how many requests of a path were let in.
func (s *Server) Count(path string) int64 { return load(&s.Requests, path) }

func load(m *sync.Map, key string) int64 {
	n, ok := m.Load(key)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func add(m *sync.Map, key string) {
	n, _ := m.LoadOrStore(key, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// failure is an error of the service.
type failure struct {
	status        int
	code, message string
	more          map[string]any
}

func fail(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// call is a request under way.
type call struct {
	s   *Server
	w   http.ResponseWriter
	r   *http.Request
	web bool
	in  input
	// who asked
	token string
}

// input is what bodies of requests have, all operations together.
type input struct {
	DriveID       string `json:"drive_id"`
	FileID        string `json:"file_id"`
	ParentFileID  string `json:"parent_file_id"`
	ToParent      string `json:"to_parent_file_id"`
	ToDrive       string `json:"to_drive_id"`
	FilePath      string `json:"file_path"`
	Name          string `json:"name"`
	NewName       string `json:"new_name"`
	Type          string `json:"type"`
	CheckNameMode string `json:"check_name_mode"`
	AutoRename    bool   `json:"auto_rename"`
	Size          *int64 `json:"size"`
	PreHash       string `json:"pre_hash"`
	ContentHash   string `json:"content_hash"`
	HashName      string `json:"content_hash_name"`
	ProofCode     string `json:"proof_code"`
	ProofVersion  string `json:"proof_version"`
	UploadID      string `json:"upload_id"`
	Marker        string `json:"marker"`
	Limit         *int   `json:"limit"`
	ExpireSec     int    `json:"expire_sec"`
	PartMarker    any    `json:"part_number_marker"`
	Parts         []struct {
		PartNumber int `json:"part_number"`
	} `json:"part_info_list"`
	Requests []struct {
		ID, Method, URL string
		Body            json.RawMessage
	} `json:"requests"`
	RefreshToken string `json:"refresh_token"`
	GrantType    string `json:"grant_type"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PubKey       string `json:"pubKey"`
	DeviceName   string `json:"deviceName"`
	ModelName    string `json:"modelName"`
}

// operation is one call of the API: what does it, and whether the web API wants the signature of the device for it.
type operation struct {
	do     func(*call) *failure
	signed bool
}

var webAPI = map[string]operation{
	"/v2/user/get":                          {(*call).user, false},
	"/v2/file/get":                          {(*call).get, true},
	"/v2/file/get_by_path":                  {(*call).getByPath, true},
	"/adrive/v3/file/list":                  {(*call).list, true},
	"/v2/file/get_download_url":             {(*call).downloadURL, true},
	"/adrive/v2/file/createWithFolders":     {(*call).create, false},
	"/v2/file/get_upload_url":               {(*call).uploadURL, false},
	"/v2/file/list_uploaded_parts":          {(*call).uploadedParts, false},
	"/v2/file/complete":                     {(*call).complete, false},
	"/v2/recyclebin/trash":                  {(*call).trash, false},
	"/v3/file/delete":                       {(*call).remove, false},
	"/v3/file/update":                       {(*call).update, false},
	"/v3/batch":                             {(*call).batch, false},
	"/users/v1/users/device/create_session": {(*call).createSession, false},
}

var openAPI = map[string]operation{
	"/adrive/v1.0/user/getDriveInfo":          {(*call).user, false},
	"/adrive/v1.0/openFile/get":               {(*call).get, false},
	"/adrive/v1.0/openFile/get_by_path":       {(*call).getByPath, false},
	"/adrive/v1.0/openFile/list":              {(*call).list, false},
	"/adrive/v1.0/openFile/getDownloadUrl":    {(*call).downloadURL, false},
	"/adrive/v1.0/openFile/create":            {(*call).create, false},
	"/adrive/v1.0/openFile/getUploadUrl":      {(*call).uploadURL, false},
	"/adrive/v1.0/openFile/listUploadedParts": {(*call).uploadedParts, false},
	"/adrive/v1.0/openFile/complete":          {(*call).complete, false},
	"/adrive/v1.0/openFile/recyclebin/trash":  {(*call).trash, false},
	"/adrive/v1.0/openFile/delete":            {(*call).remove, false},
	"/adrive/v1.0/openFile/update":            {(*call).update, false},
	"/adrive/v1.0/openFile/move":              {(*call).move, false},
	"/adrive/v1.0/openFile/copy":              {(*call).copy, false},
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/oss/") {
		s.storage(w, r)
		return
	}
	w.Header().Set("x-ca-request-id", rand.Text())
	c := &call{s: s, w: w, r: r}
	f := c.route()
	if f == nil {
		return
	}
	add(&s.Refused, f.code)
	body := map[string]any{"code": f.code, "message": f.message, "display_message": ""}
	for k, v := range f.more {
		body[k] = v
	}
	c.reply(f.status, body)
}

func (c *call) route() *failure {
	r, path := c.r, c.r.URL.Path
	switch {
	case r.Method != "POST":
		return fail(405, "MethodNotAllowed", "The method is not allowed.")
	case r.Header.Get("User-Agent") == "":
		return fail(500, "InternalError", "java.lang.NullPointerException")
	}
	// A POST without parameters may come without a body.
	if err := json.NewDecoder(http.MaxBytesReader(c.w, r.Body, 4<<20)).Decode(&c.in); err != nil && err.Error() != "EOF" {
		return fail(400, "InvalidJson", "The body cannot be read: %v", err)
	}
	if c.s.Busy.Load() > 0 && c.s.Busy.Add(-1) >= 0 {
		if strings.HasPrefix(path, "/adrive/v1.0/") || path == "/oauth/access_token" {
			return fail(429, "TooManyRequests", "The request is too frequent.")
		}
		return fail(429, "ParamFlowException", "com.alibaba.csp.sentinel.slots.block.flow.param.ParamFlowException")
	}
	switch path {
	case "/token/refresh":
		return c.refreshWeb()
	case "/oauth/access_token":
		return c.refreshOpen()
	}
	op, ok := webAPI[path]
	c.web = ok
	if !ok {
		if op, ok = openAPI[path]; !ok {
			return fail(404, "NotFound", "There is no %s.", path)
		}
	}
	if f := c.authenticate(op.signed); f != nil {
		return f
	}
	add(&c.s.Requests, path)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return op.do(c)
}

// reply answers with JSON; a nil body with nothing.
func (c *call) reply(status int, v any) *failure {
	if v == nil {
		c.w.WriteHeader(status)
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fail(500, "InternalError", "%v", err)
	}
	c.w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	c.w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	c.w.WriteHeader(status)
	c.w.Write(b)
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
