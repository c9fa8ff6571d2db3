package s3

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
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// broken returns a driver on versitygw behind a fault server, with an object "big" of n bytes.
func broken(t *testing.T, n int) (*Driver, *faults.Server, []byte) {
	t.Helper()
	a := testbed.VersityGW(t)
	f := faults.NewProxy(t, a.URL)
	c := client(t, httpclient.Options{StallTimeout: time.Second, IdleTimeout: time.Second})
	d := openWith(t, env(c, keys(a.AccessKeyID, a.SecretAccessKey)), Options{Bucket: bucket(), Endpoint: f.URL, Preset: "aws", Region: a.Region, CreateIfNotExists: true})
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
		"a redirect":           {faults.Redirect(other.URL + "/b/big"), []fault.Code{fault.FailedPrecondition}},
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
		"the whole for a range": faults.Answer(200, map[string]string{"ETag": `"x"`}, string(content)),
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
	d, f, content := broken(t, 8<<20)
	f.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	s := store.New("s", "s3", d, store.Options{})
	r, err := s.Open(t.Context(), "big", store.ReadOptions{})
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
	t.Logf("%d requests, %d bytes beyond the object's", f.Count("GET"), f.Sent()-int64(len(content)))
}

// resetAfter ends the connection after n bytes of a request's body.
func resetAfter(n int64) faults.Fault {
	return func(x *faults.Exchange) {
		io.CopyN(io.Discard, x.R.Body, n)
		faults.Abort()(x)
	}
}

// Success means that the service holds the bytes.
func TestWriteFaults(t *testing.T) {
	d, f, content := broken(t, 1<<20)
	wrong := func(h http.Header) { h.Set("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=") }
	for _, n := range []int{10, len(content)} {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "another checksum": faults.SetHeaders(wrong),
			"no answer": faults.ResetHead(), "cut": resetAfter(int64(n / 2)), "a stall": faults.StallHead(), "500": faults.Status(500, 0),
		} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
			e, err := d.Put(t.Context(), "new", held(content[:n]), store.PutOptions{})
			if err == nil {
				t.Errorf("put of %d bytes, %s: %+v", n, what, e)
			} else if c := d.Classify(err).Code; c != fault.Unavailable && c != fault.DataLoss && c != fault.DeadlineExceeded {
				t.Errorf("put of %d bytes, %s: %v: %v", n, what, c, err)
			}
		}
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: faults.DropHeaders("X-Amz-Checksum-Crc64nvme", "X-Amz-Checksum-Type")})
		if _, err := d.Put(t.Context(), "new", held(content[:n]), store.PutOptions{}); err != nil || f.Count("HEAD") != 1 {
			t.Errorf("a reply without checksum: %v after %d HEAD", err, f.Count("HEAD"))
		}
	}
	for what, x := range map[string]faults.Fault{
		"an error in a reply of success": faults.Answer(200, map[string]string{"Content-Type": "application/xml"}, "<?xml version=\"1.0\"?>\n  <Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"),
		"a web page":                     faults.Portal(), "nothing": faults.Empty(), "half of it": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
		"no ETag": faults.Answer(200, nil, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"),
	} {
		f.Clear()
		u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 5)
		if err != nil {
			t.Fatal(err)
		}
		p, err := u.Part(t.Context(), 1, 0, held("bytes"))
		if err != nil {
			t.Fatal(err)
		}
		f.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
		if _, err := u.Commit(t.Context(), []store.Part{p}); err == nil || !d.Classify(err).Retryable() {
			t.Errorf("complete, %s: %v", what, err)
		}
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
		if what != "no ETag" {
			if _, err := d.CopyFrom(t.Context(), d, "big", "copy", store.CopyOptions{Size: 1 << 20, SrcIfMatch: `"x"`}); err == nil {
				t.Errorf("copy, %s: no error", what)
			}
		}
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("POST"), Fault: x})
		if failed, err := d.DeleteBatch(t.Context(), []string{"a", "b"}); err == nil && len(failed) != 2 {
			t.Errorf("delete of a batch, %s: %v, %v", what, failed, err)
		}
		if _, err := d.Begin(t.Context(), "more", store.PutOptions{}, 5); err == nil {
			t.Errorf("begin, %s: no error", what)
		}
	}
}

// A listing is complete or an error.
func TestListFaults(t *testing.T) {
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
		"cut": faults.Cut(200), "reset": faults.Reset(200), "chunked and cut": faults.CutChunked(200), "a clean end": faults.CleanEnd(200),
		"a web page": faults.Portal(), "nothing": faults.Empty(), "an error in a reply of success": faults.Answer(200, nil, "<Error><Code>InternalError</Code></Error>"),
		"no token": replace("<NextContinuationToken>", "<Token>"), "another count": replace("<KeyCount>2<", "<KeyCount>3<"), "a stall": faults.StallBody(100),
		"a page of another kind": replace("<ListBucketResult", "<ListBucketResults"), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Fault: x})
		if p, err := d.List(t.Context(), store.Query{Max: 2}); err == nil {
			t.Errorf("%s: %d names and no error", what, len(p.Entries))
		} else if c := d.Classify(err); c.Code != fault.DataLoss && !c.Retryable() {
			t.Errorf("%s: %v: %v", what, c.Code, err)
		}
	}
	f.Clear() // the same token for ever
	f.Add(faults.Rule{Fault: faults.SetHeaders(func(http.Header) {})})
	second, err := d.List(t.Context(), store.Query{Max: 2, Token: whole.Next})
	if err != nil {
		t.Fatal(err)
	}
	f.Clear()
	f.Add(faults.Rule{Fault: replace(">"+second.Next+"<", ">"+whole.Next+"<")})
	if _, err := d.List(t.Context(), store.Query{Max: 2, Token: whole.Next}); d.Classify(err).Code != fault.DataLoss {
		t.Errorf("the same token again: %v", err)
	}
}

// A completion whose reply is lost is known again by what it left.
func TestLostCompletion(t *testing.T) {
	d, f, _ := broken(t, 1)
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 5)
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
	// The service knows nothing of the upload any more, as AWS after a while.
	for etag, lost := range map[string]bool{p.ETag: false, `"00000000000000000000000000000000"`: true} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("POST"), Fault: faults.Answer(404, nil, "<Error><Code>NoSuchUpload</Code></Error>")})
		p.ETag = etag
		e, err := u.Commit(t.Context(), []store.Part{p})
		if (err != nil) != lost || err == nil && e.Size != 5 {
			t.Errorf("the part is %s: %+v, %v", etag, e, err)
		}
	}
}
