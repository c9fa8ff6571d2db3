package azureblob

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// TestFaults: nothing that is short, altered or not the service's passes as success.
func TestFaults(t *testing.T) {
	a := testbed.Azurite(t)
	f := faults.NewProxy(t, a.URL)
	c := client(t, httpclient.Options{StallTimeout: time.Second, IdleTimeout: time.Second})
	d := openWith(t, c, keyOf(t, a), Options{Account: a.Account, Endpoint: f.URL + "/" + a.Account, Container: container(), CreateIfNotExists: true})
	defer d.Close()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, key := range []string{"big", "other"} {
		if _, err := d.Put(t.Context(), key, held(content), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, err error) {
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
		check("read: "+what, read(store.GetOptions{}))
	}
	for what, x := range map[string]faults.Fault{
		"the whole": faults.Answer(200, map[string]string{"ETag": `"x"`, "x-ms-request-id": "1"}, string(content)), "no Content-Range": faults.DropHeaders("Content-Range"), "a flipped bit": faults.Flip(8),
		"another": faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", "bytes 0-15/1048576") }), "shorter": faults.Edit(func(b []byte) []byte { return b[:8] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		check("range: "+what, read(store.GetOptions{Range: &store.Range{Off: 1024, Len: 16}}))
	}
	for _, n := range []int{10, blockSize + 10} {
		for what, x := range map[string]faults.Fault{
			"a web page": faults.Portal(), "nothing": faults.Empty(), "no ETag": faults.DropHeaders("Etag"), "no answer": faults.ResetHead(), "a stall": faults.StallHead(), "500": faults.Status(500, 0),
			"another MD5": faults.SetHeaders(func(h http.Header) {
				h.Set("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
				h.Set("x-ms-content-crc64", "AAAAAAAAAAA=")
			}),
		} {
			f.Clear()
			f.Add(faults.Rule{Match: faults.Method("PUT"), Fault: x})
			_, err := d.Put(t.Context(), "new", held(bytes.Repeat([]byte("x"), n)), store.PutOptions{})
			check("put: "+what, err)
		}
	}
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(200), "clean end": faults.CleanEnd(200), "a web page": faults.Portal(), "nothing": faults.Empty(), "a stall": faults.StallBody(100),
		"no marker":  faults.Edit(func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "NextMarker", "Marker2")) }),
		"an error":   faults.Answer(200, nil, "<Error><Code>InternalError</Code></Error>"),
		"no names":   faults.Edit(func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "Blobs>", "Blubs>")) }),
		"half of it": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: faults.Method("GET"), Fault: x})
		_, err := d.List(t.Context(), store.Query{Max: 1})
		check("list: "+what, err)
	}
	f.Clear() // a commit whose reply is lost is known again
	u, err := d.Begin(t.Context(), "parts", store.PutOptions{IfAbsent: true}, 5)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.Part(t.Context(), 1, 0, held("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: faults.On("PUT", "comp=blocklist"), Times: 1, Fault: faults.ResetHead()})
	_, err = u.Commit(t.Context(), []store.Part{p})
	check("a lost reply", err)
	if e, err := u.Commit(t.Context(), []store.Part{p}); err != nil || e.Size != 5 {
		t.Errorf("the commit again: %+v, %v", e, err)
	}
}
