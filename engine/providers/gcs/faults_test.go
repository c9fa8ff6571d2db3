package gcs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
	front "github.com/dsrun/dsrun/internal/testbed/gcs"
)

// broken returns a driver on the front behind faults, with an object "big" of n bytes.
func broken(t *testing.T, n int) (*Driver, *faults.Server, *front.Front, []byte) {
	t.Helper()
	k := newFront(t)
	f := faults.New(t, k)
	d := openWith(t, env(client(t, httpclient.Options{StallTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second}), bearer(goodToken)), Options{Bucket: bucket(t, k), Endpoint: f.URL})
	t.Cleanup(func() { d.Close() })
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*2654435761>>13 + i)
	}
	if _, err := d.Put(t.Context(), "big", held(content), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Clear()
	return d, f, k, content
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
	d, f, _, content := broken(t, 3<<20)
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
		"another encoding":     {faults.SetHeaders(func(h http.Header) { h.Set("Content-Encoding", "gzip") }), []fault.Code{fault.DataLoss}},
		"a web page":           {faults.Portal(), []fault.Code{fault.Unavailable}},
		"nothing":              {faults.Empty(), []fault.Code{fault.Unavailable}},
		"no generation":        {faults.DropHeaders("X-Goog-Generation"), []fault.Code{fault.Unavailable}},
		"a redirect":           {faults.Redirect(other.URL + "/x"), []fault.Code{fault.FailedPrecondition}},
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
		"another total":         faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 1048576-1048591/%d", n+1)) }),
		"no Content-Range":      faults.DropHeaders("Content-Range"),
		"a shorter range":       faults.Edit(func(b []byte) []byte { return b[:8] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		if b, err := read(t.Context(), d, store.GetOptions{Range: &rg}); err == nil || d.Classify(err).Code != fault.DataLoss {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
	}
	f.Clear() // a proxy that answers from its store ignores a pin
	f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.SetHeaders(func(h http.Header) { h.Set("X-Goog-Generation", "7") })})
	e, err := d.Stat(t.Context(), "big", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), d, store.GetOptions{IfMatch: e.ETag}); d.Classify(err).Code != fault.FailedPrecondition {
		t.Errorf("another generation than asked: %v", err)
	}
	f.Clear()
	if b, err := read(t.Context(), d, store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
		t.Errorf("without a fault: %v", err)
	}
}

// A connection that is reset after each MiB is taken up again where it broke off, pinned to the generation.
func TestResumedRead(t *testing.T) {
	d, f, _, content := broken(t, 8<<20)
	f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	r, err := store.New("s", "gcs", d, store.Options{}).Open(t.Context(), "big", store.ReadOptions{})
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
	again := f.Requests()[1:]
	if len(again) < 5 {
		t.Errorf("%d requests to go on", len(again))
	}
	for _, q := range again {
		if q.Header.Get("X-Goog-If-Generation-Match") == "" && !strings.Contains(q.Query, "generation=") || q.Header.Get("Range") == "" {
			t.Errorf("a request to go on is not pinned: %s %v", q.Query, q.Header)
		}
	}
}

// flipUpload inverts a bit of a request's body on its way, n bytes before the end, as a broken proxy would.
func flipUpload(n int) faults.Fault {
	return func(x *faults.Exchange) {
		b, _ := io.ReadAll(x.R.Body)
		b[len(b)-n] ^= 1
		x.R.Body = io.NopCloser(bytes.NewReader(b))
		x.Pass()
	}
}

var (
	crcText = regexp.MustCompile(`"crc32c":\s*"[^"]*"`)
	crcGone = func(b []byte) []byte { return crcText.ReplaceAll(b, []byte(`"x":1`)) }
	crcLie  = func(b []byte) []byte { return crcText.ReplaceAll(b, []byte(`"crc32c":"AAAAAA=="`)) }
)

// Success means that the service holds the bytes that were sent.
func TestWriteFaults(t *testing.T) {
	d, f, _, content := broken(t, 1<<20)
	for _, n := range []int{10, len(content)} {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no object": faults.Answer(200, nil, "{}"), "another checksum": faults.Edit(crcLie), "no checksum": faults.Edit(crcGone),
			"another object": faults.Edit(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"name":"new"`), []byte(`"name":"old"`)) }),
			"no answer":      faults.ResetHead(), "cut": faults.ResetUpload(int64(n / 2)), "a stall": faults.StallHead(), "500": faults.Status(500, 0), "altered on the way": flipUpload(36),
		} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
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
	f.Clear()
	f.Add(faults.Rule{Match: faults.Method("DELETE"), Fault: faults.Portal()})
	if err := d.Delete(t.Context(), "big", store.Cond{}); d.Classify(err).Code != fault.Unavailable {
		t.Errorf("a delete that a web page answers: %v", err)
	}
	f.Clear()
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "500": faults.Status(500, 0), "no answer": faults.ResetHead(), "half a reply": faults.Cut(20)} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.On("POST", "rewriteTo"), Fault: x})
		if e, err := d.CopyFrom(t.Context(), d, "big", "copy", store.CopyOptions{Size: int64(len(content))}); err == nil || !d.Classify(err).Retryable() {
			t.Errorf("copy, %s: %+v, %v", what, e, err)
		}
	}
}

// onePart begins an upload and stores its one part.
func onePart(t *testing.T, d *Driver, o store.PutOptions) (store.Upload, store.Part) {
	t.Helper()
	u, err := d.Begin(t.Context(), "parts", o, 5)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return u, p
}

// An upload in parts is complete or an error, and leaves nothing.
func TestUploadFaults(t *testing.T) {
	d, f, k, content := broken(t, 1<<20)
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "500": faults.Status(500, 0), "an error in a reply of success": faults.Answer(200, nil, "<?xml version='1.0'?><Error><Code>InternalError</Code><Message>x</Message></Error>"),
		"half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] })} {
		for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
			f.Clear()
			u, p := onePart(t, d, o)
			f.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
			if _, err := d.Begin(t.Context(), "more", o, 5); err == nil || !d.Classify(err).Retryable() {
				t.Errorf("begin, %s: %v", what, err)
			}
			if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() {
				t.Errorf("commit, %s: %v", what, err)
			}
			f.Clear()
			if err := u.Abort(t.Context()); err != nil {
				t.Errorf("abort: %v", err)
			}
			if err := d.Delete(t.Context(), "parts", store.Cond{}); err != nil { // an unconditional commit may have been done
				t.Fatal(err)
			}
		}
	}
	for what, x := range map[string]faults.Fault{"no ETag": faults.DropHeaders("Etag"), "no checksum": faults.DropHeaders("X-Goog-Hash"), "altered on the way": flipUpload(1),
		"another checksum": faults.SetHeaders(func(h http.Header) { h["X-Goog-Hash"] = []string{"crc32c=AAAAAA=="} })} {
		for _, n := range []int{5, len(content)} {
			f.Clear()
			u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, int64(n))
			if err != nil {
				t.Fatal(err)
			}
			f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
			if _, err := u.Part(t.Context(), 1, 0, held(content[:n])); err == nil || d.Classify(err).Code != fault.DataLoss && d.Classify(err).Code != fault.Unavailable {
				t.Errorf("a part of %d bytes, %s: %v", n, what, err)
			}
			f.Clear()
			if err := u.Abort(t.Context()); err != nil {
				t.Errorf("abort: %v", err)
			}
		}
	}
	f.Clear()
	u, _ := onePart(t, d, store.PutOptions{})
	f.Add(faults.Rule{Match: faults.Method("DELETE"), Fault: faults.Portal()})
	if err := u.Abort(t.Context()); err == nil {
		t.Error("an abort that a web page answers")
	}
	f.Clear()
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] })} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		if p, err := d.Uploads(t.Context(), "", ""); err == nil {
			t.Errorf("uploads, %s: %+v", what, p)
		}
		if p, err := u.Parts(t.Context()); err == nil {
			t.Errorf("parts, %s: %+v", what, p)
		}
	}
	f.Clear()
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A begin whose reply was damaged leaves what only a listing tells.
	left, err := d.Uploads(t.Context(), "", "")
	if err != nil || len(left.Uploads) == 0 {
		t.Errorf("%+v, %v", left, err)
	}
	for _, x := range left.Uploads {
		u, err := d.Resume(t.Context(), x.State)
		if err == nil {
			err = u.Abort(t.Context())
		}
		if err != nil || x.Key != "more" {
			t.Errorf("%+v: %v", x, err)
		}
	}
	page, err := d.List(t.Context(), store.Query{})
	if n := k.Uploads(); n != 0 || err != nil || len(page.Entries) != 1 {
		t.Errorf("%d uploads and %+v are left, %v", n, page.Entries, err)
	}
}

// A completion whose reply is lost is known again by what it left, and one under a condition goes on to its rename.
func TestLostCompletion(t *testing.T) {
	for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
		d, f, _, _ := broken(t, 1)
		u, p := onePart(t, d, o)
		f.Add(faults.Rule{Match: func(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }, Times: 1, Fault: faults.ResetHead()})
		if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() {
			t.Fatalf("%+v: the lost reply: %v", o, err)
		}
		if _, err := d.Stat(t.Context(), "parts", store.Cond{}); o.IfAbsent && d.Classify(err).Code != fault.NotFound {
			t.Errorf("%+v: visible before its rename: %v", o, err)
		}
		if e, err := u.Commit(t.Context(), []store.Part{p}); err != nil || e.Size != 5 || e.Key != "parts" {
			t.Errorf("%+v: again: %+v, %v", o, e, err)
		}
		p.Sum.Value = make([]byte, 4)
		if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil {
			t.Errorf("%+v: other parts are taken for what is stored", o)
		}
	}
}

// A bucket that retains its objects cannot rename one: the person reads what can be done.
func TestRetention(t *testing.T) {
	d, f, _, _ := broken(t, 1)
	u, p := onePart(t, d, store.PutOptions{IfAbsent: true})
	f.Add(faults.Rule{Match: faults.On("POST", "moveTo"), Fault: faults.Answer(403, map[string]string{"Content-Type": "application/json"}, `{"error":{"code":403,"message":"Object is subject to bucket's retention policy","errors":[{"reason":"retentionPolicyNotMet"}]}}`)})
	_, err := u.Commit(t.Context(), []store.Part{p})
	if c := d.Classify(err); c.Code != fault.PermissionDenied || !strings.Contains(c.Hint, "allow overwriting") {
		t.Errorf("%v: %+v", err, c)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// The loser of a race of conditional uploads in parts leaves nothing behind.
func TestLostRace(t *testing.T) {
	d, _, k, _ := broken(t, 1)
	u, p := onePart(t, d, store.PutOptions{IfAbsent: true})
	if _, err := d.Put(t.Context(), "parts", held("faster"), store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	_, err := u.Commit(t.Context(), []store.Part{p})
	if d.Classify(err).Code != fault.FailedPrecondition {
		t.Errorf("%v", err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	var res struct{ Items []resource }
	if _, err := d.json(t.Context(), d.metaRequest("storage.objects.list", "GET", "/o"), &res); err != nil || len(res.Items) != 2 || k.Uploads() != 0 { // "big" and "parts"
		t.Errorf("%+v and %d uploads are left, %v", res.Items, k.Uploads(), err)
	}
}

// A listing is complete or an error.
func TestListFaults(t *testing.T) {
	d, f, _, _ := broken(t, 10)
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
		"a web page": faults.Portal(), "nothing": faults.Empty(), "an error in a reply of success": faults.Answer(200, nil, `{"error":{"code":500,"message":"x"}}`),
		"no size": replace(`"size"`, `"bytes"`), "no generation": replace(`"generation"`, `"era"`), "out of bounds": replace(`"name":"big"`, `"name":"zig"`), "out of order": replace(`"name":"big"`, `"name":"l"`),
		"a stall": faults.StallBody(50), "null": faults.Answer(200, nil, "null"), "a list": faults.Answer(200, nil, "[]"), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
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
	f.Add(faults.Rule{Fault: replace(`"nextPageToken":"`+second.Next, `"nextPageToken":"`+whole.Next)})
	if _, err := d.List(t.Context(), store.Query{Max: 2, Token: whole.Next}); d.Classify(err).Code != fault.DataLoss {
		t.Errorf("the same token again: %v", err)
	}
}
