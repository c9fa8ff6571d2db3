package huggingface

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed/faults"
	fake "github.com/dsrun/dsrun/internal/testbed/huggingface"
)

// broken returns a driver on a hub and a storage host that each stand behind faults. The repository has "big" of n bytes
// on the storage host and "small" of n/2 on the hub.
func broken(t *testing.T, n int) (d *Driver, hub, other *faults.Server, big, small []byte) {
	t.Helper()
	s := fake.New()
	s.Large = n
	hub, other = faults.New(t, s), faults.New(t, s.Storage())
	s.At(other.URL)
	big = make([]byte, n)
	for i := range big {
		big[i] = byte(i*2654435761>>13 + i)
	}
	small = big[n/2:]
	s.Commit("datasets/org/d", "main", map[string][]byte{"big": big, "small": small, "d/1": []byte("1"), "d/2": []byte("2"), "e": []byte("e")})
	d = openWith(t, env(client(t, httpclient.Options{StallTimeout: 3 * time.Second, IdleTimeout: 3 * time.Second}), nil), Options{Repo: "org/d", Endpoint: hub.URL})
	t.Cleanup(func() { d.Close() })
	if _, err := d.Stat(t.Context(), "e", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	return d, hub, other, big, small
}

func read(t *testing.T, d *Driver, key string, o store.GetOptions) ([]byte, error) {
	t.Helper()
	x, err := d.Get(t.Context(), key, o)
	if err != nil {
		return nil, err
	}
	defer x.Body.Close()
	return io.ReadAll(x.Body)
}

// No read ends as success when its bytes are short, altered or others than asked, whichever host they come from.
func TestReadFaults(t *testing.T) {
	t.Parallel()
	d, hub, other, big, small := broken(t, 3<<20)
	for key, where := range map[string]struct {
		f       *faults.Server
		content []byte
	}{"big": {other, big}, "small": {hub, small}} {
		n := int64(len(where.content))
		bytesOf := func(r *http.Request) bool {
			return where.f == other || strings.HasPrefix(r.URL.Path, "/api/resolve-cache")
		}
		for what, x := range map[string]struct {
			fault faults.Fault
			codes []fault.Code
		}{
			"cut":                  {faults.Cut(1 << 20), []fault.Code{fault.Unavailable}},
			"cut at the last byte": {faults.Cut(n - 1), []fault.Code{fault.Unavailable}},
			"reset":                {faults.Reset(1 << 20), []fault.Code{fault.Unavailable}},
			"chunked and cut":      {faults.CutChunked(1 << 20), []fault.Code{fault.Unavailable}},
			"chunked, clean end":   {faults.CleanEnd(1 << 20), []fault.Code{fault.Unavailable}},
			"a flipped bit":        {faults.Flip(1<<20 + 5), []fault.Code{fault.DataLoss}},
			"called gzip":          {faults.SetHeaders(func(h http.Header) { h.Set("Content-Encoding", "gzip") }), []fault.Code{fault.DataLoss}},
			"a web page":           {faults.Portal(), []fault.Code{fault.Unavailable, fault.DataLoss}},
			"nothing":              {faults.Empty(), []fault.Code{fault.Unavailable, fault.DataLoss}},
			"half":                 {faults.Edit(func(b []byte) []byte { return b[:len(b)/2] }), []fault.Code{fault.DataLoss}},
			"no reply":             {faults.StallHead(), []fault.Code{fault.DeadlineExceeded}},
			"a stall":              {faults.StallBody(1 << 20), []fault.Code{fault.DeadlineExceeded}},
			"no connection":        {faults.Reset(0), []fault.Code{fault.Unavailable}},
			"throttled":            {faults.Status(503, 2*time.Second), []fault.Code{fault.Unavailable}},
			"forbidden":            {faults.Status(403, 0), []fault.Code{fault.PermissionDenied}},
			"redirects for ever":   {faults.Redirect("/again"), []fault.Code{fault.Unavailable, fault.FailedPrecondition, fault.PermissionDenied}},
		} {
			where.f.Clear()
			where.f.Add(faults.Rule{Match: bytesOf, Fault: x.fault})
			begun := time.Now()
			b, err := read(t, d, key, store.GetOptions{})
			if err == nil {
				t.Errorf("%s: %s: %d of %d bytes and no error", key, what, len(b), n)
				continue
			}
			class := d.Classify(err)
			ok := false
			for _, c := range x.codes {
				ok = ok || class.Code == c
			}
			if !ok || time.Since(begun) > 10*time.Second {
				t.Errorf("%s: %s: %v after %v: %v", key, what, class.Code, time.Since(begun), err)
			}
			if what == "throttled" && class.RetryAfter != 2*time.Second {
				t.Errorf("%s: Retry-After is read as %v", key, class.RetryAfter)
			}
			if strings.Contains(err.Error(), "Signature") {
				t.Errorf("%s: %s: the error shows a signed address: %v", key, what, err)
			}
		}
		rg := store.Range{Off: 1 << 20, Len: 16}
		for what, x := range map[string]faults.Fault{
			"the whole for a range": faults.Whole(),
			"another range":         faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes 0-15/%d", n)) }),
			"another length":        faults.SetHeaders(func(h http.Header) { h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 1<<20, 1<<20+15, n+1)) }),
			"no Content-Range":      faults.DropHeaders("Content-Range"),
			"a shorter range":       faults.Edit(func(b []byte) []byte { return b[:8] }),
		} {
			where.f.Clear()
			where.f.Add(faults.Rule{Match: bytesOf, Fault: x})
			if b, err := read(t, d, key, store.GetOptions{Range: &rg}); err == nil || d.Classify(err).Code != fault.DataLoss {
				t.Errorf("%s: %s: %d bytes, %v", key, what, len(b), err)
			}
		}
		where.f.Clear()
		if b, err := read(t, d, key, store.GetOptions{}); err != nil || !bytes.Equal(b, where.content) {
			t.Errorf("%s without a fault: %v", key, err)
		}
	}
	for what, x := range map[string]faults.Fault{
		"no ETag":          faults.DropHeaders("X-Linked-Etag"),
		"another commit":   faults.SetHeaders(func(h http.Header) { h.Set("X-Repo-Commit", strings.Repeat("0", 40)) }),
		"another size":     faults.SetHeaders(func(h http.Header) { h.Set("X-Linked-Size", "7") }),
		"another checksum": faults.SetHeaders(func(h http.Header) { h.Set("X-Linked-Etag", `"`+strings.Repeat("0", 64)+`"`) }),
		"no address":       faults.DropHeaders("Location"),
		"another scheme":   faults.SetHeaders(func(h http.Header) { h.Set("Location", "file:///etc/passwd") }),
		"a web page":       faults.Portal(),
	} {
		hub.Clear()
		hub.Add(faults.Rule{Match: faults.On("GET", "/resolve/"), Fault: x})
		if b, err := read(t, d, "big", store.GetOptions{}); err == nil {
			t.Errorf("%s: %d bytes and no error", what, len(b))
		}
	}
}

// A connection that is reset after each MiB is taken up again where it broke off, each time by way of the hub, since
// signed addresses end.
func TestResumedRead(t *testing.T) {
	t.Parallel()
	d, hub, other, big, _ := broken(t, 8<<20)
	other.Add(faults.Rule{Match: faults.Method("GET"), Fault: faults.Reset(1 << 20)})
	hub.Clear()
	r, err := store.New("s", "huggingface", d, store.Options{}).Open(t.Context(), "big", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(big); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("other bytes than were stored")
	}
	if n := len(hub.Requests()); n < 8 {
		t.Errorf("%d requests to the hub", n)
	}
}

// No listing ends as success when it is short or altered.
func TestListFaults(t *testing.T) {
	t.Parallel()
	d, hub, _, _, _ := broken(t, 1<<10)
	link := func(text string) faults.Fault { return faults.SetHeaders(func(h http.Header) { h.Set("Link", text) }) }
	replace := func(old, new string) faults.Fault {
		return faults.Edit(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) })
	}
	for what, x := range map[string]faults.Fault{
		"cut":                        faults.Cut(50),
		"chunked, clean end":         faults.CleanEnd(50),
		"a web page":                 faults.Portal(),
		"nothing":                    faults.Empty(),
		"null":                       faults.Answer(200, map[string]string{"Content-Type": "application/json"}, "null"),
		"no list":                    faults.Answer(200, map[string]string{"Content-Type": "application/json"}, `{"error":"x"}`),
		"more behind the end":        faults.Edit(func(b []byte) []byte { return append(b, "[]"...) }),
		"gzip unasked":               faults.Gzip(),
		"the same page again":        link(`<http://h/x?recursive=true&expand=false>; rel="next"`),
		"a page that never ends":     link(`<http://h/x?cursor=1>; rel="next"`),
		"a next page without cursor": link(`<http://h/x>; rel="next"`),
		"no size":                    replace(`"size"`, `"sise"`),
		"a negative size":            replace(`"size":1`, `"size":-1`),
		"no id":                      replace(`"oid"`, `"iod"`),
		"a path twice":               replace(`"d/2"`, `"d/1"`),
		"503":                        faults.Status(503, 0),
		"no such repository":         faults.Answer(404, map[string]string{"X-Error-Code": "RepoNotFound"}, ""),
		"no such page":               faults.Answer(404, nil, ""),
		"no such folder at the top":  faults.Answer(404, map[string]string{"X-Error-Code": "EntryNotFound"}, ""),
	} {
		hub.Clear()
		hub.Add(faults.Rule{Match: faults.On("GET", "/tree/"), Fault: x})
		p, err := d.List(t.Context(), store.Query{})
		if err == nil {
			t.Errorf("%s: %d keys and no error", what, len(p.Entries))
		} else if c := d.Classify(err).Code; c == "" || c == fault.Internal {
			t.Errorf("%s: code %q: %v", what, c, err)
		}
	}
	hub.Clear()
	hub.Add(faults.Rule{Match: faults.On("GET", "/tree/"), Fault: replace(`"d/1"`, `"elsewhere"`)})
	if _, err := d.List(t.Context(), store.Query{Prefix: "d/"}); d.Classify(err).Code != fault.DataLoss {
		t.Errorf("a path of another folder: %v", err)
	}
	for what, x := range map[string]faults.Fault{"no commits": faults.Answer(200, nil, "[]"), "no id": faults.Answer(200, nil, `[{"id":"main"}]`), "a web page": faults.Portal(), "401": faults.Status(401, 0)} {
		hub.Clear()
		hub.Add(faults.Rule{Match: faults.On("GET", "/commits/"), Fault: x})
		fresh := openWith(t, env(client(t, httpclient.Options{}), nil), Options{Repo: "org/d", Endpoint: hub.URL})
		if _, err := fresh.Stat(t.Context(), "e", store.Cond{}); err == nil || d.Classify(err).Code == fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
}
