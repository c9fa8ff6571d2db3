package adlsgen2

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Listings are in key order whatever the order and the pages of the service.
func TestOrder(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	var keys []string
	for i := range 20 {
		for _, k := range []string{"d%02d/x", "d%02d-x", "d%02d/y/z", "top%02d", "d%02d.x"} {
			keys = append(keys, fmt.Sprintf(k, i))
		}
	}
	for _, k := range keys {
		if _, err := d.Put(t.Context(), k, held(k), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	for _, s.Shuffled = range []bool{false, true} {
		for _, s.MaxPage = range []int{3, 20, 5000} {
			for _, q := range []store.Query{{}, {Prefix: "d1"}, {Prefix: "d11/"}, {After: "d08-x", Before: "d15/x"}, {Prefix: "top", Max: 3}, {Max: 11}} {
				var got, want []string
				for first := true; first || q.Token != ""; first = false {
					p, err := d.List(t.Context(), q)
					if err != nil {
						t.Fatalf("%+v: %v", q, err)
					}
					for _, e := range p.Entries {
						got = append(got, e.Key)
					}
					q.Token = p.Next
				}
				for _, k := range keys {
					if strings.HasPrefix(k, q.Prefix) && k > q.After && (q.Before == "" || k < q.Before) {
						want = append(want, k)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("shuffled %v, pages of %d, %+v: %d keys, want %d: %q", s.Shuffled, s.MaxPage, q, len(got), len(want), got)
				}
			}
		}
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), Options{Account: "examplelake", Filesystem: "raw"})
	defer d.Close()
	uri := d.URI("a/b c")
	if want := "abfss://raw@examplelake.dfs.core.windows.net/a/b c"; uri != want {
		t.Errorf("%q, want %q", uri, want)
	}
	whole := location{"examplelake.dfs.core.windows.net", "raw", "a/b c"}
	for in, want := range map[string]location{
		uri: whole,
		"abfs://raw@examplelake.dfs.core.windows.net/a/b c":     whole,
		"ABFSS://raw@ExampleLake.dfs.core.windows.net/a/b c":    whole,
		"azure-dl://examplelake.dfs.core.windows.net/raw/a/b c": whole,
		"https://examplelake.dfs.core.windows.net/raw/a/b%20c":  whole,
		"azure-dl://raw/a/b c":                                  {"", "raw", "a/b c"},
		"azure-dl://raw":                                        {"", "raw", ""},
		"abfss://raw@x1y.dfs.core.chinacloudapi.cn/":            {"x1y.dfs.core.chinacloudapi.cn", "raw", ""},
	} {
		if got, ok, err := locate(in); !ok || err != nil || got != want {
			t.Errorf("%s: %+v, %v, %v", in, got, ok, err)
		}
	}
	for _, in := range []string{"azure-dl://", "abfss://examplelake.dfs.core.windows.net/a", "https://examplelake.blob.core.windows.net/raw/a", "https://evil.example/raw",
		"abfss://raw@.dfs.core.windows.net/a", "azure-dl://examplelake.dfs.core.windows.net"} {
		if got, ok, err := addressing.Parse(in); ok {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	if _, ok, err := addressing.Parse("https://examplelake.dfs.core.windows.net/raw/a?sig=x"); !ok || err == nil {
		t.Errorf("a signature in the address: %v, %v", ok, err)
	}
}

// Directories come with the first object below them and go with the last one; what the dead left goes after a week.
func TestDirectoriesAndLeftovers(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	now := time.Now().Add(-8 * 24 * time.Hour)
	s.Now = func() time.Time { return now }
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	ctx := t.Context()
	put := func(key string) {
		t.Helper()
		if _, err := d.Put(ctx, key, held(key), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("dir/sub/a")
	dead, err := d.newTemp(ctx, "dir/sub/killed", azurerest.TempPut, azurerest.NewID(), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now = time.Now()
	alive, err := d.newTemp(ctx, "dir/sub/under-way", azurerest.TempPut, azurerest.NewID(), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer again.Close()
	if _, err := again.Put(ctx, "dir/sub/b", held("b"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if s.Staged(o.Filesystem, dead.path) >= 0 {
		t.Error("what a killed process left is still there")
	}
	if s.Staged(o.Filesystem, alive.path) < 0 {
		t.Error("the hidden file of a process that runs was removed")
	}
	alive.drop(ctx)
	for _, k := range []string{"dir/sub/a", "dir/sub/b"} {
		if err := d.Delete(ctx, k, store.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Staged(o.Filesystem, "dir") >= 0 {
		t.Error("an empty directory stays")
	}
	put("d")
	for key, call := range map[string]func(key string) error{
		"d/below": func(k string) error { _, err := d.Put(ctx, k, held("x"), store.PutOptions{}); return err },
	} {
		if class := d.Classify(call(key)); class.Code != fault.InvalidArgument || class.Hint == "" {
			t.Errorf("below a file: %+v", class)
		}
	}
	put("q/r")
	_, err = d.Put(ctx, "q", held("x"), store.PutOptions{})
	if class := d.Classify(err); class.Code != fault.InvalidArgument || class.Hint == "" {
		t.Errorf("in place of a directory: %+v: %v", class, err)
	}
	if _, err := d.Get(ctx, "q", store.GetOptions{}); d.Classify(err).Code != fault.NotFound {
		t.Errorf("a directory is read: %v", err)
	}
}

// Objects get the default entries of their directory's access control list.
func TestDefaultACL(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	call := func(r *azurerest.Request, status int) {
		t.Helper()
		if _, err := d.Call(t.Context(), r, status); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	call(&azurerest.Request{Action: "Path Create", Method: "PUT", Key: "team", Query: []string{"resource", "directory"}}, 201)
	r := &azurerest.Request{Action: "Path Update", Method: "PATCH", Key: "team", Query: []string{"action", "setAccessControl"}}
	r.Set("x-ms-acl", "user::rwx,group::r-x,other::---,default:user::rwx,default:group::rw-,default:other::---")
	call(r, 200)
	if _, err := d.Put(t.Context(), "team/sub/k", held("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if acl := s.ACL(o.Filesystem, "team/sub/k"); !strings.Contains(acl, "group::rw-") {
		t.Errorf("the object has the list %q", acl)
	}
}

// A service that answers a rename without an ETag is asked for it.
func TestQuietRename(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	s.QuietRename = true
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	e, err := d.Put(t.Context(), "k", held("x"), store.PutOptions{})
	if err != nil || e.ETag == "" || e.Modified.IsZero() {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := d.Put(t.Context(), "k", held("y"), store.PutOptions{IfMatch: e.ETag}); err != nil {
		t.Error(err)
	}
}

// A part that failed half way leaves nothing that a later one could take for its own.
func TestPartAgain(t *testing.T) {
	t.Parallel()
	s, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	const size = 3*appendSize + 100
	text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	u, err := d.Begin(t.Context(), "k", store.PutOptions{}, 2*size)
	if err != nil {
		t.Fatal(err)
	}
	one, err := u.Part(t.Context(), 1, 0, held(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Part(t.Context(), 2, size, short{held(text[:size-1]), size}); !fault.Is(err, fault.DataLoss) {
		t.Fatalf("a part whose source is short: %v", err)
	}
	path := azurerest.TempName("k", azurerest.TempUpload, u.(*upload).ID)
	if n := s.Staged(o.Filesystem, path); n < appendSize {
		t.Fatalf("%d bytes were appended before the source failed", n)
	}
	r, err := d.Resume(t.Context(), u.State())
	if err != nil {
		t.Fatal(err)
	}
	if have, err := r.Parts(t.Context()); err != nil || len(have) != 1 || have[0].ETag != one.ETag || have[0].Size != one.Size {
		t.Fatalf("%+v, %v", have, err)
	}
	two, err := r.Part(t.Context(), 2, size, held(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), []store.Part{one, two}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, d, "k"); got != text+text {
		t.Errorf("%d bytes", len(got))
	}
}

// short claims more bytes than it has.
type short struct {
	held
	size int64
}

// Size implements store.Body.
func (b short) Size() int64 { return b.size }

// An upload of unknown size grows its parts; it is listed, and can be dropped by who finds it.
func TestUnknownSize(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	for _, end := range []string{"commit", "drop"} {
		u, err := d.Begin(t.Context(), "dir/k", store.PutOptions{}, -1)
		if err != nil {
			t.Fatal(err)
		}
		var parts []store.Part
		off := int64(0)
		for n, text := range []string{"aa", "bbbb", "cccccccc", "d"} {
			p, err := u.Part(t.Context(), n+1, off, held(text))
			if err != nil {
				t.Fatal(err)
			}
			parts, off = append(parts, p), off+p.Size
		}
		if end == "commit" {
			if _, err := u.Commit(t.Context(), parts); err != nil || content(t, d, "dir/k") != "aabbbbccccccccd" {
				t.Error(err)
			}
			continue
		}
		page, err := d.Uploads(t.Context(), "dir/", "")
		if err != nil || len(page.Uploads) != 1 || page.Uploads[0].Size != off {
			t.Fatalf("%+v, %v", page, err)
		}
		r, err := d.Resume(t.Context(), page.Uploads[0].State)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Parts(t.Context()); !fault.Is(err, fault.Unimplemented) {
			t.Errorf("parts: %v", err)
		}
		if err := r.Abort(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if left := d.hidden(t.Context(), "dir/"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
