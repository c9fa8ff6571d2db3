package store

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/dsrun/dsrun/engine/fault"
)

func listKeys(t testing.TB, s *Store, o ListOptions) ([]string, error) {
	t.Helper()
	var keys []string
	err := s.List(context.Background(), o).Each(context.Background(), func(e Entry) error {
		keys = append(keys, e.Key)
		return nil
	})
	return keys, err
}

func TestListOptions(t *testing.T) {
	keys := []string{"a", "a.csv", "a/b.csv", "a/b/c.csv", "a/b/d.txt", "a//x.csv", "b/1.csv", "b/2.csv", "b/{x}.csv", "b/*.csv", "c[1].csv", "é/ü.csv", "train/", "train/x"}
	d := newMem()
	for _, k := range keys {
		d.set("p/"+k, "x")
	}
	d.set("p/", "the folder's own marker")
	d.set("q/other", "x")
	slices.Sort(keys)
	for _, tt := range []struct {
		name string
		o    ListOptions
		want func(string) bool
	}{
		{"all", ListOptions{}, func(string) bool { return true }},
		{"**", ListOptions{Pattern: "**"}, func(string) bool { return true }},
		{"prefix", ListOptions{Prefix: "b/"}, func(k string) bool { return strings.HasPrefix(k, "b/") }},
		{"prefix and pattern", ListOptions{Prefix: "a/b", Pattern: "a/**/*.csv"}, func(k string) bool { return k == "a/b.csv" || k == "a/b/c.csv" }},
		{"prefix against pattern", ListOptions{Prefix: "b/", Pattern: "a/**"}, func(string) bool { return false }},
		{"after and before", ListOptions{After: "a.csv", Before: "b/2.csv"}, func(k string) bool { return k > "a.csv" && k < "b/2.csv" }},
		{"literal", ListOptions{Pattern: "a/b.csv"}, func(k string) bool { return k == "a/b.csv" }},
		{"literal that is absent", ListOptions{Pattern: "a/b"}, func(string) bool { return false }},
		{"escaped", ListOptions{Pattern: `b/\*.csv`}, func(k string) bool { return k == "b/*.csv" }},
		{"escaped brackets", ListOptions{Pattern: `c\[1\].csv`}, func(k string) bool { return k == "c[1].csv" }},
		{"below a folder", ListOptions{Pattern: "a/**"}, func(k string) bool { return strings.HasPrefix(k, "a/") }},
		{"folder with its marker", ListOptions{Pattern: "train/**"}, func(k string) bool { return strings.HasPrefix(k, "train/") }},
	} {
		for _, page := range []int{1, 3, 1000} {
			d.page = page
			for _, order := range []Order{OrderByKey, OrderNone} {
				d.caps.Order = order
				got, err := listKeys(t, newStore(t, d, Options{Prefix: "p/"}), tt.o)
				var want []string
				for _, k := range keys {
					if tt.want(k) {
						want = append(want, k)
					}
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s, pages of %d: got %q, want %q, %v", tt.name, page, got, want, err)
				}
			}
		}
	}
}

// The short ways of matching agree with doublestar, except that `a/**` leaves out an object named a.
func TestPatternsMatchAsDoublestar(t *testing.T) {
	var keys []string
	for _, a := range []string{"", "a", "ab", "a.csv", ".x", "é"} {
		for _, sep := range []string{"", "/", "//", "/b/", "/b/c/"} {
			for _, b := range []string{"", "x.csv", "y.txt", "[z]", "{w}"} {
				keys = append(keys, a+sep+b)
			}
		}
	}
	for _, p := range []string{"*", "**", "a*", "*.csv", "a/*", "a/**", "a/**/*.csv", "**/*.csv", "**/b/**", "?", "a?", "[ab]*", "[^a]*", "{a,ab}/**", "a/{b,c}/*",
		"a/*/c/*", "*/*", "**/*", `a/\[z\]`, "a//*", "a/b/**/*.csv", "é/**"} {
		pat, err := compilePattern(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		for _, k := range keys {
			if k == "" {
				continue
			}
			got := pat.match == nil || pat.match(k)
			want := doublestar.MatchUnvalidated(p, k)
			if strings.HasSuffix(p, "/**") && k+"/" == pat.prefix {
				want = false
			}
			if got != want {
				t.Errorf("pattern %q, key %q: %v, want %v", p, k, got, want)
			}
			if got && !strings.HasPrefix(k, pat.prefix) {
				t.Errorf("pattern %q: key %q does not start with %q", p, k, pat.prefix)
			}
		}
	}
}

func TestBadPatternsSendNothing(t *testing.T) {
	d := newMem()
	s := newStore(t, d, Options{})
	for p, word := range map[string]string{"a[": "position 2", "a[]": "position 2", "x{a,b": "position 2", "a}": "position 2", strings.Repeat("{a,b}", 30): "combinations", `ab\`: "position 3", "[a-": "position 1", "{a,{b}": "position 1"} {
		_, err := s.List(context.Background(), ListOptions{Pattern: p}).Next(context.Background())
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), word) || fault.ClassOf(err).Hint == "" {
			t.Errorf("%q: %v, hint %q; want %s", p, err, fault.ClassOf(err).Hint, word)
		}
		_, err = Copy(context.Background(), s, newStore(t, newMem(), Options{}), CopyJob{List: ListOptions{Pattern: p}})
		wantCode(t, err, fault.InvalidArgument)
	}
	if d.count("list") != 0 {
		t.Error(d.count("list"), "requests were sent")
	}
}

func TestListOneLevel(t *testing.T) {
	d := newMem()
	for _, k := range []string{"a", "b/1", "b/2", "b/c/3", "c", "d/e/f", "z"} {
		d.set(k, "x")
	}
	for _, page := range []int{1, 2, 1000} {
		d.page = page
		s := newStore(t, d, Options{})
		for prefix, want := range map[string]string{"": "a b/ c d/ z", "b/": "b/1 b/2 b/c/", "d": "d/", "d/": "d/e/"} {
			got, err := listKeys(t, s, ListOptions{Prefix: prefix, OneLevel: true})
			if strings.Join(got, " ") != want || err != nil {
				t.Errorf("prefix %q, pages of %d: %q, %v", prefix, page, got, err)
			}
		}
		got, err := listKeys(t, s, ListOptions{Pattern: "b/*", OneLevel: true})
		if strings.Join(got, " ") != "b/1 b/2 b/c/" || err != nil {
			t.Error(got, err)
		}
	}
	l := newStore(t, d, Options{}).List(context.Background(), ListOptions{OneLevel: true})
	for {
		batch, err := l.Next(context.Background())
		if err == io.EOF {
			break
		}
		for _, e := range batch {
			if (e.Size == -1) != strings.HasSuffix(e.Key, "/") {
				t.Error(e)
			}
		}
	}
}

func TestListSinceAndLimit(t *testing.T) {
	d := newMem()
	var times []time.Time
	for i := range 10 {
		times = append(times, d.set(fmt.Sprint(i), "x").Modified)
	}
	for _, page := range []int{1, 3, 1000} {
		d.page = page
		s := newStore(t, d, Options{})
		got, err := listKeys(t, s, ListOptions{Since: times[7]})
		if strings.Join(got, "") != "789" || err != nil {
			t.Error(got, err)
		}
		got, err = listKeys(t, s, ListOptions{Since: times[4], Limit: 2})
		if strings.Join(got, "") != "45" || err != nil {
			t.Error(got, err)
		}
		got, err = listKeys(t, s, ListOptions{Limit: 4})
		if strings.Join(got, "") != "0123" || err != nil {
			t.Error(got, err)
		}
	}
	d.page = 1000
	before := d.count("list")
	asked := 0
	d.editing = func(q Query, _ *Page) error { asked = q.Max; return nil }
	if got, _ := listKeys(t, newStore(t, d, Options{}), ListOptions{Limit: 2}); len(got) != 2 || asked != 2 || d.count("list") != before+1 {
		t.Error(got, asked, d.count("list")-before, "requests")
	}
}

// A listing that is not whole or not right is an error, never a short list.
func TestBadListingsAreFound(t *testing.T) {
	e := func(k string) Entry { return Entry{Key: k, Size: 1} }
	n := 0
	for name, edit := range map[string]func(q Query, p *Page) error{
		"same token for ever": func(q Query, p *Page) error {
			*p = Page{Entries: []Entry{e(fmt.Sprintf("k%04d", n))}, Next: "t"}
			n++
			return nil
		},
		"empty pages in a circle": func(q Query, p *Page) error {
			*p = Page{Next: map[string]string{"": "a", "a": "b", "b": "c", "c": "a"}[q.Token]}
			return nil
		},
		"truncated without a token": func(q Query, p *Page) error { *p = Page{Entries: []Entry{e("k1")}, Truncated: true}; return nil },
		"duplicate":                 func(q Query, p *Page) error { *p = Page{Entries: []Entry{e("k1"), e("k1")}}; return nil },
		"duplicate on the next page": func(q Query, p *Page) error {
			*p = Page{Entries: []Entry{e("k1")}, Next: map[string]string{"": "x"}[q.Token]}
			return nil
		},
		"outside of the prefix": func(q Query, p *Page) error { *p = Page{Entries: []Entry{e("k1"), e("l")}}; return nil },
		"more than asked":       func(q Query, p *Page) error { *p = Page{Entries: []Entry{e("k1"), e("k2"), e("k3")}}; return nil },
		"third page fails": func(q Query, p *Page) error {
			n++
			if n == 3 {
				return fault.New(fault.DataLoss, "cut in the middle")
			}
			*p = Page{Entries: []Entry{e(fmt.Sprint("k", n))}, Next: fmt.Sprint(n)}
			return nil
		},
		"folder without a slash": func(q Query, p *Page) error { *p = Page{Prefixes: []string{"kx"}}; return nil },
		"descending, by key":     func(q Query, p *Page) error { *p = Page{Entries: []Entry{e("k2"), e("k1")}}; return nil },
	} {
		for _, order := range []Order{OrderByKey, OrderNone} {
			n = 0
			d := newMem()
			d.caps.Order = order
			d.editing = edit
			o := ListOptions{Prefix: "k"}
			if name == "more than asked" {
				o.Limit = 2
			}
			_, err := listKeys(t, newStore(t, d, Options{}), o)
			if order == OrderNone && name == "descending, by key" {
				if err != nil {
					t.Errorf("%s: %v where there is no order", name, err)
				}
				continue
			}
			if !fault.Is(err, fault.DataLoss) {
				t.Errorf("%s, order %s: %v, want data_loss", name, order, err)
			}
			if n > 10 {
				t.Errorf("%s: %d requests", name, n)
			}
		}
	}
}

// A failed listing goes on failing; one whose call was cancelled goes on.
func TestListingErrorsStay(t *testing.T) {
	d := newMem()
	d.set("k", "v")
	s := newStore(t, d, Options{})
	l := s.List(context.Background(), ListOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := l.Next(ctx)
	wantCode(t, err, fault.Cancelled)
	if b, err := l.Next(context.Background()); err != nil || len(b) != 1 {
		t.Fatal(b, err)
	}
	d.before = func(string, string, int) error { return errNone }
	l = s.List(context.Background(), ListOptions{})
	_, err = l.Next(context.Background())
	wantCode(t, err, fault.NotFound)
	d.before = nil
	_, err = l.Next(context.Background())
	wantCode(t, err, fault.NotFound)
}

func TestDeleteKeys(t *testing.T) {
	ctx := context.Background()
	keys := []string{"a", "b", "a", "missing", "denied", "", "busy", "c", "d"}
	denied := fault.New(fault.PermissionDenied, "no")
	for _, batches := range []bool{true, false} {
		mem := newMem()
		for _, k := range []string{"a", "b", "c", "d", "denied", "busy"} {
			mem.set("p/"+k, "x")
		}
		refuse := func(key string) error {
			if key == "p/denied" {
				return denied
			}
			return nil
		}
		var d Driver = mem
		if batches {
			d = &batchDriver{mem, func(key string) error {
				if key == "p/busy" {
					return errBusy // in a batch; by itself it goes
				}
				return refuse(key)
			}}
		} else {
			mem.before = func(op, key string, n int) error {
				if op == "delete" {
					return refuse(key)
				}
				return nil
			}
		}
		failed, err := newStore(t, d, Options{Prefix: "p/"}).DeleteKeys(ctx, keys)
		if err != nil || len(failed) != 2 || failed[0].Key != "denied" || failed[1].Key != "" {
			t.Fatalf("batches=%v: %v, %v", batches, failed, err)
		}
		wantCode(t, failed[0].Err, fault.PermissionDenied)
		wantCode(t, failed[1].Err, fault.InvalidArgument)
		if got := mem.keys(); len(got) != 1 || got[0] != "p/denied" {
			t.Fatal(got)
		}
		if batches && mem.count("deletebatch") != 3 {
			t.Error(mem.count("deletebatch"), "batches")
		}
	}
	mem := newMem()
	mem.before = func(string, string, int) error { return denied }
	failed, err := newStore(t, &batchDriver{mem, nil}, Options{}).DeleteKeys(ctx, []string{"a", "b"})
	if err != nil || len(failed) != 2 {
		t.Fatal("a batch that failed as a whole:", failed, err)
	}
}

// A ** that is glued to other characters would silently match one level only; it is refused with what to write.
func TestGluedDoubleStarIsRefused(t *testing.T) {
	for _, p := range []string{"**.csv", "a**", "a**b", "a/**.csv", "{a,**.csv}", "a/b**/c", "***a"} {
		_, err := compilePattern(p)
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.ClassOf(err).Hint, "**/*.csv") {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{"**", "a/**", "**/a", "a/**/b", "{a,**}/b", "{**/a,b}", `a\**`, "[*]*", "***"} {
		if _, err := compilePattern(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}
