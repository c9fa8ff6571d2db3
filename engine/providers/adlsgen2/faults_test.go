package adlsgen2

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/adls"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// faulty opens a driver on a fresh stand-in behind a server of faults.
func faulty(t *testing.T) (*Driver, *faults.Server, *adls.Server) {
	s := adls.New(account, accountKey)
	f := faults.New(t, s)
	c := client(t, httpclient.Options{StallTimeout: time.Second, IdleTimeout: time.Second})
	d := openWith(t, c, byKey(t), Options{Account: account, Endpoint: f.URL + "/" + account, Filesystem: filesystem(), CreateIfNotExists: true})
	t.Cleanup(func() { d.Close() })
	if err := d.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, f, s
}

// failed fails unless err is one that tells of a damaged reply.
func failed(t *testing.T, d *Driver, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	switch c := d.Classify(err).Code; c {
	case fault.Unavailable, fault.DataLoss, fault.DeadlineExceeded, fault.FailedPrecondition:
	default:
		t.Errorf("%s: %v: %v", what, c, err)
	}
}

// Nothing that is short, altered or not the service's passes for an object.
func TestFaultsOfReads(t *testing.T) {
	t.Parallel()
	d, f, _ := faulty(t)
	if _, err := d.Put(t.Context(), "big", held(strings.Repeat("0123456789abcdef", 1<<16)), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	read := func(o store.GetOptions) error {
		x, err := d.Get(t.Context(), "big", o)
		if err != nil {
			return err
		}
		defer x.Body.Close()
		_, err = io.Copy(io.Discard, x.Body)
		return err
	}
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(1 << 19), "cut at the last byte": faults.Cut(1<<20 - 1), "reset": faults.Reset(1 << 19), "chunked and cut": faults.CutChunked(1 << 19),
		"chunked, clean end": faults.CleanEnd(1 << 19), "a flipped bit": faults.Flip(1 << 19), "gzip": faults.Gzip(), "a web page": faults.Portal(), "nothing": faults.Empty(),
		"no ETag": faults.DropHeaders("Etag"), "a redirect": faults.Redirect("http://127.0.0.1:1/"), "no reply": faults.StallHead(), "a stall": faults.StallBody(1 << 19),
		"throttled": faults.Status(503, 2*time.Second),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		failed(t, d, "read: "+what, read(store.GetOptions{}))
	}
	for what, x := range map[string]faults.Fault{
		"the whole": faults.Answer(200, map[string]string{"x-ms-request-id": "1", "ETag": `"0x1"`}, strings.Repeat("0123456789abcdef", 1<<16)), "no Content-Range": faults.DropHeaders("Content-Range"), "a flipped bit": faults.Flip(8),
		"another": faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", "bytes 0-15/1048576") }), "shorter": faults.Edit(func(b []byte) []byte { return b[:8] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		failed(t, d, "range: "+what, read(store.GetOptions{Range: &store.Range{Off: 1024, Len: 16}}))
	}
	for what, x := range map[string]faults.Fault{"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "500": faults.Status(500, 0)} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("HEAD"), Fault: x})
		_, err := d.Stat(t.Context(), "big", store.Cond{})
		failed(t, d, "stat: "+what, err)
	}
}

// A write of which any step fails is an error, and leaves the object that was there and no hidden file.
func TestFaultsOfWrites(t *testing.T) {
	t.Parallel()
	d, f, _ := faulty(t)
	if _, err := d.Put(t.Context(), "old", held("old"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	steps := map[string]func(*http.Request) bool{
		"create": faults.On("PUT", "resource=file"), "append": faults.On("PATCH", "action=append"), "flush": faults.On("PATCH", "action=flush"),
		"rename": func(r *http.Request) bool { return r.Header.Get("x-ms-rename-source") != "" },
	}
	for step, match := range steps {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no answer": faults.Abort(), "500": faults.Status(500, 0),
			"another sum": faults.Answer(202, map[string]string{"x-ms-request-id": "1", "x-ms-content-crc64": "AAAAAAAAAAA=", "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, ""),
			"a flip":      faults.Answer(400, map[string]string{"x-ms-error-code": "Crc64Mismatch"}, `{"error":{"code":"Crc64Mismatch","message":"no"}}`),
		} {
			f.Clear()
			f.Add(faults.Rule{Match: match, Fault: x})
			_, err := d.Put(t.Context(), "old", held(strings.Repeat("x", appendSize+10)), store.PutOptions{})
			failed(t, d, step+": "+what, err)
			f.Clear()
			if got := content(t, d, "old"); got != "old" {
				t.Fatalf("%s: %s: the object that was there is gone: %d bytes", step, what, len(got))
			}
			if left := d.hidden(t.Context(), ""); len(left) > 0 {
				t.Errorf("%s: %s: left behind: %v", step, what, left)
				d.remove(t.Context(), left[0].path, "")
			}
		}
	}
	// bytes that are altered on the way are refused by the service
	f.Add(faults.Rule{Match: steps["append"], Fault: func(x *faults.Exchange) {
		x.R.Body = io.NopCloser(&flip{r: x.R.Body})
		x.Pass()
	}})
	_, err := d.Put(t.Context(), "old", held("new"), store.PutOptions{})
	failed(t, d, "altered on the way", err)
	f.Clear()
	if got := content(t, d, "old"); got != "old" {
		t.Errorf("altered on the way: %q", got)
	}
}

type flip struct{ r io.Reader }

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// A rename whose reply is lost is known again by the ETag.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	d, f, _ := faulty(t)
	rename := func(r *http.Request) bool { return r.Header.Get("x-ms-rename-source") != "" }
	f.Add(faults.Rule{Match: rename, Times: 1, Fault: faults.ResetHead()})
	e, err := d.Put(t.Context(), "put", held("bytes"), store.PutOptions{IfAbsent: true})
	if err != nil || content(t, d, "put") != "bytes" {
		t.Fatalf("%+v, %v", e, err)
	}
	if st, err := d.Stat(t.Context(), "put", store.Cond{IfMatch: e.ETag}); err != nil || st.Size != 5 {
		t.Errorf("%+v, %v", st, err)
	}
	// the same with the look at the target failing too: the commit is tried again
	f.Clear()
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{IfAbsent: true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: faults.On("PATCH", "action=flush"), Skip: 1, Times: 1, Fault: faults.ResetHead()}) // the first is of the state file
	if _, err = u.Part(t.Context(), 1, 0, held("bytes")); err == nil {
		t.Fatal("a part whose flush has no reply is stored")
	}
	if _, err := u.Part(t.Context(), 1, 0, held("other")); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("the part again with other bytes: %v", err)
	}
	one, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatalf("the part again: %v", err)
	}
	two, err := u.Part(t.Context(), 2, 5, held("BYTES"))
	if err != nil {
		t.Fatal(err)
	}
	f.Clear()
	f.Add(faults.Rule{Match: rename, Times: 1, Fault: faults.ResetHead()})
	f.Add(faults.Rule{Match: faults.Method("HEAD"), Times: 1, Fault: faults.ResetHead()})
	_, err = u.Commit(t.Context(), []store.Part{one, two})
	failed(t, d, "a lost reply", err)
	e, err = u.Commit(t.Context(), []store.Part{one, two})
	if err != nil || e.Size != 10 || content(t, d, "parts") != "bytesBYTES" {
		t.Errorf("the commit again: %+v, %v", e, err)
	}
	if st, err := d.Stat(t.Context(), "parts", store.Cond{IfMatch: e.ETag}); err != nil || len(st.Sums) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	if left := d.hidden(t.Context(), ""); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A page of a listing that is not whole is an error.
func TestFaultsOfLists(t *testing.T) {
	t.Parallel()
	d, f, _ := faulty(t)
	for _, k := range []string{"a", "b/c", "b/d"} {
		if _, err := d.Put(t.Context(), k, held(k), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(from, to string) faults.Fault {
		return faults.Edit(func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), from, to)) })
	}
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(200), "clean end": faults.CleanEnd(200), "a web page": faults.Portal(), "nothing": faults.Empty(), "a stall": faults.StallBody(100),
		"an error": faults.Answer(200, nil, `{"error":{"code":"InternalError","message":"no"}}`), "an error with an id": faults.Answer(200, map[string]string{"x-ms-request-id": "1"}, `{"error":{"code":"InternalError","message":"no"}}`),
		"half of it": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }), "two documents": faults.Edit(func(b []byte) []byte { return append(b, b...) }),
		"no size": edit("contentLength", "length"), "no ETag": edit("etag", "tag"), "no time": edit("lastModified", "modified"), "no name": edit("name", "nom"),
		"the same page again": faults.Answer(200, map[string]string{"x-ms-request-id": "1", "x-ms-continuation": "again"}, `{"paths":[]}`), "a name twice": edit(`"b/d"`, `"b/c"`),
	} {
		for _, delim := range []string{"", "/"} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
			_, err := d.List(t.Context(), store.Query{Prefix: "b/", Delimiter: delim})
			failed(t, d, "list: "+what, err)
		}
	}
}
