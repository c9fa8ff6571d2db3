package alipan

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

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	fake "github.com/dsrun/dsrun/internal/testbed/alipan"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// broken returns a driver on the fake behind faults, with an object "big" of n bytes.
func broken(t *testing.T, n int, o Options) (*Driver, *faults.Server, []byte) {
	t.Helper()
	k := fake.New()
	f := faults.New(t, k)
	c := client(t, httpclient.Options{StallTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second})
	d := openWith(t, env(c, login(t, k, c, "refresh_token", f.URL, clock.Real)), o)
	t.Cleanup(func() { d.Close() })
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*2654435761>>13 + i)
	}
	if _, err := d.Put(t.Context(), "big", held(content), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Clear()
	return d, f, content
}

func read(ctx context.Context, d *Driver, o store.GetOptions) ([]byte, error) {
	x, err := d.Get(ctx, "big", o)
	if err != nil {
		return nil, err
	}
	defer x.Body.Close()
	return io.ReadAll(x.Body)
}

var encrypted = Options{EncryptPassword: secret.New(password), EncryptType: "ChaCha20"}

// No read ends as success when its bytes are short, altered or others than asked.
func TestReadFaults(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "encrypted": encrypted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f, content := broken(t, 3<<20, o)
			n := int64(len(content))
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				t.Errorf("the redirect was followed with %v", r.Header)
			}))
			defer other.Close()
			for what, x := range map[string]struct {
				fault faults.Fault
				codes []fault.Code
			}{
				"cut":                  {faults.Cut(1 << 20), []fault.Code{fault.Unavailable}},
				"cut at the last byte": {faults.Cut(n - 1), []fault.Code{fault.Unavailable}},
				"reset":                {faults.Reset(1 << 20), []fault.Code{fault.Unavailable}},
				"chunked and cut":      {faults.CutChunked(1 << 20), []fault.Code{fault.Unavailable, fault.DataLoss}},
				"chunked, clean end":   {faults.CleanEnd(1 << 20), []fault.Code{fault.DataLoss}},
				"a flipped bit":        {faults.Flip(2 << 20), []fault.Code{fault.DataLoss}},
				"gzip unasked":         {faults.Gzip(), []fault.Code{fault.DataLoss}},
				"a web page":           {faults.Portal(), []fault.Code{fault.Unavailable}},
				"nothing":              {faults.Empty(), []fault.Code{fault.Unavailable}},
				"no ETag, no range":    {faults.DropHeaders("Etag", "Content-Range"), []fault.Code{fault.Unavailable}},
				"a redirect":           {faults.Redirect(other.URL + "/x"), []fault.Code{fault.FailedPrecondition}},
				"no reply":             {faults.StallHead(), []fault.Code{fault.DeadlineExceeded}},
				"a stall":              {faults.StallBody(1 << 20), []fault.Code{fault.DeadlineExceeded}},
				"no connection":        {faults.Reset(0), []fault.Code{fault.Unavailable}},
				"throttled":            {faults.Status(503, 2*time.Second), []fault.Code{fault.Unavailable}},
				"the whole":            {faults.Whole(), []fault.Code{fault.DataLoss}},
				"no Content-Range":     {faults.DropHeaders("Content-Range"), []fault.Code{fault.DataLoss}},
				"another range":        {faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 1-16/%d", n)) }), []fault.Code{fault.DataLoss}},
				"a shorter range":      {faults.Edit(func(b []byte) []byte { return b[:8] }), []fault.Code{fault.DataLoss}},
				"another CRC":          {faults.SetHeaders(func(h http.Header) { h.Set("x-oss-hash-crc64ecma", "1") }), []fault.Code{fault.FailedPrecondition}},
				"another SHA-1":        {faults.SetHeaders(func(h http.Header) { h.Set("x-oss-hash-value", strings.Repeat("A", 40)) }), []fault.Code{fault.FailedPrecondition}},
				"another size":         {faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", n-1, n+5)) }), []fault.Code{fault.FailedPrecondition, fault.DataLoss}},
			} {
				f.Clear()
				f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x.fault})
				begun := time.Now()
				var o store.GetOptions
				if what == "gzip unasked" { // which takes long for many bytes
					o.Range = &store.Range{Off: 0, Len: 1000}
				}
				b, err := read(t.Context(), d, o)
				if err == nil {
					t.Errorf("%s: %d of %d bytes and no error", what, len(b), n)
					continue
				}
				class := d.Classify(err)
				ok := false
				for _, c := range x.codes {
					ok = ok || class.Code == c
				}
				if !ok || time.Since(begun) > 10*time.Second {
					t.Errorf("%s: %v after %v: %v", what, class.Code, time.Since(begun), err)
				}
				if what == "throttled" && class.RetryAfter != 2*time.Second {
					t.Errorf("Retry-After is read as %v", class.RetryAfter)
				}
				if strings.Contains(err.Error(), "x-oss-signature") {
					t.Errorf("%s: the error shows an address that is a secret: %v", what, err)
				}
			}
			for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "null": faults.Answer(200, nil, "null"), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }), "no size": edit(t, `"size"`, `"bytes"`), "no id": edit(t, `"file_id"`, `"id"`),
				"a hash that is none": edit(t, `"content_hash":"`, `"content_hash":"x`)} {
				f.Clear()
				f.Add(faults.Rule{Match: faults.On("POST", "get_by_path"), Fault: x})
				if e, err := d.Stat(t.Context(), "big", store.Cond{}); err == nil || d.Classify(err).Code != fault.Unavailable {
					t.Errorf("stat, %s: %+v, %v", what, e, err)
				}
			}
			f.Clear()
			if b, err := read(t.Context(), d, store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
				t.Errorf("without a fault: %v", err)
			}
		})
	}
}

// edit replaces a text of the answer, which must be there.
func edit(t *testing.T, old, new string) faults.Fault {
	return faults.Edit(func(b []byte) []byte {
		if !strings.Contains(string(b), old) {
			t.Errorf("%q is not in %s", old, b)
		}
		return []byte(strings.Replace(string(b), old, new, 1))
	})
}

// A connection that is reset after each MiB is taken up again where it broke off.
func TestResumedRead(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "encrypted": encrypted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f, content := broken(t, 8<<20, o)
			f.Add(faults.Rule{Match: func(r *http.Request) bool { return r.Method == "GET" && r.Header.Get("Range") != "bytes=0-71" }, Fault: faults.Reset(1 << 20)})
			r, err := store.New("s", "alipan", d, store.Options{}).Open(t.Context(), "big", store.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			h := sha256.New()
			if _, err := io.Copy(h, r); err != nil {
				t.Fatal(err)
			}
			if want := sha256.Sum256(content); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Error("other bytes than were stored")
			}
			if n := f.Count("GET"); n < 8 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// flipUpload inverts a bit of a request's body on its way, as a broken proxy would.
func flipUpload(n int64) faults.Fault {
	return func(x *faults.Exchange) {
		b, _ := io.ReadAll(x.R.Body)
		b[n] ^= 1
		x.R.Body = io.NopCloser(bytes.NewReader(b))
		x.Pass()
	}
}

// Success means that the service holds the bytes that were sent.
func TestWriteFaults(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "encrypted": encrypted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f, content := broken(t, 1<<20, o)
			absent := func(what string) {
				t.Helper()
				f.Clear()
				if e, err := d.Stat(t.Context(), "new", store.Cond{}); err == nil {
					t.Errorf("%s: the object is there: %+v", what, e)
				}
				if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 1 {
					t.Errorf("%s: the listing is %+v, %v", what, p, err)
				}
			}
			wrong := func(h http.Header) { h.Set("Etag", `"00000000000000000000000000000000"`) }
			for what, x := range map[string]faults.Fault{
				"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "another checksum": faults.SetHeaders(wrong),
				"no answer": faults.ResetHead(), "cut": faults.ResetUpload(int64(len(content) / 2)), "a stall": faults.StallHead(), "500": faults.Status(500, 0), "altered on the way": flipUpload(5),
				"an address that ended": faults.Answer(403, nil, "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"),
			} {
				f.Clear()
				f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
				e, err := d.Put(t.Context(), "new", held(content), store.PutOptions{})
				if err == nil {
					t.Errorf("put, %s: %+v", what, e)
				} else if c := d.Classify(err).Code; c != fault.Unavailable && c != fault.DataLoss && c != fault.DeadlineExceeded {
					t.Errorf("put, %s: %v: %v", what, c, err)
				}
				absent(what)
			}
			for path, list := range map[string]map[string]faults.Fault{
				"createWithFolders": {"a web page": faults.Portal(), "nothing": faults.Empty(), "no id": edit(t, `"file_id"`, `"id"`), "no upload": edit(t, `"upload_id"`, `"id"`)},
				"file/complete": {"a web page": faults.Portal(), "nothing": faults.Empty(), "another hash": edit(t, `"content_hash":"`, `"content_hash":"0000000000000000000000000000000000000000","x":"`),
					"no hash": edit(t, `"content_hash":`, `"x":`), "another size": edit(t, `"size":1`, `"size":2`), "another file": edit(t, `"file_id":"`, `"file_id":"x`)},
			} {
				for what, x := range list {
					f.Clear()
					f.Add(faults.Rule{Match: faults.On("POST", path), Fault: x})
					e, err := d.Put(t.Context(), "new", held(content), store.PutOptions{})
					if c := d.Classify(err).Code; err == nil || c != fault.Unavailable && c != fault.DataLoss {
						t.Errorf("%s, %s: %+v, %v", path, what, e, err)
					}
					absent(path + ", " + what)
				}
			}
			for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing with a body": faults.Answer(200, nil, ""), "500": faults.Status(500, 0)} {
				f.Clear()
				f.Add(faults.Rule{Match: faults.On("POST", "recyclebin/trash"), Fault: x})
				if err := d.Delete(t.Context(), "big", store.Cond{}); err == nil {
					t.Errorf("delete, %s: no error", what)
				}
			}
			f.Clear()
			if b, err := read(t.Context(), d, store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
				t.Errorf("what was there before: %v", err)
			}
		})
	}
}

// An upload whose reply was lost, part or completion, is known again by what it left.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	d, f, _ := broken(t, 1, Options{})
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 200<<10)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), (100<<10)/16)
	f.Add(faults.Rule{Match: faults.Method("PUT"), Times: 1, Fault: faults.ResetHead()})
	if _, err := u.Part(t.Context(), 1, 0, held(body)); err == nil || !d.Classify(err).Retryable() {
		t.Fatalf("the lost reply of a part: %v", err)
	}
	one, err := u.Part(t.Context(), 1, 0, held(body))
	if err != nil {
		t.Fatalf("the part again: %v", err)
	}
	if _, err := u.Part(t.Context(), 1, 0, held(bytes.ToUpper(body))); err == nil {
		t.Error("other bytes are taken for the part that is there")
	}
	two, err := u.Part(t.Context(), 2, 100<<10, held(body))
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: faults.On("POST", "file/complete"), Times: 1, Fault: faults.ResetHead()})
	if _, err := u.Commit(t.Context(), []store.Part{one, two}); err == nil || !d.Classify(err).Retryable() {
		t.Fatalf("the lost reply of a completion: %v", err)
	}
	if e, err := u.Commit(t.Context(), []store.Part{one, two}); err != nil || e.Size != 200<<10 {
		t.Errorf("again: %+v, %v", e, err)
	}
}

// A listing is complete or an error.
func TestListFaults(t *testing.T) {
	t.Parallel()
	d, f, _ := broken(t, 10, Options{})
	for i := range 250 { // two pages
		if _, err := d.Put(t.Context(), fmt.Sprintf("k%03d", i), held(""), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(100), "reset": faults.Reset(100), "chunked and cut": faults.CutChunked(100), "a clean end": faults.CleanEnd(100),
		"a web page": faults.Portal(), "nothing": faults.Empty(), "an error in a reply of success": faults.Answer(200, nil, `{"code":"InternalError","message":"x"}`),
		"no size": edit(t, `"size"`, `"bytes"`), "no id": edit(t, `"file_id"`, `"id"`), "of another folder": edit(t, `"parent_file_id":"root"`, `"parent_file_id":"other"`), "a stall": faults.StallBody(50), "null": faults.Answer(200, nil, "null"), "a list": faults.Answer(200, nil, "[]"),
		"no items": edit(t, `"items"`, `"things"`), "no end": edit(t, `"next_marker"`, `"marker"`), "the same page for ever": edit(t, `"next_marker":"`, `"next_marker":"m200","x":"`),
		"half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
	} {
		for _, marker := range []bool{false, true} { // on the first page, on the second
			f.Clear()
			times := 0
			f.Add(faults.Rule{Match: func(r *http.Request) bool {
				if r.URL.Path != "/adrive/v3/file/list" {
					return false
				}
				times++
				return !marker || times > 1
			}, Fault: x})
			if p, err := d.List(t.Context(), store.Query{}); err == nil {
				t.Errorf("%s: %d names and no error", what, len(p.Entries))
			} else if c := d.Classify(err); c.Code != fault.DataLoss && !c.Retryable() {
				t.Errorf("%s: %v: %v", what, c.Code, err)
			}
		}
	}
	f.Clear()
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 251 {
		t.Errorf("without a fault: %d names, %v", len(p.Entries), err)
	}
}

// What a busy service refuses is tried again, after the time that it asks for.
func TestBusy(t *testing.T) {
	t.Parallel()
	for method, wait := range map[string]time.Duration{"refresh_token": flow, "openapi": 0} {
		k := fake.New()
		s := httptest.NewServer(k)
		defer s.Close()
		c := client(t, httpclient.Options{})
		d := openWith(t, env(c, login(t, k, c, method, s.URL, clock.Real)), Options{})
		if err := d.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Stat(t.Context(), "none", store.Cond{}); d.Classify(err).Code != fault.NotFound {
			t.Fatal(err)
		}
		k.Busy.Store(1)
		_, err := d.Stat(t.Context(), "none", store.Cond{})
		if x := d.Classify(err); x.Code != fault.ResourceExhausted || !x.Retryable() || x.RetryAfter != wait || x.Hint == "" {
			t.Errorf("%s: %+v: %v", method, x, err)
		}
		k.Busy.Store(3)
		fast := clock.NewFake(time.Now())
		if _, err := store.New("s", "alipan", d, store.Options{Clock: fast}).Put(t.Context(), "k", held("x"), store.WriteOptions{}); err != nil {
			t.Errorf("%s: a busy service: %v", method, err)
		}
	}
}
