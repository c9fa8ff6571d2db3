package webhdfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

// node is the parameter by which front knows requests that are for a data node.
const node = "testbed.node"

// front stands before both nodes: it passes on to the name node, leads its redirects to itself, and passes those on to
// the data node that they name.
func front(t testing.TB, namenode string) http.Handler {
	base, err := url.Parse(namenode)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // what breaks is meant to
		Rewrite: func(r *httputil.ProxyRequest) {
			target := *base
			if n := r.In.URL.Query().Get(node); n != "" {
				target.Host = n
			}
			r.SetURL(&target)
			r.Out.Host = target.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			u, err := url.Parse(resp.Header.Get("Location"))
			if err == nil && u.Host != "" && resp.StatusCode == http.StatusTemporaryRedirect {
				q := "&" + node + "=" + url.QueryEscape(u.Host)
				resp.Header.Set("Location", "http://"+resp.Request.Header.Get("X-Forwarded-Front")+u.EscapedPath()+"?"+u.RawQuery+q)
			}
			return nil
		}}
}

// broken returns a driver on the cluster behind faults, with a file "big" of n bytes.
func broken(t *testing.T, h *testbed.HDFS, n int) (*Driver, *faults.Server, []byte) {
	t.Helper()
	next := front(t, h.URL)
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-Front", r.Host)
		next.ServeHTTP(w, r)
	}))
	d := openWith(t, env(client(t, httpclient.Options{StallTimeout: 10 * time.Second, IdleTimeout: 3 * time.Second}), user(h.User)), Config{Endpoint: f.URL, Root: "/" + rand.Text()})
	t.Cleanup(func() { d.Close() })
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*2654435761>>13 + i)
	}
	if _, err := d.Put(t.Context(), "big", storetest.Bytes(content), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Clear()
	return d, f, content
}

// toNode matches requests for a data node with an operation.
func toNode(op string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return strings.Contains(r.URL.RawQuery, node) && strings.Contains(r.URL.RawQuery, "op="+op)
	}
}

func op(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "op="+name) }
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
func readFaults(t *testing.T, h *testbed.HDFS) {
	d, f, content := broken(t, h, 3<<20)
	n := int64(len(content))
	for what, x := range map[string]faults.Fault{
		"cut": faults.Cut(1 << 20), "cut at the last byte": faults.Cut(n - 1), "reset": faults.Reset(1 << 20), "chunked and cut": faults.CutChunked(1 << 20), "chunked, clean end": faults.CleanEnd(1 << 20),
		"a flipped bit": faults.Flip(2 << 20), "gzip unasked": faults.Gzip(), "a web page": faults.Portal(), "nothing": faults.Empty(), "a redirect": faults.Redirect("http://127.0.0.1:1/webhdfs/v1/x"),
		"no connection": faults.Reset(0), "a stall": faults.StallBody(1 << 20), "500": faults.Status(500, 0), "half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }),
	} {
		f.Clear()
		f.Add(faults.Rule{Match: toNode("OPEN"), Fault: x})
		b, err := read(t.Context(), d, store.GetOptions{})
		if err == nil {
			t.Errorf("%s: %d of %d bytes and no error", what, len(b), n)
		} else if c := d.Classify(err).Code; c != fault.Unavailable && c != fault.DataLoss && c != fault.DeadlineExceeded && c != fault.FailedPrecondition {
			t.Errorf("%s: %v: %v", what, c, err)
		}
		if what == "a stall" {
			continue
		}
		if what == "500" || what == "a web page" || what == "nothing" || what == "no connection" {
			for _, match := range []func(*http.Request) bool{op("GETFILESTATUS"), op("OPEN"), op("GETFILECHECKSUM")} {
				f.Clear()
				f.Add(faults.Rule{Match: match, Fault: x})
				if b, err := read(t.Context(), d, store.GetOptions{}); err == nil {
					t.Errorf("%s of the name node: %d bytes and no error", what, len(b))
				}
			}
		}
	}
	f.Clear()
	rg := store.Range{Off: 1 << 20, Len: 16}
	f.Add(faults.Rule{Match: toNode("OPEN"), Fault: faults.Edit(func(b []byte) []byte { return content })})
	if b, err := read(t.Context(), d, store.GetOptions{Range: &rg}); err == nil {
		t.Errorf("the whole for a range: %d bytes", len(b))
	}
	f.Clear()
	if b, err := read(t.Context(), d, store.GetOptions{}); err != nil || !bytes.Equal(b, content) {
		t.Errorf("without a fault: %v", err)
	}
}

// resetAfter ends the connection after n bytes of a request's body.
func resetAfter(n int64) faults.Fault {
	return func(x *faults.Exchange) {
		io.CopyN(io.Discard, x.R.Body, n)
		faults.Abort()(x)
	}
}

// Success means that the cluster holds the bytes that were sent, at the key.
func writeFaults(t *testing.T, h *testbed.HDFS) {
	d, f, content := broken(t, h, 1<<20)
	flip := func(x *faults.Exchange) {
		b, _ := io.ReadAll(x.R.Body)
		b[5] ^= 1
		x.R.Body = io.NopCloser(bytes.NewReader(b))
		x.Pass()
	}
	cases := map[string]faults.Rule{
		"cut":                   {Match: toNode("CREATE"), Fault: resetAfter(1 << 19)},
		"altered on the way":    {Match: toNode("CREATE"), Fault: flip},
		"no answer":             {Match: toNode("CREATE"), Fault: faults.ResetHead()},
		"a web page":            {Match: toNode("CREATE"), Fault: faults.Portal()},
		"nothing":               {Match: toNode("CREATE"), Fault: faults.Empty()},
		"made, and not":         {Match: toNode("CREATE"), Fault: faults.Answer(201, nil, "")},
		"500":                   {Match: toNode("CREATE"), Fault: faults.Status(500, 0)},
		"no rename":             {Match: op("RENAME"), Fault: faults.Empty()},
		"a page for the rename": {Match: op("RENAME"), Fault: faults.Portal()},
		"a page for the folder": {Match: op("MKDIRS"), Fault: faults.Portal()},
		"no checksum":           {Match: toNode("GETFILECHECKSUM"), Fault: faults.Portal()},
		"a page for the node":   {Match: op("CREATE"), Fault: faults.Portal()},
	}
	for what, rule := range cases {
		f.Clear()
		f.Add(rule)
		e, err := d.Put(t.Context(), "new", storetest.Bytes(content), store.PutOptions{})
		if err == nil {
			t.Errorf("%s: %+v", what, e)
		} else if c := d.Classify(err).Code; c != fault.Unavailable && c != fault.DataLoss && c != fault.DeadlineExceeded {
			t.Errorf("%s: %v: %v", what, c, err)
		}
		f.Clear()
		if _, err := d.Stat(t.Context(), "new", store.Cond{}); d.Classify(err).Code != fault.NotFound {
			t.Errorf("%s: the file is there: %v", what, err)
		}
	}
	f.Clear()
	for _, x := range []faults.Fault{faults.Portal(), faults.Empty(), faults.Reset(0)} {
		f.Clear()
		f.Add(faults.Rule{Match: op("DELETE"), Fault: x})
		if err := d.Delete(t.Context(), "big", store.Cond{}); err == nil {
			t.Error("a delete that did not happen: no error")
		}
	}
	f.Clear()
	if left, err := d.readDir(t.Context(), hidden+"/"); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// A listing is complete or an error.
func listFaults(t *testing.T, h *testbed.HDFS) {
	d, f, _ := broken(t, h, 10)
	for what, x := range map[string]faults.Fault{"cut": faults.Cut(100), "reset": faults.Reset(100), "chunked and cut": faults.CutChunked(100), "a clean end": faults.CleanEnd(100), "a web page": faults.Portal(), "nothing": faults.Empty(),
		"half": faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }), "an object": faults.Answer(200, nil, "{}"), "null": faults.Answer(200, nil, "null"), "500": faults.Status(500, 0),
		"an error in a reply of success": faults.Answer(200, nil, `{"RemoteException":{"exception":"IOException","message":"x"}}`),
		"more that never comes":          faults.Answer(200, nil, `{"DirectoryListing":{"partialListing":{"FileStatuses":{"FileStatus":[]}},"remainingEntries":7}}`),
		"the same again and again": faults.Edit(func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"remainingEntries":0`), []byte(`"remainingEntries":1`), 1)
		})} {
		f.Clear()
		f.Add(faults.Rule{Match: op("LISTSTATUS_BATCH"), Fault: x})
		if p, err := d.List(t.Context(), store.Query{}); err == nil {
			t.Errorf("%s: %d names and no error", what, len(p.Entries))
		} else if c := d.Classify(err); c.Code != fault.DataLoss && !c.Retryable() {
			t.Errorf("%s: %v: %v", what, c.Code, err)
		}
	}
}

// A redirect leads to data nodes only, and carries nothing elsewhere.
func TestRedirects(t *testing.T) {
	t.Parallel()
	hits := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hits++ }))
	defer stranger.Close()
	away := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "GETFILESTATUS") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"FileStatus":{"type":"FILE","length":5,"fileId":7,"modificationTime":1,"blockSize":134217728,"pathSuffix":""}}`)
			return
		}
		w.Header().Set("Location", away+"/webhdfs/v1/x?delegation=canary")
		w.WriteHeader(307)
	}))
	d := openWith(t, env(client(t, httpclient.Options{}), user("u")), Config{Endpoint: f.URL, Root: "/"})
	defer d.Close()
	for what, call := range map[string]func() error{
		"get": func() error { _, err := d.Get(t.Context(), "k", store.GetOptions{}); return err },
		"put": func() error {
			_, err := d.Put(t.Context(), "k", storetest.Bytes([]byte("x")), store.PutOptions{})
			return err
		},
	} {
		err := call()
		if d.Classify(err).Code != fault.PermissionDenied || strings.Contains(err.Error(), "canary") || !strings.Contains(d.Classify(err).Hint, "data_nodes") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if hits != 0 {
		t.Errorf("%d requests reached a stranger", hits)
	}
	for _, x := range []struct {
		base  string
		nodes []string
		to    string
		ok    bool
	}{
		{"https://nn1.hadoop.example.com:9871", nil, "https://dn7.hadoop.example.com:9865/webhdfs/v1/x", true},
		{"https://nn1.hadoop.example.com:9871", nil, "https://nn1.hadoop.example.com:1/webhdfs/v1/x", true},
		{"https://nn1.hadoop.example.com:9871", nil, "http://dn7.hadoop.example.com:9864/webhdfs/v1/x", false},
		{"https://nn1.hadoop.example.com:9871", nil, "https://dn7.evil.com/webhdfs/v1/x", false},
		{"https://nn1.hadoop.example.com:9871", nil, "https://hadoop.example.com.evil.com/webhdfs/v1/x", false},
		{"https://nn1.hadoop.example.com:9871", nil, "https://u:p@dn7.hadoop.example.com/webhdfs/v1/x", false},
		{"https://nn1.hadoop.example.com:9871", nil, "https://dn7.hadoop.example.com/other", false},
		{"http://example.com", nil, "http://other.com/webhdfs/v1/x", false},
		{"http://10.0.0.1:9870", nil, "http://20.0.0.1:9864/webhdfs/v1/x", false},
		{"http://nn:9870", []string{"dn1", "dn2:9864", ".dn.local"}, "http://dn1:5/webhdfs/v1/x", true},
		{"http://nn:9870", []string{"dn1", "dn2:9864", ".dn.local"}, "http://dn2:9864/webhdfs/v1/x", true},
		{"http://nn:9870", []string{"dn1", "dn2:9864", ".dn.local"}, "http://dn2:1/webhdfs/v1/x", false},
		{"http://nn:9870", []string{"dn1", "dn2:9864", ".dn.local"}, "http://a.dn.local/webhdfs/v1/x", true},
		{"http://nn:9870", []string{"dn1", "dn2:9864", ".dn.local"}, "http://nn:9864/webhdfs/v1/x", false},
	} {
		d := openWith(t, env(nil, nil), Config{Endpoint: x.base, DataNodes: x.nodes, Root: "/"})
		u, err := url.Parse(x.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.trusted(u); (got == nil) != x.ok {
			t.Errorf("%s to %s: %v", x.base, x.to, got)
		}
	}
}
