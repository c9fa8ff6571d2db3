package databricks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/databricksauth"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	fake "github.com/dsrun/dsrun/internal/testbed/databricks"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func TestProvider(t *testing.T) {
	providertest.Check(t, Provider())
	_, url, _ := workspace(t, nil)
	e := env(client1(t, httpclient.Options{}), nil)
	for _, path := range []string{volume, "dbfs:/x"} {
		e.Credential = token(providertest.CanaryText)
		providertest.Canary(t, Provider(), e, map[string]string{"host": fmt.Sprintf("%q", url), "path": fmt.Sprintf("%q", path)}, func(ctx context.Context, opened any) error {
			d := opened.(store.Driver)
			_, err := d.Put(ctx, "k", held("x"), store.PutOptions{})
			_, err2 := d.List(ctx, store.Query{})
			if err == nil || err2 == nil {
				t.Error("a wrong token is let in")
			}
			return errors.Join(err, err2, fmt.Errorf("%#v", d))
		})
	}
}

func TestPaths(t *testing.T) {
	for path, uri := range map[string]string{
		"/Volumes/c/s/v": "dbfs:/Volumes/c/s/v/k", "dbfs:/Volumes/c/s/v/": "dbfs:/Volumes/c/s/v/k", "/Volumes/c/s/v/a b": "dbfs:/Volumes/c/s/v/a b/k",
		"dbfs:/": "dbfs:/k", "dbfs:/fsdb/b": "dbfs:/fsdb/b/k", "dbfs:/mnt/x/": "dbfs:/mnt/x/k",
		"": "", "/data": "", "data": "", "dbfs:data": "", "dbfs://data": "", "/Volumes/c/s": "", "dbfs:/Volumes": "", "/volumes/c/s/v": "", "dbfs:/volumes/c/s/v": "", "/Volumes/c//v/x": "", "/Volumes/c/s/../x": "", "dbfs:/a/./b": "", "dbfs:/a\nb": "",
	} {
		if err := checkPath(path); (err == nil) != (uri != "") {
			t.Errorf("%q: %v", path, err)
		}
		if uri == "" {
			continue
		}
		d := openWith(t, env(nil, token(pat)), Options{Host: "https://dbc-1.cloud.databricks.com", Path: path})
		if got := d.(store.Locator).URI("k"); got != uri || d.(store.Homer).Home() != "dbc-1.cloud.databricks.com" {
			t.Errorf("%q: %q at %q", path, got, d.(store.Homer).Home())
		}
	}
	for host, sequential := range map[string]bool{"https://dbc-1.cloud.databricks.com": false, "https://adb-1.2.azuredatabricks.net": false, "https://1.2.gcp.databricks.com": true, "https://proxy.example.com": true} {
		if d := openWith(t, env(nil, token(pat)), Options{Host: host, Path: volume}); d.Caps().Part.Sequential != sequential {
			t.Errorf("%s: sequential %v", host, !sequential)
		}
	}
	if _, err := openWith(t, env(nil, token(pat)), Options{Path: volume}).Stat(t.Context(), "k", store.Cond{}); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.ClassOf(err).Hint, "DATABRICKS_HOST") {
		t.Errorf("no host: %v", err)
	}
	if _, err := Open(t.Context(), env(nil, nil), &Options{Path: volume}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("no credential: %v", err)
	}
	var log bytes.Buffer
	e := env(nil, token(pat))
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	openWith(t, e, Options{Host: "x", Path: "dbfs:/x"})
	if !strings.Contains(log.String(), "deprecated") {
		t.Errorf("nothing is said of DBFS: %s", log.String())
	}
}

// The workspace gets the token, storage gets the headers that were signed and no token.
func TestWhoGetsTheToken(t *testing.T) {
	d := broken(t, volume+"/x", 10, nil)
	s := store.New("s", "databricks", d.Driver, store.Options{})
	if _, err := s.Put(t.Context(), "large", store.BytesBody(make([]byte, 17<<20)), store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	asked := d.storage.Requests()
	if len(asked) < 3 { // a probe and two parts
		t.Errorf("%d requests to storage", len(asked))
	}
	for _, r := range asked {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Fake-Required") != "yes" {
			t.Errorf("storage gets %v", r.Header)
		}
	}
	for _, r := range d.ws.Requests() {
		if r.Header.Get("Authorization") != "Bearer "+pat {
			t.Errorf("the workspace gets %v", r.Header)
		}
	}
}

// A workspace without URLs of storage, and storage that refuses this network, get the file in one request.
func TestFallBack(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 17<<20/16)
	for what, set := range map[string]func(f *fake.Server){
		"not enabled":           func(f *fake.Server) { f.NoURLs = "FILES_API_API_IS_NOT_ENABLED" },
		"network zone":          func(f *fake.Server) { f.NoURLs = "FILES_API_REQUESTER_NETWORK_ZONE_UNKNOWN" },
		"firewall":              func(f *fake.Server) { f.Blocked = true },
		"firewall, of Google's": func(f *fake.Server) { f.Blocked, f.Resumable = true, true },
		"no way":                func(f *fake.Server) {},
	} {
		d := broken(t, volume+"/x", 10, set)
		if what == "no way" {
			d.storage.Add(faults.Rule{Fault: faults.ResetHead()})
		}
		s := store.New("s", "databricks", d.Driver, store.Options{})
		bodies := []store.Body{store.BytesBody(content)}
		if what == "firewall" {
			bodies = append(bodies, store.ReaderBody(bytes.NewReader(content), int64(len(content))), store.ReaderBody(bytes.NewReader(content), -1))
		}
		for i, body := range bodies {
			if e, err := s.Put(t.Context(), "large", body, store.WriteOptions{Overwrite: true}); err != nil || e.Size != int64(len(content)) {
				t.Errorf("%s, body %d: %+v, %v", what, i, e, err)
			}
			if b, err := read(t.Context(), d, "large", store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
				t.Errorf("%s, body %d: %d bytes, %v", what, i, len(b), err)
			}
		}
		begun := 0
		for _, r := range d.ws.Requests() {
			if strings.Contains(r.Query, "initiate-upload") {
				begun++
			}
		}
		if what != "no way" && begun != 1 {
			t.Errorf("%s: %d uploads were begun", what, begun)
		}
		if n := d.Uploads(); n != 0 && what != "firewall, of Google's" { // Google's forgets them after a week
			t.Errorf("%s: %d uploads are left", what, n)
		}
	}
}

// A token that was refused is got anew, once, and the request is sent again where its body can be.
func TestRefusedToken(t *testing.T) {
	d := broken(t, volume+"/x", 10, nil)
	d.Principal("app", "dose")
	e := env(client1(t, httpclient.Options{}), nil)
	src, err := databricksauth.Provider().OpenCredential(t.Context(), e, &databricksauth.Options{Method: "oauth_m2m", Host: d.ws.URL, ClientID: "app", ClientSecret: secret.New("dose")})
	if err != nil {
		t.Fatal(err)
	}
	e.Credential = src
	m := openWith(t, e, Options{Path: volume + "/x"}) // the host is the credential's
	revoke := func() {
		v, err := src.Resolve(t.Context(), credential.Want{Audience: d.ws.URL})
		if err != nil {
			t.Fatal(err)
		}
		d.Revoke(v.Fields[databricksauth.FieldToken].Reveal())
	}
	for _, body := range []store.Body{held("one"), held(make([]byte, 3<<20))} {
		revoke()
		if _, err := m.Put(t.Context(), "k", body, store.PutOptions{}); err != nil {
			t.Errorf("put: %v", err)
		}
	}
	revoke()
	if _, err := m.Put(t.Context(), "k", once("once"), store.PutOptions{}); m.Classify(err).Code != fault.Unauthenticated {
		t.Errorf("put of a body that can be read once: %v", err)
	}
	revoke()
	if _, err := m.Stat(t.Context(), "k", store.Cond{}); err != nil {
		t.Errorf("stat: %v", err)
	}
	d.clear()
	d.ws.Add(faults.Rule{Match: faults.Method("HEAD"), Fault: faults.Status(401, 0)})
	if _, err := m.Stat(t.Context(), "k", store.Cond{}); m.Classify(err).Code != fault.Unauthenticated || d.ws.Count("HEAD") != 2 {
		t.Errorf("a token that is never taken: %v after %d requests", err, d.ws.Count("HEAD"))
	}
	// A personal token that is none is answered so, with a number for a code.
	d.clear()
	d.ws.Add(faults.Rule{Fault: faults.Answer(403, nil, `{"error_code":403,"message":"Invalid access token."}`)})
	_, err = d.List(t.Context(), store.Query{})
	_, err2 := d.Stat(t.Context(), "k", store.Cond{})
	for _, err := range []error{err, err2} {
		if c := d.Classify(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "test") || strings.Contains(err.Error(), pat) {
			t.Errorf("%v: %v, %q", c.Code, err, c.Hint)
		}
	}
	d.clear()
	d.ws.Add(faults.Rule{Fault: faults.Answer(403, nil, `{"error_code":"PERMISSION_DENIED","message":"User does not have READ VOLUME"}`)})
	if _, err := d.Stat(t.Context(), "k", store.Cond{}); d.Classify(err).Code != fault.PermissionDenied || !strings.Contains(err.Error(), "User does not have") || !strings.Contains(d.Classify(err).Hint, "READ VOLUME") {
		t.Errorf("%v, %q", err, d.Classify(err).Hint)
	}
}

// journal is a store.Journal in memory.
type journal struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (j *journal) Names() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.m)), nil
}
func (j *journal) Get(n string) ([]byte, error) { j.mu.Lock(); defer j.mu.Unlock(); return j.m[n], nil }
func (j *journal) Put(n string, b []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.m[n] = b
	return nil
}
func (j *journal) Delete(n string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.m, n)
	return nil
}

// An upload that broke off is taken up again by another process with the parts that the service has.
func TestJournal(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), (40<<20+48)/16)
	for what, set := range map[string]func(f *fake.Server){"parts": nil, "in order": func(f *fake.Server) { f.Resumable = true }} {
		d := broken(t, volume+"/x", 10, set)
		from := memory.Provider()
		o, _ := from.Body.Declare()
		m, err := from.OpenStore(t.Context(), env(nil, nil), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Put(t.Context(), "large", held(content), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		j := &journal{m: map[string][]byte{}}
		run := func() (store.CopyResult, error) {
			again := openWith(t, env(client1(t, httpclient.Options{}), token(pat)), Options{Host: d.ws.URL, Path: volume + "/x"})
			return store.Copy(t.Context(), store.New("from", "memory", m, store.Options{}), store.New("to", "databricks", again, store.Options{PartWorkers: 1}), store.CopyJob{Journal: j})
		}
		n := 0
		d.storage.Add(faults.Rule{Match: func(r *http.Request) bool {
			if r.Method == "PUT" && r.ContentLength > 0 {
				n++
			}
			return n > 4 // of Google's form each part is two chunks
		}, Fault: faults.Answer(403, nil, "")})
		if what == "parts" {
			n = 3 // parts: the first is sent
		}
		if _, err := run(); err == nil || len(j.m) != 1 {
			t.Fatalf("%s: %v, %d records", what, err, len(j.m))
		}
		for _, b := range j.m {
			if strings.Contains(string(b), "X-Signature") || strings.Contains(string(b), pat) {
				t.Errorf("%s: the record holds a secret: %s", what, b)
			}
		}
		d.clear()
		res, err := run()
		if err != nil || res.Copied != 1 || res.ClientBytes >= int64(len(content)) || len(j.m) != 0 || d.Uploads() != 0 {
			t.Errorf("%s: %+v, %v, %d records, %d uploads", what, res, err, len(j.m), d.Uploads())
		}
		if b, err := read(t.Context(), d, "large", store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
	}
}

// In volumes on Google Cloud the bytes after the last whole 256 KiB wait for the commit, and what the service has of a part
// that failed is not sent again.
func TestInOrder(t *testing.T) {
	d := broken(t, volume+"/x", 10, func(f *fake.Server) { f.Resumable = true })
	u, err := d.Driver.(*Driver).Begin(t.Context(), "k", store.PutOptions{}, -1)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("x"), 9<<20+7)
	part := func(n int, off, size int64) store.Part {
		t.Helper()
		p, err := u.Part(t.Context(), n, off, held(content[off:off+size]))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if _, err := u.Part(t.Context(), 2, 0, held(content[:chunkAlign])); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("part 2 first: %v", err)
	}
	d.clear()
	one := part(1, 0, 1<<20)
	d.storage.Add(faults.Rule{Match: func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Content-Range"), "bytes 9437184-") }, Fault: faults.Status(503, 0)})
	d.storage.Add(faults.Rule{Times: 1, Match: func(r *http.Request) bool { return r.ContentLength == 8<<20 }, Fault: func(x *faults.Exchange) { x.Pass() }})
	two := part(2, 1<<20, 8<<20+7)
	for _, r := range d.storage.Requests() {
		if r.Header.Get("Content-Range") == "" || strings.HasSuffix(r.Header.Get("Content-Range"), "/9437191") {
			t.Errorf("before the commit: %v", r.Header)
		}
	}
	if _, err := u.Part(t.Context(), 3, int64(len(content)), held("more")); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a part after the last: %v", err)
	}
	d.clear()
	if e, err := u.Commit(t.Context(), []store.Part{one, two}); err != nil || e.Size != int64(len(content)) {
		t.Fatal(e, err)
	}
	sent := d.storage.Requests()
	if len(sent) != 1 || sent[0].Header.Get("Content-Range") != "bytes 9437184-9437190/9437191" {
		t.Errorf("the commit sends %v", sent)
	}
	if b, err := read(t.Context(), d, "k", store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A larger file of DBFS goes up in blocks and takes the place of an old one, which comes back when that fails.
func TestBlocks(t *testing.T) {
	d := broken(t, "dbfs:/x", 10, nil)
	old, young := bytes.Repeat([]byte("o"), 2<<20), bytes.Repeat([]byte("y"), 3<<20+1)
	if _, err := d.Put(t.Context(), "a/k", held(old), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	count := func(op string) (n int) {
		for _, r := range d.ws.Requests() {
			if strings.Contains(r.Path, "/dbfs/"+op) {
				n++
			}
		}
		return n
	}
	if n := count("add-block"); n != 2 {
		t.Errorf("%d blocks", n)
	}
	// The second move in, after the old file went aside, is the third.
	moves := 0
	third := func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/dbfs/move") {
			moves++
			return moves == 3
		}
		return false
	}
	d.clear()
	d.ws.Add(faults.Rule{Match: third, Times: 1, Fault: faults.Answer(500, nil, `{"error_code":"INTERNAL_ERROR","message":"x"}`)})
	if _, err := d.Put(t.Context(), "a/k", held(young), store.PutOptions{}); d.Classify(err).Code != fault.Unavailable {
		t.Errorf("a move that fails: %v", err)
	}
	if b, err := read(t.Context(), d, "a/k", store.GetOptions{}); err != nil || !bytes.Equal(b, old) {
		t.Errorf("after a move that failed: %d bytes, %v", len(b), err)
	}
	moves = 0 // one that is done and whose reply is lost
	d.clear()
	d.ws.Add(faults.Rule{Match: third, Times: 1, Fault: faults.Reset(0)})
	if e, err := d.Put(t.Context(), "a/k", held(young), store.PutOptions{}); err != nil || e.Size != int64(len(young)) || e.Key != "a/k" {
		t.Errorf("a move whose reply is lost: %+v, %v", e, err)
	}
	if b, err := read(t.Context(), d, "a/k", store.GetOptions{}); err != nil || !bytes.Equal(b, young) {
		t.Errorf("after it: %d bytes, %v", len(b), err)
	}
	d.ws.Add(faults.Rule{Match: faults.On("POST", "/add-block"), Fault: func(x *faults.Exchange) { d.ExpireHandles(); x.Pass() }})
	if _, err := d.Put(t.Context(), "a/k", held(old), store.PutOptions{}); err == nil {
		t.Error("a handle that ended is written to")
	}
	if d.Uploads() != 0 {
		t.Errorf("%d handles are open", d.Uploads())
	}
	x, err := d.ListDirs(t, ".dsrun")
	if err != nil || len(x) != 0 {
		t.Errorf("left are %v, %v", x, err)
	}
	d.clear()
	top := openWith(t, env(client1(t, httpclient.Options{}), token(pat)), Options{Host: d.ws.URL, Path: "dbfs:/"})
	if _, err := top.Put(t.Context(), "k", held(young), store.PutOptions{}); err != nil {
		t.Errorf("put at the top: %v", err)
	}
	if p, err := top.List(t.Context(), store.Query{Delimiter: "/"}); err != nil || len(p.Entries) != 1 || len(p.Prefixes) != 1 || p.Prefixes[0] != "x/" {
		t.Errorf("the top has %+v, %v", p, err)
	}
	if err := errors.Join(top.Delete(t.Context(), "k", store.Cond{}), top.(store.Checker).Check(t.Context())); err != nil {
		t.Error(err)
	}
	// A path of a volume is refused with a hint.
	d.clear()
	d.ws.Add(faults.Rule{Fault: faults.Answer(403, nil, `{"error_code":"PERMISSION_DENIED","message":"No operations allowed on this path"}`)})
	if _, err := d.List(t.Context(), store.Query{}); d.Classify(err).Code != fault.PermissionDenied || !strings.Contains(d.Classify(err).Hint, "/Volumes/") {
		t.Errorf("%v, %q", err, d.Classify(err).Hint)
	}
}

// ListDirs lists a folder as DBFS has it, hidden ones too.
func (r *rig) ListDirs(t *testing.T, dir string) ([]store.DirEntry, error) {
	d := r.Driver.(*DBFS)
	list, err := d.readDir(t.Context(), dir+"/")
	if d.Classify(err).Code == fault.NotFound {
		return nil, nil
	}
	return list, err
}
