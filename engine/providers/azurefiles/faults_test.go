package azurefiles

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/azurefiles"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// faulty opens a driver on a fresh stand-in behind a server of faults.
func faulty(t *testing.T) (*Driver, *faults.Server, *azurefiles.Server) {
	s := azurefiles.New(account, accountKey)
	f := faults.New(t, s)
	c := client(t, httpclient.Options{StallTimeout: time.Second, IdleTimeout: time.Second})
	d := openWith(t, c, byKey(t), Options{Account: account, Endpoint: f.URL + "/" + account, Share: share(), CreateIfNotExists: true})
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
		"the whole":        faults.Answer(200, map[string]string{"x-ms-request-id": "1", "ETag": `"0x1"`}, strings.Repeat("0123456789abcdef", 1<<16)),
		"no Content-Range": faults.DropHeaders("Content-Range"), "a flipped bit": faults.Flip(8),
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
	d, f, s := faulty(t)
	if _, err := d.Put(t.Context(), "old", held("old"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	steps := map[string]func(*http.Request) bool{
		"create": func(r *http.Request) bool { return r.Header.Get("x-ms-type") == "file" }, "range": faults.On("PUT", "comp=range"),
		"properties": faults.On("PUT", "comp=properties"), "rename": faults.On("PUT", "comp=rename"),
	}
	for step, match := range steps {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no answer": faults.Abort(), "500": faults.Status(500, 0),
			"another sum": faults.Answer(201, map[string]string{"x-ms-request-id": "1", "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, ""),
			"a flip":      faults.Answer(400, map[string]string{"x-ms-error-code": "Md5Mismatch"}, "<Error><Code>Md5Mismatch</Code><Message>no</Message></Error>"),
		} {
			if step == "create" && what == "another sum" { // it is what a create looks like; the ranges then find no file
				continue
			}
			f.Clear()
			f.Add(faults.Rule{Match: match, Fault: x})
			_, err := d.Put(t.Context(), "old", held(strings.Repeat("x", rangeSize+10)), store.PutOptions{})
			failed(t, d, step+": "+what, err)
			f.Clear()
			if got := content(t, d, "old"); got != "old" {
				t.Fatalf("%s: %s: the object that was there is gone: %d bytes", step, what, len(got))
			}
			if left := s.Names(d.o.Share); len(left) != 1 {
				t.Fatalf("%s: %s: left behind: %q", step, what, left)
			}
		}
	}
	// bytes that are altered on the way are refused by the service
	f.Add(faults.Rule{Match: steps["range"], Fault: func(x *faults.Exchange) {
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

// A rename whose reply is lost is known again by the id of the file.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	d, f, s := faulty(t)
	rename := faults.On("PUT", "comp=rename")
	f.Add(faults.Rule{Match: rename, Times: 1, Fault: faults.ResetHead()})
	e, err := d.Put(t.Context(), "put", held("bytes"), store.PutOptions{IfAbsent: true})
	if err != nil || content(t, d, "put") != "bytes" {
		t.Fatalf("%+v, %v", e, err)
	}
	if st, err := d.Stat(t.Context(), "put", store.Cond{IfMatch: e.ETag}); err != nil || st.Size != 5 {
		t.Errorf("%+v, %v", st, err)
	}
	f.Clear()
	f.Add(faults.Rule{Match: rename, Times: 1, Fault: faults.DropHeaders("Etag")}) // a quiet rename is looked at
	if e, err = d.Put(t.Context(), "quiet", held("bytes"), store.PutOptions{}); err != nil || e.ETag == "" {
		t.Errorf("%+v, %v", e, err)
	}
	f.Clear()
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{IfAbsent: true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	two, err := u.Part(t.Context(), 2, 5, held("BYTES"))
	if err != nil {
		t.Fatal(err)
	}
	one, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: rename, Times: 1, Fault: faults.ResetHead()})
	f.Add(faults.Rule{Match: faults.Method("HEAD"), Times: 1, Fault: faults.ResetHead()})
	_, err = u.Commit(t.Context(), []store.Part{one, two})
	failed(t, d, "a lost reply", err)
	e, err = u.Commit(t.Context(), []store.Part{one, two})
	if err != nil || e.Size != 10 || content(t, d, "parts") != "bytesBYTES" {
		t.Errorf("the commit again: %+v, %v", e, err)
	}
	if left := s.Names(d.o.Share); len(left) != 3 {
		t.Errorf("left behind: %q", left)
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
		"cut": faults.Cut(300), "clean end": faults.CleanEnd(300), "a web page": faults.Portal(), "nothing": faults.Empty(), "a stall": faults.StallBody(100),
		"an error":   faults.Answer(200, map[string]string{"x-ms-request-id": "1"}, "<Error><Code>InternalError</Code></Error>"),
		"half of it": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }), "two documents": faults.Edit(func(b []byte) []byte { return append(b, b[3:]...) }),
		"no size": edit("Content-Length", "Length"), "no ETag": edit("Etag", "Tag"), "no time": edit("T", "t"), "no name": edit("<Name>", "<Name></Name><X>"),
		"no marker": edit("NextMarker", "Marker2"), "no names": edit("Entries>", "Entry>"), "a path": edit("<Name>c", "<Name>../c"),
		"the same page again": faults.Answer(200, map[string]string{"x-ms-request-id": "1"}, "<EnumerationResults><Entries></Entries><NextMarker>again</NextMarker></EnumerationResults>"),
		"a name twice":        edit("<Name>d<", "<Name>c<"),
	} {
		for _, delim := range []string{"", "/"} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
			_, err := d.List(t.Context(), store.Query{Prefix: "b/", Delimiter: delim})
			failed(t, d, "list: "+what, err)
		}
	}
}
