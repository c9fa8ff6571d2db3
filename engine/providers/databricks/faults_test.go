package databricks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	fake "github.com/dsrun/dsrun/internal/testbed/databricks"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// rig is a workspace and storage behind faults, and a driver on a folder of it with an object "big".
type rig struct {
	store.Driver
	*fake.Server
	ws, storage *faults.Server
	content     []byte
}

func (r *rig) clear() { r.ws.Clear(); r.storage.Clear() }

func broken(t *testing.T, path string, n int, set func(f *fake.Server)) *rig {
	t.Helper()
	r := &rig{Server: fake.New(), content: make([]byte, n)}
	r.Allow(pat)
	if set != nil {
		set(r.Server)
	}
	r.storage = faults.New(t, r.Storage())
	r.StorageURL = r.storage.URL
	r.ws = faults.New(t, r.Server)
	c := client1(t, httpclient.Options{StallTimeout: 3 * time.Second, IdleTimeout: 3 * time.Second})
	r.Driver = openWith(t, env(c, token(pat)), Options{Host: r.ws.URL, Path: path})
	t.Cleanup(func() { r.Close() })
	for i := range r.content {
		r.content[i] = byte(i*2654435761>>13 + i)
	}
	if _, err := r.Put(t.Context(), "big", held(r.content), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r.clear()
	return r
}

func read(ctx context.Context, d store.Driver, key string, o store.GetOptions) ([]byte, error) {
	x, err := d.Get(ctx, key, o)
	if err != nil {
		return nil, err
	}
	defer x.Body.Close()
	return io.ReadAll(x.Body)
}

// stranger fails t when it is asked for anything.
func stranger(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a redirect was followed with %v", r.Header) }))
	t.Cleanup(s.Close)
	return s.URL
}

// once is a body that can be read once.
type once string

func (b once) Size() int64      { return int64(len(b)) }
func (b once) Replayable() bool { return false }
func (b once) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(b))), nil
}

type expectation struct {
	fault faults.Fault
	codes []fault.Code
}

// meets fails t unless err has one of the codes.
func (x expectation) meets(t *testing.T, d store.Driver, what string, begun time.Time, err error) {
	t.Helper()
	code := d.Classify(err).Code
	for _, c := range x.codes {
		if c == code && time.Since(begun) < 10*time.Second {
			return
		}
	}
	t.Errorf("%s: %q after %v: %v", what, code, time.Since(begun), err)
}

// No read ends as success when its bytes are short or others than asked. A flipped bit cannot be seen: there are no
// checksums.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	d := broken(t, volume+"/faults", 3<<20, nil)
	n := int64(len(d.content))
	for what, x := range map[string]expectation{
		"cut":                  {faults.Cut(1 << 20), []fault.Code{fault.Unavailable}},
		"cut at the last byte": {faults.Cut(n - 1), []fault.Code{fault.Unavailable}},
		"reset":                {faults.Reset(1 << 20), []fault.Code{fault.Unavailable}},
		"chunked and cut":      {faults.CutChunked(1 << 20), []fault.Code{fault.Unavailable, fault.DataLoss}},
		"chunked, clean end":   {faults.CleanEnd(1 << 20), []fault.Code{fault.DataLoss}},
		"gzip unasked":         {faults.Gzip(), []fault.Code{fault.DataLoss}},
		"a web page":           {faults.Portal(), []fault.Code{fault.Unavailable}},
		"nothing":              {faults.Empty(), []fault.Code{fault.Unavailable}},
		"no time":              {faults.DropHeaders("Last-Modified"), []fault.Code{fault.Unavailable}},
		"a redirect":           {faults.Redirect(stranger(t) + "/x"), []fault.Code{fault.FailedPrecondition}},
		"no reply":             {faults.StallHead(), []fault.Code{fault.DeadlineExceeded}},
		"a stall":              {faults.StallBody(1 << 20), []fault.Code{fault.DeadlineExceeded}},
		"no connection":        {faults.Reset(0), []fault.Code{fault.Unavailable}},
		"throttled":            {faults.Status(503, 2*time.Second), []fault.Code{fault.Unavailable}},
	} {
		d.clear()
		d.ws.Add(faults.Rule{Match: faults.Method("GET"), Fault: x.fault})
		begun := time.Now()
		b, err := read(t.Context(), d, "big", store.GetOptions{})
		if err == nil {
			t.Errorf("%s: %d of %d bytes and no error", what, len(b), n)
			continue
		}
		x.meets(t, d, what, begun, err)
		if what == "throttled" && d.Classify(err).RetryAfter != 2*time.Second {
			t.Errorf("Retry-After is read as %v", d.Classify(err).RetryAfter)
		}
	}
	rg := store.Range{Off: 1 << 20, Len: 16}
	for what, x := range map[string]faults.Fault{
		"the whole for a range": faults.Whole(),
		"another range":         faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 0-15/%d", n)) }),
		"no Content-Range":      faults.DropHeaders("Content-Range"),
		"a shorter range":       faults.Edit(func(b []byte) []byte { return b[:8] }),
	} {
		d.clear()
		d.ws.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		if b, err := read(t.Context(), d, "big", store.GetOptions{Range: &rg}); err == nil || d.Classify(err).Code != fault.DataLoss {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
	}
	d.clear()
	if b, err := read(t.Context(), d, "big", store.GetOptions{}); err != nil || !bytes.Equal(b, d.content) {
		t.Errorf("without a fault: %v", err)
	}
}

// A connection that is reset after each MiB is taken up again where it broke off, unless the file was replaced.
func TestResumedRead(t *testing.T) {
	t.Parallel()
	d := broken(t, volume+"/faults", 8<<20, nil)
	d.ws.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	s := store.New("s", "databricks", d.Driver, store.Options{})
	r, err := s.Open(t.Context(), "big", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(d.content); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("other bytes than were stored")
	}
	r, err = s.Open(t.Context(), "big", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "big", held(d.content[:7<<20]), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err == nil || s.Driver().Classify(err).Code != fault.FailedPrecondition {
		t.Errorf("a file that was replaced meanwhile: %d more bytes, %v", n, err)
	}
}

// Success means that the service holds the file; what it only reported is written again, or an error.
func TestWriteFaults(t *testing.T) {
	t.Parallel()
	d := broken(t, volume+"/faults", 1<<20, nil)
	for _, n := range []int{10, len(d.content)} {
		for what, x := range map[string]expectation{
			"a web page": {faults.Portal(), []fault.Code{fault.Unavailable}},
			"nothing":    {faults.Empty(), []fault.Code{fault.Unavailable}},
			"no answer":  {faults.ResetHead(), []fault.Code{fault.Unavailable}},
			"cut":        {faults.ResetUpload(int64(n / 2)), []fault.Code{fault.Unavailable}},
			"a stall":    {faults.StallHead(), []fault.Code{fault.DeadlineExceeded}},
			"500":        {faults.Status(500, 0), []fault.Code{fault.Unavailable}},
			"throttled":  {faults.Answer(429, nil, `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}`), []fault.Code{fault.ResourceExhausted}},
			"denied":     {faults.Answer(403, nil, `{"error_code":"PERMISSION_DENIED","message":"no WRITE VOLUME"}`), []fault.Code{fault.PermissionDenied}},
		} {
			d.clear()
			d.ws.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x.fault})
			begun := time.Now()
			e, err := d.Put(t.Context(), "new", held(d.content[:n]), store.PutOptions{})
			if err == nil {
				t.Errorf("put of %d bytes, %s: %+v", n, what, e)
				continue
			}
			x.meets(t, d, what, begun, err)
			if h := d.Classify(err).Hint; (what == "denied") != strings.Contains(h, "WRITE VOLUME") || what == "throttled" && !strings.Contains(h, "max_attempts") {
				t.Errorf("%s: the hint is %q", what, h)
			}
		}
	}
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty()} {
		d.clear()
		d.ws.Add(faults.Rule{Match: faults.Method("DELETE"), Fault: x})
		if err := d.Delete(t.Context(), "big", store.Cond{}); err == nil {
			t.Errorf("delete, %s: no error", what)
		}
		d.clear()
		d.ws.Add(faults.Rule{Match: faults.Method("HEAD"), Fault: x})
		if e, err := d.Stat(t.Context(), "big", store.Cond{}); err == nil {
			t.Errorf("stat, %s: %+v", what, e)
		}
	}
}

// S34: the service reports success and stores nothing.
func TestSilentFailure(t *testing.T) {
	t.Parallel()
	d := broken(t, volume+"/faults", 1000, nil)
	for _, key := range []string{"new", "big"} { // with nothing before it, and with an older file
		d.clear()
		d.FailSilently(1)
		e, err := d.Put(t.Context(), key, held("again"), store.PutOptions{})
		if err != nil || e.Size != 5 {
			t.Errorf("%s: %+v, %v", key, e, err)
		}
		if b, err := read(t.Context(), d, key, store.GetOptions{}); err != nil || string(b) != "again" {
			t.Errorf("%s: %q, %v", key, b, err)
		}
		if n := d.ws.Count("PUT"); n != 2 {
			t.Errorf("%s: %d requests to put", key, n)
		}
		d.FailSilently(looks)
		if e, err := d.Put(t.Context(), key, held("longer"), store.PutOptions{}); err == nil || d.Classify(err).Code != fault.Unavailable {
			t.Errorf("%s: nothing is stored: %+v, %v", key, e, err)
		}
		if b, err := read(t.Context(), d, key, store.GetOptions{}); err != nil || string(b) != "again" {
			t.Errorf("%s: the older file is %q, %v", key, b, err)
		}
		d.FailSilently(1)
		if e, err := d.Put(t.Context(), key, once("once"), store.PutOptions{}); err == nil || d.Classify(err).Code != fault.Unavailable {
			t.Errorf("%s, a body that can be sent once: %+v, %v", key, e, err)
		}
	}
	u, err := d.Driver.(*Driver).Begin(t.Context(), "parts", store.PutOptions{}, 5)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(t.Context(), 1, 0, held("parts"))
	if err != nil {
		t.Fatal(err)
	}
	d.FailSilently(1)
	if e, err := u.Commit(t.Context(), []store.Part{p}); err == nil || d.Classify(err).Code != fault.Unavailable {
		t.Errorf("a commit that stores nothing: %+v, %v", e, err)
	}
}

// A listing is complete or an error.
func TestListFaults(t *testing.T) {
	t.Parallel()
	for _, path := range []string{volume + "/faults", "dbfs:/faults"} {
		d := broken(t, path, 10, func(f *fake.Server) { f.Page = 2 })
		for i := range 5 {
			if _, err := d.Put(t.Context(), fmt.Sprintf("k%d", i), held(nil), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		replace := func(old, new string) faults.Fault {
			return faults.Edit(func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) })
		}
		for what, x := range map[string]faults.Fault{
			"cut": faults.Cut(30), "reset": faults.Reset(30), "chunked and cut": faults.CutChunked(30), "a clean end": faults.CleanEnd(30),
			"a web page": faults.Portal(), "nothing": faults.Empty(), "an error in a reply of success": faults.Answer(200, nil, `{"error_code":"INTERNAL_ERROR","message":"x"}`),
			"no size": replace(`"file_size"`, `"bytes"`), "another folder": replace(`faults/big`, `other/big`), "a path": replace("faults/big", "faults/big/x"), "a stall": faults.StallBody(20),
			"null": faults.Answer(200, nil, "null"), "a list": faults.Answer(200, nil, "[]"), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
		} {
			d.clear()
			d.ws.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
			if p, err := d.List(t.Context(), store.Query{}); err == nil {
				t.Errorf("%s, %s: %d names and no error", path, what, len(p.Entries))
			} else if c := d.Classify(err); c.Code != fault.DataLoss && !c.Retryable() {
				t.Errorf("%s, %s: %v: %v", path, what, c.Code, err)
			}
		}
		d.clear()
		if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 6 {
			t.Errorf("%s: %d names, %v", path, len(p.Entries), err)
		}
	}
	d := broken(t, volume+"/faults", 10, func(f *fake.Server) { f.Page = 1 })
	for _, k := range []string{"a", "b", "c"} {
		if _, err := d.Put(t.Context(), k, held(nil), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	d.ws.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Answer(200, map[string]string{"Content-Type": "application/json"}, `{"next_page_token":"x"}`)})
	if p, err := d.List(t.Context(), store.Query{}); err == nil || d.Classify(err).Code != fault.DataLoss {
		t.Errorf("the same token again: %+v, %v", p, err)
	}
}

// What goes wrong on the way to storage, or there, makes no part and no file.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	for _, serial := range []bool{false, true} {
		d := broken(t, volume+"/faults", 10, func(f *fake.Server) { f.Resumable = serial })
		begin := func() store.Upload {
			t.Helper()
			d.clear()
			u, err := d.Driver.(*Driver).Begin(t.Context(), "parts", store.PutOptions{IfAbsent: true}, 1<<20+5)
			if err != nil {
				t.Fatal(err)
			}
			d.clear()
			return u
		}
		content := append(make([]byte, 1<<20), "12345"...)
		for what, x := range map[string]expectation{
			"a web page": {faults.Portal(), []fault.Code{fault.Unavailable}},
			"no ETag":    {faults.DropHeaders("Etag"), []fault.Code{fault.Unavailable}},
			"no answer":  {faults.ResetHead(), []fault.Code{fault.Unavailable}},
			"cut":        {faults.ResetUpload(1000), []fault.Code{fault.Unavailable}},
			"503":        {faults.Status(503, time.Second), []fault.Code{fault.Unavailable}},
			"expired":    {faults.Answer(403, nil, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"), []fault.Code{fault.Unavailable}},
			"a redirect": {faults.Redirect(stranger(t)), []fault.Code{fault.FailedPrecondition}},
		} {
			if serial && what == "no ETag" {
				continue
			}
			u := begin()
			d.storage.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x.fault})
			begun := time.Now()
			if p, err := u.Part(t.Context(), 1, 0, held(content)); err == nil {
				t.Errorf("part, %s: %+v", what, p)
			} else {
				x.meets(t, d, fmt.Sprintf("part, serial %v, %s", serial, what), begun, err)
				if strings.Contains(err.Error(), "Signature") {
					t.Errorf("%s: the error shows a signature: %v", what, err)
				}
			}
			d.clear()
			p, err := u.Part(t.Context(), 1, 0, held(content)) // again
			if err != nil {
				t.Errorf("serial %v, after %s: %v", serial, what, err)
				continue
			}
			if e, err := u.Commit(t.Context(), []store.Part{p}); err != nil || e.Size != int64(len(content)) {
				t.Errorf("serial %v, after %s: %+v, %v", serial, what, e, err)
			}
			if b, err := read(t.Context(), d, "parts", store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
				t.Errorf("serial %v, after %s: %d bytes, %v", serial, what, len(b), err)
			}
			if err := d.Delete(t.Context(), "parts", store.Cond{}); err != nil {
				t.Fatal(err)
			}
		}
		for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "no answer": faults.ResetHead(), "500": faults.Status(500, 0)} {
			u := begin()
			p, err := u.Part(t.Context(), 1, 0, held(content))
			if err != nil {
				t.Fatal(err)
			}
			d.clear()
			server, match := d.ws, faults.Method("POST")
			if serial {
				server, match = d.storage, faults.Method("PUT")
			}
			server.Add(faults.Rule{Match: match, Times: 1, Fault: x})
			if e, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() {
				t.Errorf("commit, serial %v, %s: %+v, %v", serial, what, e, err)
			}
			if e, err := u.Commit(t.Context(), []store.Part{p}); err != nil || e.Size != int64(len(content)) { // also one whose reply was lost
				t.Errorf("commit again, serial %v, %s: %+v, %v", serial, what, e, err)
			}
			if err := d.Delete(t.Context(), "parts", store.Cond{}); err != nil {
				t.Fatal(err)
			}
		}
		for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "{}": faults.Answer(200, nil, "{}"), "no URL": faults.Answer(200, nil, `{"multipart_upload":{"session_token":"x"},"upload_part_urls":[{"part_number":1,"url":"file:///etc/passwd"}],"resumable_upload_url":{"url":"x"}}`)} {
			d.clear()
			d.ws.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
			if _, err := d.Driver.(*Driver).Begin(t.Context(), "more", store.PutOptions{}, 5); err == nil || !d.Classify(err).Retryable() {
				t.Errorf("begin, serial %v, %s: %v", serial, what, err)
			}
		}
		if n := d.Uploads(); n != 0 {
			t.Errorf("serial %v: %d uploads are left", serial, n)
		}
	}
}

// What DBFS gives is counted, and no reply of another makes a block.
func TestBlockFaults(t *testing.T) {
	t.Parallel()
	d := broken(t, "dbfs:/faults", 3<<20+5, nil)
	replace := func(old, new string) faults.Fault {
		return faults.Edit(func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) })
	}
	for what, x := range map[string]expectation{
		"cut":            {faults.Cut(1000), []fault.Code{fault.Unavailable}},
		"clean end":      {faults.CleanEnd(1000), []fault.Code{fault.Unavailable}},
		"a web page":     {faults.Portal(), []fault.Code{fault.Unavailable}},
		"nothing":        {faults.Empty(), []fault.Code{fault.Unavailable}},
		"{}":             {faults.Answer(200, nil, "{}"), []fault.Code{fault.Unavailable}},
		"fewer bytes":    {faults.Answer(200, nil, `{"bytes_read":3,"data":"YWJj"}`), []fault.Code{fault.DataLoss}},
		"another number": {replace(`"bytes_read":1048576`, `"bytes_read":1048575`), []fault.Code{fault.DataLoss}},
		"no base64":      {replace(`"data":"`, `"data":"*`), []fault.Code{fault.Unavailable}},
		"too large":      {faults.Answer(400, nil, `{"error_code":"MAX_READ_SIZE_EXCEEDED","message":"x"}`), []fault.Code{fault.InvalidArgument}},
		"a stall":        {faults.StallBody(1000), []fault.Code{fault.DeadlineExceeded}},
	} {
		for _, n := range []int{0, 1} { // the first block, or a later one
			d.clear()
			seen := 0
			d.ws.Add(faults.Rule{Match: func(r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/dbfs/read") {
					seen++
					return seen > n && r.URL.Query().Get("length") == "1048576"
				}
				return false
			}, Fault: x.fault})
			begun := time.Now()
			if b, err := read(t.Context(), d, "big", store.GetOptions{}); err == nil {
				t.Errorf("%s: %d bytes and no error", what, len(b))
			} else {
				x.meets(t, d, what, begun, err)
			}
		}
	}
	d.clear()
	if b, err := read(t.Context(), d, "big", store.GetOptions{}); err != nil || !bytes.Equal(b, d.content) {
		t.Errorf("without a fault: %d bytes, %v", len(b), err)
	}
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "no answer": faults.ResetHead(), "null": faults.Answer(200, nil, "null")} {
		for _, op := range []string{"put", "mkdirs", "create", "add-block", "close", "get-status", "move"} {
			d.clear()
			d.ws.Add(faults.Rule{Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/dbfs/"+op) }, Fault: x})
			size := 2 << 20
			if op == "put" {
				size = 10
			}
			if e, err := d.Put(t.Context(), what+op+"/new", held(make([]byte, size)), store.PutOptions{}); err == nil && !(op == "move" && what == "no answer") {
				t.Errorf("%s for %s: %+v", what, op, e)
			} else if err != nil && !d.Classify(err).Retryable() {
				t.Errorf("%s for %s: %v", what, op, err)
			}
		}
	}
}
