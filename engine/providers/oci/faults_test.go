package oci

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
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// broken returns a driver on the fake behind faults, with an object "big" of n bytes.
func broken(t *testing.T, n int) (*Driver, *faults.Server, []byte) {
	t.Helper()
	k := newFake()
	k.Bucket("b")
	f := faults.New(t, k)
	d := openWith(t, env(client(t, httpclient.Options{StallTimeout: 3 * time.Second, IdleTimeout: 3 * time.Second}), apiKey()), Options{Bucket: "b", Endpoint: f.URL})
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

// No read ends as success when its bytes are short, altered or others than asked.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	d, f, content := broken(t, 3<<20)
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
		"no ETag":              {faults.DropHeaders("Etag"), []fault.Code{fault.Unavailable}},
		"a redirect":           {faults.Redirect(other.URL + "/n/x"), []fault.Code{fault.FailedPrecondition}},
		"no reply":             {faults.StallHead(), []fault.Code{fault.DeadlineExceeded}},
		"a stall":              {faults.StallBody(1 << 20), []fault.Code{fault.DeadlineExceeded}},
		"no connection":        {faults.Reset(0), []fault.Code{fault.Unavailable}},
		"throttled":            {faults.Status(503, 2*time.Second), []fault.Code{fault.Unavailable}},
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x.fault})
		begun := time.Now()
		b, err := read(t.Context(), d, store.GetOptions{})
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
	}
	rg := store.Range{Off: 1 << 20, Len: 16}
	for what, x := range map[string]faults.Fault{
		"the whole for a range": faults.Whole(),
		"another range":         faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 0-15/%d", n)) }),
		"no Content-Range":      faults.DropHeaders("Content-Range"),
		"a shorter range":       faults.Edit(func(b []byte) []byte { return b[:8] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		if b, err := read(t.Context(), d, store.GetOptions{Range: &rg}); err == nil || d.Classify(err).Code != fault.DataLoss {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
	}
	f.Clear()
	if b, err := read(t.Context(), d, store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
		t.Errorf("without a fault: %v", err)
	}
}

// A connection that is reset after each MiB is taken up again where it broke off.
func TestResumedRead(t *testing.T) {
	t.Parallel()
	d, f, content := broken(t, 8<<20)
	f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	r, err := store.New("s", "oci", d, store.Options{}).Open(t.Context(), "big", store.ReadOptions{})
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
	for _, q := range f.Requests()[1:] {
		if q.Header.Get("If-Match") == "" || q.Header.Get("Range") == "" {
			t.Errorf("a request to go on is not pinned: %v", q.Header)
		}
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
	t.Parallel()
	d, f, content := broken(t, 1<<20)
	wrong := func(h http.Header) { h.Set("Opc-Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA==") }
	for _, n := range []int{10, len(content)} {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "another checksum": faults.SetHeaders(wrong), "no checksum": faults.DropHeaders("Opc-Content-Md5"),
			"no answer": faults.ResetHead(), "cut": faults.ResetUpload(int64(n / 2)), "a stall": faults.StallHead(), "500": faults.Status(500, 0), "altered on the way": flipUpload(5),
		} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
			e, err := d.Put(t.Context(), "new", held(content[:n]), store.PutOptions{})
			if err == nil {
				t.Errorf("put of %d bytes, %s: %+v", n, what, e)
			} else if c := d.Classify(err).Code; c != fault.Unavailable && c != fault.DataLoss && c != fault.DeadlineExceeded {
				t.Errorf("put of %d bytes, %s: %v: %v", n, what, c, err)
			}
			if what == "altered on the way" {
				f.Clear()
				if b, err := d.Get(t.Context(), "new", store.GetOptions{}); err == nil {
					got, _ := io.ReadAll(b.Body)
					b.Body.Close()
					if !bytes.Equal(got, content[:n]) {
						t.Errorf("put of %d bytes: altered bytes stay stored", n)
					}
				}
			}
		}
	}
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "no checksum": faults.DropHeaders("Opc-Multipart-Md5"),
		"another checksum": faults.SetHeaders(func(h http.Header) { h.Set("Opc-Multipart-Md5", "AAAAAAAAAAAAAAAAAAAAAA==-1") })} {
		f.Clear()
		u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 5)
		if err != nil {
			t.Fatal(err)
		}
		p, err := u.Part(t.Context(), 1, 0, held("bytes"))
		if err != nil {
			t.Fatal(err)
		}
		f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: flipUpload(1)})
		if _, err := u.Part(t.Context(), 1, 0, held("bytes")); err == nil {
			t.Error("a part that was altered on the way is taken")
		}
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
		if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() && d.Classify(err).Code != fault.DataLoss {
			t.Errorf("commit, %s: %v", what, err)
		}
		if what == "a web page" || what == "nothing" {
			if _, err := d.Begin(t.Context(), "more", store.PutOptions{}, 5); err == nil {
				t.Errorf("begin, %s: no error", what)
			}
			if _, err := d.SignURL(t.Context(), "k", store.SignOptions{Method: "GET", Expires: time.Minute}); err == nil {
				t.Errorf("a signed URL, %s: no error", what)
			}
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("DELETE"), Fault: x})
			if err := d.Delete(t.Context(), "big", store.Cond{}); err == nil {
				t.Errorf("delete, %s: no error", what)
			}
			if err := u.Abort(t.Context()); err == nil {
				t.Errorf("abort, %s: no error", what)
			}
		}
	}
}

// A listing is complete or an error.
func TestListFaults(t *testing.T) {
	t.Parallel()
	d, f, _ := broken(t, 10)
	for i := range 5 {
		if _, err := d.Put(t.Context(), fmt.Sprintf("k%d", i), held(nil), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := d.List(t.Context(), store.Query{Max: 2})
	if err != nil || whole.Next == "" {
		t.Fatal(whole, err)
	}
	replace := func(old, new string) faults.Fault {
		return faults.Edit(func(b []byte) []byte {
			if !strings.Contains(string(b), old) {
				t.Errorf("%q is not in %s", old, b)
			}
			return []byte(strings.Replace(string(b), old, new, 1))
		})
	}
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(100), "reset": faults.Reset(100), "chunked and cut": faults.CutChunked(100), "a clean end": faults.CleanEnd(100),
		"a web page": faults.Portal(), "nothing": faults.Empty(), "an error in a reply of success": faults.Answer(200, nil, `{"code":"InternalServerError","message":"x"}`),
		"no size": replace(`"size"`, `"bytes"`), "no ETag": replace(`"etag"`, `"tag"`), "out of bounds": replace(`"big"`, `"zig"`), "a stall": faults.StallBody(50), "null": faults.Answer(200, nil, "null"), "a list": faults.Answer(200, nil, "[]"),
		"half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Fault: x})
		if p, err := d.List(t.Context(), store.Query{Max: 2, Before: "y"}); err == nil {
			t.Errorf("%s: %d names and no error", what, len(p.Entries))
		} else if c := d.Classify(err); c.Code != fault.DataLoss && !c.Retryable() {
			t.Errorf("%s: %v: %v", what, c.Code, err)
		}
	}
	f.Clear() // the same token for ever
	second, err := d.List(t.Context(), store.Query{Max: 2, Token: whole.Next})
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Fault: replace(`"nextStartWith":"`+second.Next, `"nextStartWith":"`+whole.Next)})
	if _, err := d.List(t.Context(), store.Query{Max: 2, Token: whole.Next}); d.Classify(err).Code != fault.DataLoss {
		t.Errorf("the same token again: %v", err)
	}
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] })} {
		f.Clear()
		f.Add(faults.Rule{Fault: x})
		if p, err := d.Uploads(t.Context(), "", ""); err == nil {
			t.Errorf("uploads, %s: %+v", what, p)
		}
		d.mu.Lock()
		d.namespace = ""
		d.mu.Unlock()
		if _, err := d.Stat(t.Context(), "big", store.Cond{}); err == nil {
			t.Errorf("the namespace, %s: no error", what)
		}
		d.mu.Lock()
		d.namespace = "examplens"
		d.mu.Unlock()
	}
}

// A completion whose reply is lost is known again by what it left.
func TestLostCompletion(t *testing.T) {
	t.Parallel()
	d, f, _ := broken(t, 1)
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{IfAbsent: true}, 5)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: faults.Method("POST"), Times: 1, Fault: faults.ResetHead()})
	if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() {
		t.Fatalf("the lost reply: %v", err)
	}
	if e, err := u.Commit(t.Context(), []store.Part{p}); err != nil || e.Size != 5 {
		t.Errorf("again: %+v, %v", e, err)
	}
	p.Sum.Value = make([]byte, 16)
	if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil {
		t.Error("other parts are taken for what is stored")
	}
}
