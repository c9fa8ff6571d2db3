package azurefiles

import (
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
	for i := range 15 {
		for _, k := range []string{"d%02d/x", "d%02d-x", "d%02d/y/z", "Top%02d", "a_b%02d", "ab%02d", "d%02d.x"} {
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
			for _, q := range []store.Query{{}, {Prefix: "d1"}, {Prefix: "d11/"}, {After: "d08-x", Before: "d13/x"}, {Prefix: "Top", Max: 3}, {Prefix: "top"}, {Prefix: "D11/"}, {Max: 11}} {
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

// The service takes names that differ in case for one; here each key is its own or is refused.
func TestCase(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	c := client(t, httpclient.Options{})
	d := openWith(t, c, byKey(t), o)
	defer d.Close()
	ctx := t.Context()
	for _, k := range []string{"Dir/Case", "other"} {
		if _, err := d.Put(ctx, k, held(k), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, fresh := range []bool{false, true} {
		x := d
		if fresh {
			x = openWith(t, c, byKey(t), o)
			defer x.Close()
		}
		for _, k := range []string{"dir/Case", "Dir/case", "DIR/CASE", "OTHER"} {
			if _, err := x.Stat(ctx, k, store.Cond{}); x.Classify(err).Code != fault.NotFound {
				t.Errorf("stat %s: %v", k, err)
			}
			if _, err := x.Get(ctx, k, store.GetOptions{}); x.Classify(err).Code != fault.NotFound {
				t.Errorf("get %s: %v", k, err)
			}
			for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
				_, err := x.Put(ctx, k, held("x"), o)
				if class := x.Classify(err); class.Code != fault.InvalidArgument || class.Hint == "" {
					t.Errorf("put %s: %v", k, err)
				}
			}
			if _, err := x.Begin(ctx, k, store.PutOptions{}, 10); x.Classify(err).Code != fault.InvalidArgument {
				t.Errorf("begin %s: %v", k, err)
			}
			if err := x.Delete(ctx, k, store.Cond{}); err != nil {
				t.Errorf("delete %s: %v", k, err)
			}
		}
		if _, err := x.Put(ctx, "dIR/new", held("x"), store.PutOptions{}); x.Classify(err).Code != fault.InvalidArgument {
			t.Errorf("put into a directory of another spelling: %v", err)
		}
		for _, k := range []string{"Dir/Case", "other"} {
			if got := content(t, x, k); got != k {
				t.Errorf("%s holds %q", k, got)
			}
		}
		p, err := x.List(ctx, store.Query{Prefix: "dir/"})
		if err != nil || len(p.Entries) > 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if err := d.Delete(ctx, "Dir/Case", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(ctx, "dir/case", held("now"), store.PutOptions{}); err != nil { // the directory is gone too
		t.Errorf("a free name: %v", err)
	}
	again := openWith(t, c, byKey(t), o)
	defer again.Close()
	if got := content(t, again, "dir/case"); got != "now" {
		t.Errorf("%q", got)
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
	dead, err := d.newTemp(ctx, "dir/sub/killed", azurerest.TempPut, azurerest.NewID(), store.PutOptions{}, 5, "")
	if err != nil {
		t.Fatal(err)
	}
	now = time.Now()
	old := store.PutOptions{Attrs: store.Attributes{Modified: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)}}
	alive, err := d.newTemp(ctx, "dir/sub/under-way", azurerest.TempPut, azurerest.NewID(), old, 5, "")
	if err != nil {
		t.Fatal(err)
	}
	again := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer again.Close()
	if _, err := again.Put(ctx, "dir/sub/b", held("b"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	names := s.Names(o.Share)
	if slices.Contains(names, dead.path) {
		t.Error("what a killed process left is still there")
	}
	if !slices.Contains(names, alive.path) {
		t.Error("the hidden file of a process that runs was removed")
	}
	alive.drop(ctx)
	for _, k := range []string{"dir/sub/a", "dir/sub/b"} {
		if err := d.Delete(ctx, k, store.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	if names := s.Names(o.Share); len(names) > 0 {
		t.Errorf("what was emptied stays: %q", names)
	}
	if _, err := again.Put(ctx, "dir/sub/c", held("c"), store.PutOptions{}); err != nil { // it remembers the directory
		t.Errorf("a directory that another process removed: %v", err)
	}
	put("d")
	put("q/r")
	for _, k := range []string{"d/below", "q"} {
		_, err := d.Put(ctx, k, held("x"), store.PutOptions{})
		if class := d.Classify(err); class.Code != fault.InvalidArgument || class.Hint == "" {
			t.Errorf("put %s: %+v: %v", k, class, err)
		}
	}
	if _, err := d.Get(ctx, "q", store.GetOptions{}); d.Classify(err).Code != fault.NotFound {
		t.Errorf("a directory is read: %v", err)
	}
}

// A part that failed half way leaves nothing that a later one could take for its own.
func TestPartAgain(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	const size = 3*rangeSize + 100
	text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	u, err := d.Begin(t.Context(), "k", store.PutOptions{}, 2*size)
	if err != nil {
		t.Fatal(err)
	}
	one, err := u.Part(t.Context(), 1, 0, held(text))
	if err != nil {
		t.Fatal(err)
	}
	two, err := u.Part(t.Context(), 2, size, held(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Resume(t.Context(), u.State())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Part(t.Context(), 2, size, short{held(strings.ToUpper(text[:size-1])), size}); !fault.Is(err, fault.DataLoss) {
		t.Fatalf("a part whose source is short: %v", err)
	}
	if have, err := r.Parts(t.Context()); err != nil || len(have) != 1 || have[0].ETag != one.ETag {
		t.Fatalf("%+v, %v", have, err)
	}
	if _, err := u.Commit(t.Context(), []store.Part{one, two}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a commit with a part that was half written over: %v", err)
	}
	if two, err = r.Part(t.Context(), 2, size, held(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Part(t.Context(), 3, 2*size, held("x")); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a part beyond the end: %v", err)
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

// An upload that another process is about to begin is not listed yet, and spoils no listing.
func TestUploadAboutToBegin(t *testing.T) {
	t.Parallel()
	_, o := serve(t)
	d := openWith(t, client(t, httpclient.Options{}), byKey(t), o)
	defer d.Close()
	if _, err := d.Put(t.Context(), "dir/a", held("a"), store.PutOptions{}); err != nil { // which makes the share
		t.Fatal(err)
	}
	if _, err := d.newTemp(t.Context(), "dir/k", azurerest.TempState, azurerest.NewID(), store.PutOptions{}, stateSize, ""); err != nil {
		t.Fatal(err)
	}
	if page, err := d.Uploads(t.Context(), "", ""); err != nil || len(page.Uploads) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}
