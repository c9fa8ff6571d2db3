package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// begin returns a recording over a store in memory.
func begin(t *testing.T, dir string, red *secret.Redactor, m *memory.Driver) (*Recording, *Driver) {
	t.Helper()
	r, err := New(openRoot(t, dir), red)
	if err != nil {
		t.Fatal(err)
	}
	return r, r.Wrap("m", "memory", m)
}

// end writes the recording and opens it again.
func end(t *testing.T, dir string, r *Recording) store.Driver {
	t.Helper()
	if err := r.Close("x.star", time.Now()); err != nil {
		t.Fatal(err)
	}
	rp, err := Open(openRoot(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rp.Close() })
	d, err := rp.Driver("m")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, d store.Driver, key, text string) {
	t.Helper()
	if _, err := d.Put(t.Context(), key, store.BytesBody([]byte(text)), store.PutOptions{Attrs: store.Attributes{ContentType: "text/x", User: map[string]string{"k": key}}}); err != nil {
		t.Fatal(err)
	}
}

// items lists a query to its end, page by page of n.
func items(d store.Driver, q store.Query, n, pages int) (out []string, err error) {
	q.Max = n
	for range pages {
		p, err := d.List(context.Background(), q)
		if err != nil {
			return out, err
		}
		var page []string
		for _, e := range p.Entries {
			page = append(page, fmt.Sprint(e.Key, " ", e.Size, " ", e.ETag))
		}
		page = append(page, p.Prefixes...)
		slices.Sort(page)
		out = append(out, page...)
		if p.Next == "" {
			return out, nil
		}
		q.Token = p.Next
	}
	return out, errCut
}

var errCut = errors.New("more follows")

// Whatever is recorded of listings, stats and reads, a replay answers any call as the store would have before the
// recorded run changed it, or says that it was not recorded; what was recorded is answered.
func TestReplayTellsTheTruth(t *testing.T) {
	rounds := 150
	if os.Getenv("DSRUN_TEST_LONG") != "" {
		rounds = 5000
	}
	answered, refused := 0, 0
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(round), 7))
		name := func() string {
			var parts []string
			for range 1 + rnd.IntN(3) {
				parts = append(parts, []string{"a", "b", "c", "é", "\U0010ffff"}[rnd.IntN(5)])
			}
			return strings.Join(parts, []string{"/", "", "/"}[rnd.IntN(3)])
		}
		query := func() store.Query {
			q := store.Query{Prefix: []string{"", "", "a", "a/", "b/a", "\U0010ffff"}[rnd.IntN(6)]}
			if rnd.IntN(2) == 0 {
				q.Delimiter = "/"
			}
			if rnd.IntN(3) == 0 {
				q.After = name()
			}
			if rnd.IntN(3) == 0 && q.Delimiter == "" {
				q.Before = name()
			}
			return q
		}
		m, truth := memory.New("m", 1<<20, nil), memory.New("m", 1<<20, nil)
		for range rnd.IntN(20) {
			key := name()
			put(t, m, key, "content of "+key)
			put(t, truth, key, "content of "+key)
		}
		dir := t.TempDir()
		r, d := begin(t, dir, secret.NewRedactor(), m)
		var did []func(store.Driver) (string, error) // what was recorded, to be asked again
		do := func(fn func(store.Driver) (string, error)) {
			_, _ = fn(d)
			did = append(did, fn)
		}
		var asked []string
		changed := map[string]bool{}
		for range rnd.IntN(8) {
			key, q, n, pages := name(), query(), 1+rnd.IntN(4), 1+rnd.IntN(3)
			ask := rnd.IntN(6)
			asked = append(asked, fmt.Sprintf("%d %s %+v by %d, %d pages", ask, key, q, n, pages))
			switch ask {
			case 0, 1:
				do(func(d store.Driver) (string, error) {
					out, err := items(d, q, n, pages)
					if errors.Is(err, errCut) {
						err = nil
					}
					return strings.Join(out, ","), err
				})
			case 2:
				do(func(d store.Driver) (string, error) {
					e, err := d.Stat(context.Background(), key, store.Cond{})
					return fmt.Sprint(e.Size, e.ETag), err
				})
			case 3:
				do(func(d store.Driver) (string, error) { return read(d, key, nil) })
			case 4:
				put(t, d, key, "changed by the run")
				changed[key] = true
			case 5:
				if err := d.Delete(t.Context(), key, store.Cond{}); err != nil {
					t.Fatal(err)
				}
				changed[key] = true
			}
		}
		p := end(t, dir, r)
		same := func(what string, fn func(store.Driver) (string, error), must bool) {
			t.Helper()
			got, err := fn(p)
			want, werr := fn(truth)
			if err != nil && fault.Is(err, fault.Unimplemented) && strings.Contains(err.Error(), "not recorded") {
				if refused++; must {
					b, _ := json.Marshal(p.(*player).k.file())
					t.Fatalf("round %d: %s: %v\nbase %q\n%s\ndid %q", round, what, err, keysOf(truth), b, asked)
				}
				return
			}
			answered++
			if got != want || fault.CodeOf(err) != fault.CodeOf(werr) {
				t.Fatalf("round %d: %s:\n got %q, %v\nwant %q, %v\nkeys %q\nlisted %q levels %v", round, what, got, err, want, werr, keysOf(truth), p.(*player).k.listed, p.(*player).k.levels)
			}
		}
		for _, fn := range did {
			same("recorded", fn, len(changed) == 0)
		}
		for range 20 {
			key, q, n := name(), query(), 1+rnd.IntN(4)
			same(fmt.Sprintf("%+v by %d", q, n), func(d store.Driver) (string, error) {
				out, err := items(d, q, n, 1000)
				if err != nil {
					return "", err
				}
				slices.Sort(out)
				return strings.Join(out, ","), nil
			}, false)
			same("stat "+key, func(d store.Driver) (string, error) {
				e, err := d.Stat(context.Background(), key, store.Cond{})
				return fmt.Sprint(e.Size, e.ETag), err
			}, changed[key])
			same("get "+key, func(d store.Driver) (string, error) { return read(d, key, nil) }, false)
		}
	}
	if answered < rounds*10 || refused < rounds*10 {
		t.Errorf("%d answered, %d refused", answered, refused)
	}
	t.Logf("%d calls answered rightly, %d said not to be recorded", answered, refused)
}

func keysOf(d store.Driver) []string {
	out, _ := items(d, store.Query{}, 1000, 1)
	for i := range out {
		out[i], _, _ = strings.Cut(out[i], " ")
	}
	return out
}

func read(d store.Driver, key string, r *store.Range) (string, error) {
	o, err := d.Get(context.Background(), key, store.GetOptions{Range: r})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(o.Body)
	return string(b), errors.Join(err, o.Body.Close())
}

// Ranges that were read are answered, those that were not are named; attributes and sums come back.
func TestReplayRanges(t *testing.T) {
	m := memory.New("m", 1<<20, nil)
	put(t, m, "k", "0123456789")
	put(t, m, "empty", "")
	put(t, m, "big", strings.Repeat("x", 100))
	dir := t.TempDir()
	r, d := begin(t, dir, secret.NewRedactor(), m)
	for _, rg := range []*store.Range{{Off: 2, Len: 3}, {Off: 4, Len: 2}, {Off: -1}} {
		if _, err := read(d, "k", rg); err != nil {
			t.Fatal(err)
		}
	}
	o, err := d.Get(t.Context(), "big", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(o.Body, make([]byte, 10)); err != nil { // and no more
		t.Fatal(err)
	}
	if err := o.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(d, "empty", nil); err != nil {
		t.Fatal(err)
	}
	want, err := d.Stat(t.Context(), "k", store.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	p := end(t, dir, r)
	for _, c := range []struct {
		key  string
		r    *store.Range
		want string
	}{{"k", &store.Range{Off: 2, Len: 3}, "234"}, {"k", &store.Range{Off: 3, Len: 3}, "345"}, {"k", &store.Range{Off: -1}, "9"}, {"k", &store.Range{Off: 9, Len: -1}, "9"},
		{"k", &store.Range{Off: 10, Len: -1}, ""}, {"empty", nil, ""}, {"big", &store.Range{Off: 0, Len: 10}, "xxxxxxxxxx"}} {
		if got, err := read(p, c.key, c.r); got != c.want || err != nil {
			t.Errorf("%s %v: %q, %v", c.key, c.r, got, err)
		}
	}
	for _, c := range []struct {
		key string
		r   *store.Range
	}{{"k", nil}, {"k", &store.Range{Off: 1, Len: 2}}, {"k", &store.Range{Off: 5, Len: 2}}, {"big", nil}} {
		if got, err := read(p, c.key, c.r); !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), "not recorded: bytes ") {
			t.Errorf("%s %v: %q, %v", c.key, c.r, got, err)
		}
	}
	got, err := p.Stat(t.Context(), "k", store.Cond{IfMatch: want.ETag, Version: want.Version})
	if err != nil || !got.Modified.Equal(want.Modified) {
		t.Fatal(err, got)
	}
	got.Modified, want.Modified = time.Time{}, time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := p.Stat(t.Context(), "k", store.Cond{IfMatch: "other"}); !fault.Is(err, fault.FailedPrecondition) {
		t.Error(err)
	}
	if _, err := p.Get(t.Context(), "k", store.GetOptions{Range: &store.Range{Off: 11, Len: 1}}); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
	if _, err := p.Put(t.Context(), "k", store.BytesBody(nil), store.PutOptions{}); !fault.Is(err, fault.PermissionDenied) {
		t.Error(err)
	}
}

// failing is a store whose calls fail.
type failing struct {
	*memory.Driver
	err error
}

func (f *failing) Stat(context.Context, string, store.Cond) (store.Entry, error) {
	return store.Entry{}, f.err
}
func (f *failing) List(context.Context, store.Query) (store.Page, error) { return store.Page{}, f.err }

// Failures are answers too, without secrets.
func TestReplayFailures(t *testing.T) {
	red := secret.NewRedactor()
	red.Add("canary-1234567")
	dir := t.TempDir()
	r, err := New(openRoot(t, dir), red)
	if err != nil {
		t.Fatal(err)
	}
	d := r.Wrap("m", "memory", &failing{memory.New("m", 1<<20, nil), fault.New(fault.PermissionDenied, "canary-1234567 may not")})
	_, _ = d.Stat(t.Context(), "k", store.Cond{})
	_, _ = d.List(t.Context(), store.Query{Prefix: "p/"})
	p := end(t, dir, r)
	if _, err := p.Stat(t.Context(), "k", store.Cond{}); !fault.Is(err, fault.PermissionDenied) || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "may not (as recorded)") {
		t.Error(err)
	}
	if _, err := p.List(t.Context(), store.Query{Prefix: "p/"}); !fault.Is(err, fault.PermissionDenied) {
		t.Error(err)
	}
	if _, err := p.Stat(t.Context(), "other", store.Cond{}); !strings.Contains(err.Error(), `not recorded: stat of "other" in datastore "m"`) {
		t.Error(err)
	}
}

// A recording that is too large is not kept, and the run does not notice.
func TestRecordingBound(t *testing.T) {
	m := memory.New("m", 1<<20, nil)
	put(t, m, "k", strings.Repeat("x", 1000))
	dir := t.TempDir()
	r, d := begin(t, dir, secret.NewRedactor(), m)
	r.max = 999
	if got, err := read(d, "k", nil); len(got) != 1000 || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := r.Close("x", time.Now()); !fault.Is(err, fault.Limit) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A store that lists in no order is known where a listing came to its end.
func TestRecordUnordered(t *testing.T) {
	m := memory.New("m", 1<<20, nil)
	for i := range 5 {
		put(t, m, fmt.Sprintf("d/%d", i), "x")
	}
	for pages, known := range map[int]bool{2: false, 5: true} {
		dir := t.TempDir()
		r, err := New(openRoot(t, dir), secret.NewRedactor())
		if err != nil {
			t.Fatal(err)
		}
		d := r.Wrap("m", "memory", unordered{m})
		_, _ = items(d, store.Query{Prefix: "d/"}, 1, pages)
		p := end(t, dir, r)
		got, err := items(p, store.Query{Prefix: "d/"}, 100, 1)
		if known && (err != nil || len(got) != 5) || !known && !fault.Is(err, fault.Unimplemented) {
			t.Errorf("after %d pages: %q, %v", pages, got, err)
		}
	}
}

type unordered struct{ *memory.Driver }

func (u unordered) Caps() store.Caps {
	c := u.Driver.Caps()
	c.Order = store.OrderNone
	return c
}

func TestSpans(t *testing.T) {
	for in, want := range map[string]string{
		"a-c d-f":         "a-c d-f",
		"a-c c-f":         "a-f",
		"d-f a-c b-e":     "a-f",
		"a-c b-":          "a-",
		"b- a-c":          "a-",
		"x-y a-b m-n a-z": "a-z",
		"c-c d-a":         "",
		"m-n a- x-y":      "a-",
		"a-b c-d e-f b-e": "a-f",
	} {
		var s spans
		for p := range strings.FieldsSeq(in) {
			from, to, _ := strings.Cut(p, "-")
			s.add(from, to)
		}
		var out []string
		for _, x := range s {
			out = append(out, x.From+"-"+x.To)
		}
		if got := strings.Join(out, " "); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	s := spans{{"a", "\xff\xfe"}, {"hex:00", ""}}
	b, err := json.Marshal(s)
	var back spans
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%s: %q, %v", b, back, err)
	}
}
