package store

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

func fill(d *memDriver, keys ...string) {
	for _, k := range keys {
		d.set(k, "content of "+k)
	}
}

// What Overwrite means for a target that is absent, the same, or other, where both sides are walked side by side and
// where each target is asked for.
func TestCopyMatrix(t *testing.T) {
	ctx := context.Background()
	for _, order := range []Order{OrderByKey, OrderNone} {
		for _, page := range []int{1, 2, 1000} {
			for mode, want := range map[Overwrite]string{
				OverwriteNever:     "copied 2, skipped 3",
				OverwriteIfChanged: "copied 4, skipped 1",
				OverwriteAlways:    "copied 5, skipped 0",
			} {
				src, dst := newMem(), newMem()
				src.caps.Order, src.page, dst.page = order, page, page
				fill(src, "in/a", "in/b", "in/c", "in/d", "in/e")
				dst.set("out/0", "extra")
				dst.set("out/b", "content of in/b")                  // the same
				dst.set("out/c", "other size")                       // changed by size
				dst.set("out/d", strings.ToUpper("content of in/d")) // changed by checksum
				dst.set("out/zz", "extra")
				s, d := newStore(t, src, Options{}), newStore(t, dst, Options{})
				res, err := Copy(ctx, s, d, CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/", Overwrite: mode})
				if got := fmt.Sprintf("copied %d, skipped %d", res.Copied, res.Skipped); got != want || err != nil {
					t.Errorf("order %s, pages of %d, overwrite %d: %s, %v; want %s", order, page, mode, got, err, want)
				}
				for _, k := range []string{"a", "e"} {
					if got, _ := dst.get("out/" + k); got != "content of in/"+k {
						t.Errorf("%s is %q", k, got)
					}
				}
				c, _ := dst.get("out/c")
				if (c == "content of in/c") != (mode != OverwriteNever) {
					t.Errorf("overwrite %d left %q", mode, c)
				}
				if extra, ok := dst.get("out/0"); !ok || extra != "extra" {
					t.Error("an extra object was touched")
				}
				if order == OrderByKey && dst.count("stat") != 0 {
					t.Errorf("%d stats where the listing says all", dst.count("stat"))
				}
				if res.ClientBytes != res.Bytes || res.Bytes == 0 {
					t.Errorf("%d bytes, %d through the client", res.Bytes, res.ClientBytes)
				}
			}
		}
	}
}

func TestCopyKeepsAttributes(t *testing.T) {
	ctx := context.Background()
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	attrs := Attributes{ContentType: "text/csv", ContentEncoding: "gzip", ContentDisposition: "attachment", CacheControl: "no-store",
		ContentLanguage: "de", User: map[string]string{"k": "v"}, Modified: when}
	for _, size := range []int{10, 3 * int(small.from)} {
		for _, service := range []bool{false, true} {
			var sd, dd Driver
			src, dst := newMem(), newParts(PartLimits{Count: 100, Max: 1 << 30})
			src.mu.Lock()
			src.store("k", testBytes(size), attrs)
			src.mu.Unlock()
			sd, dd = src, dst
			if service {
				sd, dd = &copyDriver{src}, &copyDriver{dst.memDriver}
			}
			s, d := newStore(t, sd, Options{}), newStore(t, dd, Options{})
			res, err := Copy(ctx, s, d, CopyJob{})
			if err != nil || res.Copied != 1 || (res.ClientBytes == 0) != service {
				t.Fatal(res, err)
			}
			e, err := d.Stat(ctx, "k", Cond{})
			if err != nil || fmt.Sprint(*e.Attrs) != fmt.Sprint(attrs) || !e.Modified.Equal(when) {
				t.Errorf("%d bytes: %+v", size, e.Attrs)
			}
			if service && src.count("get")+dst.count("put") != 0 {
				t.Error("bytes passed through the client")
			}
			if !service && size == 10 && src.count("stat") != 0 {
				t.Error("a stat was sent for what the reply to a get carries")
			}
			if !service && size > 10 && dst.count("part") < 3 {
				t.Error("a large object went up in one piece")
			}
			got, _ := dst.get("k")
			wantBytes(t, []byte(got), testBytes(size))
		}
	}
}

// The service's copy is asked for until it is clear that it never does it.
func TestCopyFallsBackToStreaming(t *testing.T) {
	src, dst := newMem(), newMem()
	for i := range 50 {
		src.set(fmt.Sprint(i), "x")
	}
	d := &copyDriver{dst}
	res, err := Copy(context.Background(), newStore(t, src, Options{}), newStore(t, d, Options{}), CopyJob{Workers: 1})
	if err != nil || res.Copied != 50 || res.ClientBytes != 50 {
		t.Fatal(res, err)
	}
	if dst.count("copy") > refusedCopies {
		t.Error(dst.count("copy"), "copies asked for")
	}
}

// The state that was listed is copied, or nothing.
func TestCopyIsPinned(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "parts": 3 * int(small.from)} {
		for _, service := range []bool{false, true} {
			src, dst := newMem(), newParts(PartLimits{Count: 100, Max: 1 << 30})
			src.set("k", string(testBytes(size)))
			src.editing = func(Query, *Page) error { // replaced just after it was listed
				src.store("k", testBytes(size+1), Attributes{})
				return nil
			}
			var sd, dd Driver = src, dst
			if service {
				sd, dd = &copyDriver{src}, &copyDriver{dst.memDriver}
			}
			_, err := Copy(context.Background(), newStore(t, sd, Options{}), newStore(t, dd, Options{}), CopyJob{Overwrite: OverwriteAlways})
			if !fault.Is(err, fault.FailedPrecondition) || len(dst.keys()) != 0 || dst.pending() != 0 {
				t.Errorf("%s, service %v: %v, %v", name, service, err, dst.keys())
			}
		}
	}
}

func TestCopyFailures(t *testing.T) {
	ctx := context.Background()
	for _, collect := range []bool{false, true} {
		src, dst := newMem(), newMem()
		fill(src, "a", "b", "c", "d", "e")
		src.before = func(op, key string, _ int) error {
			if op == "get" && (key == "b" || key == "d") {
				return fault.New(fault.PermissionDenied, "no")
			}
			return nil
		}
		res, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), CopyJob{Collect: collect})
		if collect {
			if err != nil || res.Copied != 3 || len(res.Failed) != 2 || res.Failed[0].Key != "b" || res.Failed[1].Key != "d" {
				t.Fatal(res, err)
			}
			wantCode(t, res.Failed[1].Err, fault.PermissionDenied)
			continue
		}
		wantCode(t, err, fault.PermissionDenied)
		if len(res.Failed) == 0 || len(res.Failed) > 2 {
			t.Fatal(res.Failed)
		}
	}
	src, dst := newMem(), newMem()
	fill(src, "a", "b", "c")
	src.page = 1
	src.before = func(op, _ string, n int) error {
		if op == "list" && n == 3 {
			return fault.New(fault.DataLoss, "cut")
		}
		return nil
	}
	_, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), CopyJob{Collect: true})
	wantCode(t, err, fault.DataLoss)
}

func TestCopyDeletesExtra(t *testing.T) {
	ctx := context.Background()
	job := CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/", Overwrite: OverwriteIfChanged, DeleteExtra: true}
	setup := func(order Order) (*memDriver, *memDriver) {
		src, dst := newMem(), newMem()
		src.caps.Order = order
		fill(src, "in/a", "in/c", "in/e", "other")
		fill(dst, "out/0", "out/b", "out/c", "out/z", "outside", "other")
		src.page, dst.page = 1, 2
		return src, dst
	}
	for _, order := range []Order{OrderByKey, OrderNone} {
		src, dst := setup(order)
		res, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), job)
		if err != nil || res.Deleted != 3 || !slices.Equal(dst.keys(), []string{"other", "out/a", "out/c", "out/e", "outside"}) {
			t.Errorf("order %s: %+v, %v, %q", order, res, err, dst.keys())
		}

		src, dst = setup(order)
		j := job
		j.List = ListOptions{Pattern: "in/*.csv"} // what a pattern leaves out is not the job's to delete
		src.set("in/x.csv", "x")
		dst.set("out/y.csv", "y")
		res, err = Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), j)
		if _, there := dst.get("out/b"); err != nil || res.Deleted != 1 || !there {
			t.Errorf("order %s: %+v, %v, %q", order, res, err, dst.keys())
		}

		for name, spoil := range map[string]func(src, dst *memDriver, j *CopyJob){
			"empty source": func(src, _ *memDriver, _ *CopyJob) { clear(src.objects) },
			"source listing fails": func(src, _ *memDriver, _ *CopyJob) {
				src.before = func(op, _ string, n int) error {
					if op == "list" && n == 2 {
						return fault.New(fault.PermissionDenied, "no")
					}
					return nil
				}
			},
			"target listing fails": func(_, dst *memDriver, _ *CopyJob) {
				dst.before = func(op, _ string, n int) error {
					if op == "list" && n == 2 {
						return fault.New(fault.PermissionDenied, "no")
					}
					return nil
				}
			},
			"a copy fails": func(src, _ *memDriver, j *CopyJob) {
				j.Collect = true
				src.before = func(op, key string, _ int) error {
					if op == "get" && key == "in/e" {
						return fault.New(fault.PermissionDenied, "no")
					}
					return nil
				}
			},
			"too many":        func(_, _ *memDriver, j *CopyJob) { j.MaxDelete = 2 },
			"since":           func(_, _ *memDriver, j *CopyJob) { j.List.Since = time.Unix(1, 0) },
			"limit":           func(_, _ *memDriver, j *CopyJob) { j.List.Limit = 1 },
			"keys":            func(_, _ *memDriver, j *CopyJob) { j.Keys = []Entry{} },
			"strip elsewhere": func(_, _ *memDriver, j *CopyJob) { j.Strip = "x/" },
		} {
			src, dst := setup(order)
			j := job
			spoil(src, dst, &j)
			res, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), j)
			if err == nil || dst.count("delete") != 0 || res.Deleted != 0 {
				t.Errorf("order %s, %s: %v, %d deletes", order, name, err, dst.count("delete"))
			}
		}
	}
	src, dst := setup(OrderByKey)
	j := job
	j.MaxDelete = 3
	if res, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{}), j); err != nil || res.Deleted != 3 {
		t.Error(res, err)
	}
	_, err := Copy(ctx, newStore(t, src, Options{}), newStore(t, dst, Options{Mode: ModeAppend}), job)
	wantCode(t, err, fault.PermissionDenied)
}

type uriDriver struct {
	*memDriver
	root string
}

func (d *uriDriver) URI(key string) string { return "mem://" + d.root + key }

func TestCopyOntoItselfIsRefused(t *testing.T) {
	ctx := context.Background()
	mem := newMem()
	fill(mem, "a", "in/a", "in/sub/b", "x.csv")
	uri := &uriDriver{mem, "bucket/"}
	sub := &uriDriver{mem, "bucket/in/"}
	s := newStore(t, mem, Options{})
	for name, c := range map[string]struct {
		src, dst *Store
		job      CopyJob
	}{
		"all onto itself":        {s, s, CopyJob{}},
		"same object":            {s, s, CopyJob{List: ListOptions{Pattern: "a"}}},
		"renamed to itself":      {s, s, CopyJob{List: ListOptions{Pattern: "a"}, Rename: "a"}},
		"into a folder of it":    {s, s, CopyJob{List: ListOptions{Pattern: "**"}, Prefix: "copy/"}},
		"into itself":            {s, s, CopyJob{List: ListOptions{Prefix: "in/"}, Prefix: "in/"}},
		"out of itself":          {s, s, CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/"}},
		"keys":                   {s, s, CopyJob{Keys: []Entry{{Key: "a", Size: 12}}}},
		"another store's prefix": {s, newStore(t, mem, Options{Prefix: "in/"}), CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/"}},
		"another store, same address": {newStore(t, uri, Options{}), newStore(t, sub, Options{}),
			CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/"}},
		"delete around it": {s, s, CopyJob{List: ListOptions{Pattern: "in/*"}, Strip: "in/", DeleteExtra: true}},
	} {
		c.job.Overwrite = OverwriteAlways
		before := mem.count("put")
		_, err := Copy(ctx, c.src, c.dst, c.job)
		if !fault.Is(err, fault.InvalidArgument) || mem.count("put") != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	res, err := Copy(ctx, s, s, CopyJob{List: ListOptions{Pattern: "*.csv"}, Prefix: "backup/"})
	if err != nil || res.Copied != 1 {
		t.Error("a flat pattern into a folder:", res, err)
	}
	_, err = CopyObject(ctx, s, Entry{Key: "a"}, s, "a", true)
	wantCode(t, err, fault.InvalidArgument)
}

func TestCopyRename(t *testing.T) {
	ctx := context.Background()
	src, dst := newMem(), newMem()
	fill(src, "a", "b")
	s, d := newStore(t, src, Options{}), newStore(t, dst, Options{})
	if res, err := Copy(ctx, s, d, CopyJob{List: ListOptions{Pattern: "a"}, Rename: "new"}); err != nil || res.Copied != 1 {
		t.Fatal(res, err)
	}
	if got, _ := dst.get("new"); got != "content of a" {
		t.Fatal(got)
	}
	_, err := Copy(ctx, s, d, CopyJob{Rename: "other"})
	wantCode(t, err, fault.InvalidArgument)
	if _, ok := dst.get("other"); ok {
		t.Error("one of two was copied")
	}
	if res, err := Copy(ctx, s, d, CopyJob{List: ListOptions{Pattern: "none"}, Rename: "other"}); err != nil || res.Copied != 0 {
		t.Error(res, err)
	}
}

// A store in mode "append" takes what is new and keeps what is there.
func TestCopyInAppendMode(t *testing.T) {
	src, dst := newMem(), newMem()
	fill(src, "a", "b")
	dst.set("b", "old")
	d := newStore(t, dst, Options{Mode: ModeAppend})
	res, err := Copy(context.Background(), newStore(t, src, Options{}), d, CopyJob{Overwrite: OverwriteIfChanged, Collect: true})
	if err != nil || res.Copied != 1 || len(res.Failed) != 1 {
		t.Fatal(res, err)
	}
	wantCode(t, res.Failed[0].Err, fault.PermissionDenied)
	if got, _ := dst.get("b"); got != "old" {
		t.Error("overwritten")
	}
}

// A target that holds much more than the source is not listed through.
func TestCopySeeksInTheTarget(t *testing.T) {
	src, dst := newMem(), newMem()
	for i := range 3000 {
		dst.set(fmt.Sprintf("k%05d", i), "x")
	}
	fill(src, "k00000", "k02999", "z")
	dst.page = 10
	res, err := Copy(context.Background(), newStore(t, src, Options{}), newStore(t, dst, Options{}), CopyJob{})
	if err != nil || res.Copied != 1 || res.Skipped != 2 {
		t.Fatal(res, err)
	}
	if n := dst.count("list"); n > 20 {
		t.Errorf("%d pages listed", n)
	}
}

func TestIfChangedByTime(t *testing.T) {
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 500_000_000, time.UTC)
	files := Caps{Modified: true}
	cloud := Caps{Modified: true, Metadata: true}
	md5a, md5b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	for _, tt := range []struct {
		name     string
		caps     Caps
		src, dst Entry
		kind     string
		want     bool
	}{
		{"same time", files, Entry{Modified: t0}, Entry{Modified: t0}, "", false},
		{"same second, coarse", files, Entry{Modified: t0}, Entry{Modified: t0.Truncate(time.Second)}, "", false},
		{"a file's other time", files, Entry{Modified: t0}, Entry{Modified: t0.Add(time.Hour)}, "", true},
		{"written after the source", cloud, Entry{Modified: t0}, Entry{Modified: t0.Add(time.Hour)}, "", false},
		{"source touched since", cloud, Entry{Modified: t0.Add(time.Hour)}, Entry{Modified: t0}, "", true},
		{"no time", cloud, Entry{}, Entry{Modified: t0}, "", true},
		{"size", files, Entry{Size: 1, Modified: t0}, Entry{Modified: t0}, "", true},
		{"size unknown", files, Entry{Size: -1, Modified: t0}, Entry{Size: -1, Modified: t0}, "", true},
		{"same sum, other time", cloud, Entry{Modified: t0.Add(1e10), Sums: []Sum{{"md5", []byte("x"), 0}}}, Entry{Modified: t0, Sums: []Sum{{"md5", []byte("x"), 0}}}, "", false},
		{"other sum, same time", cloud, Entry{Modified: t0, Sums: []Sum{{"md5", []byte("x"), 0}}}, Entry{Modified: t0, Sums: []Sum{{"md5", []byte("y"), 0}}}, "", true},
		{"sums of other parts", cloud, Entry{Modified: t0, Sums: []Sum{{"md5", []byte("x"), 2}}}, Entry{Modified: t0, Sums: []Sum{{"md5", []byte("y"), 3}}}, "", false},
		{"content ETags", cloud, Entry{Modified: t0.Add(1e10), ETag: md5a}, Entry{Modified: t0, ETag: md5a}, "s3", false},
		{"other content ETags", cloud, Entry{Modified: t0, ETag: md5a}, Entry{Modified: t0, ETag: md5b}, "s3", true},
		{"equal ETags of different kinds", cloud, Entry{Modified: t0.Add(1e10), ETag: md5a}, Entry{Modified: t0, ETag: md5a}, "", true},
		{"equal counters as ETags", cloud, Entry{Modified: t0.Add(1e10), ETag: "1"}, Entry{Modified: t0, ETag: "1"}, "s3", true},
		{"kept time", cloud, Entry{Modified: t0}, Entry{Modified: t0.Add(time.Hour), Attrs: &Attributes{Modified: t0.Add(-time.Hour)}}, "", true},
	} {
		c := &copier{src: &Store{kind: tt.kind}, dst: &Store{kind: "s3", caps: tt.caps}}
		if got := c.changed(tt.src, tt.dst); got != tt.want {
			t.Errorf("%s: changed is %v", tt.name, got)
		}
	}
}

// progress adds up what it is told.
type sums struct{ ch chan [8]int64 }

func (s sums) Plan(o, b int64)    { s.ch <- [8]int64{o, b} }
func (s sums) Bytes(r, w int64)   { s.ch <- [8]int64{0, 0, r, w} }
func (s sums) Done(c, k, f int64) { s.ch <- [8]int64{0, 0, 0, 0, c, k, f} }

func TestCopyReportsProgress(t *testing.T) {
	src, dst := newMem(), newMem()
	fill(src, "a", "b", "c")
	fill(dst, "b")
	failed := false
	dst.before = func(op, _ string, _ int) error {
		if op == "stored" && !failed {
			failed = true
			return errBusy // the bytes of this try are taken back
		}
		return nil
	}
	p := sums{make(chan [8]int64, 1000)}
	if _, err := Copy(WithProgress(context.Background(), p), newStore(t, src, Options{}), newStore(t, dst, Options{}), CopyJob{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	close(p.ch)
	var total [8]int64
	for v := range p.ch {
		for i := range v {
			total[i] += v[i]
		}
	}
	n := int64(len("content of a"))
	if total != [8]int64{3, 2 * n, 3 * n, 2 * n, 2, 1, 0} {
		t.Errorf("got %v for %d bytes each", total, n)
	}
}

// A source whose layers refuse reading is not copied by the service either.
func TestCopyAsksTheSourcesLayers(t *testing.T) {
	src, dst := &copyDriver{newMem()}, &copyDriver{newMem()}
	fill(src.memDriver, "a")
	refuse := func(_ context.Context, c Call, next func(context.Context) error) error {
		if c.Op == "get" {
			return fault.New(fault.PermissionDenied, "not granted")
		}
		return next(context.Background())
	}
	_, err := Copy(context.Background(), newStore(t, src, Options{Layers: []Interceptor{refuse}}), newStore(t, dst, Options{}), CopyJob{})
	wantCode(t, err, fault.PermissionDenied)
	if dst.count("copy") != 0 || len(dst.keys()) != 0 {
		t.Error("copied all the same")
	}
}

// With one slot, a source that is lost again and again is taken up below the upload that waits for it.
func TestCopyResumesWithOneSlot(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d := newMem()
	data := testBytes(500 << 10)
	d.set("in/a", string(data))
	d.body = func(_ string, _ int64, r io.Reader) io.Reader { return &cutAfter{r, 100 << 10, errReset} }
	s := newStore(t, d, Options{Concurrency: 1})
	if _, err := Copy(ctx, s, s, CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/"}); err != nil {
		t.Fatal(err)
	}
	got, _ := d.get("out/a")
	wantBytes(t, []byte(got), data)
}

type homeDriver struct {
	*uriDriver
	home string
}

func (d *homeDriver) Home() string { return d.home }

// Two services may have a bucket of the same name; one service is one, however it is reached.
func TestCopyBetweenServices(t *testing.T) {
	src, dst := newMem(), newMem()
	fill(src, "a", "in/b")
	at := func(mem *memDriver, home string) *Store {
		return newStore(t, &homeDriver{&uriDriver{mem, "bucket/"}, home}, Options{})
	}
	res, err := Copy(context.Background(), at(src, "one:9000"), at(dst, "two:9000"), CopyJob{})
	if err != nil || res.Copied != 2 {
		t.Error(res, err)
	}
	_, err = Copy(context.Background(), at(src, "one:9000"), at(src, "one:9000"), CopyJob{Overwrite: OverwriteAlways})
	wantCode(t, err, fault.InvalidArgument)
}
