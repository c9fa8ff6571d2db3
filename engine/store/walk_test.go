package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/internal/testbed"
)

// tree is a DirLister over a set of keys. A directory exists while a key lies below it.
type tree struct {
	keys  []string // ascending
	all   bool     // ListDir gives every name, whatever max is
	again bool     // ListDir gives after itself too
	reads map[string]int
	names int // handed out
	fail  map[string]error
}

func (t *tree) ListDir(_ context.Context, dir, after string, max int) ([]DirEntry, error) {
	if t.reads == nil {
		t.reads = map[string]int{}
	}
	t.reads[dir]++
	if err := t.fail[dir]; err != nil {
		return nil, err
	}
	var out []DirEntry
	seen := ""
	for _, k := range t.keys {
		rest, ok := strings.CutPrefix(k, dir)
		if !ok {
			continue
		}
		e := DirEntry{Name: rest, Entry: Entry{Key: k, Size: int64(len(k))}}
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			e = DirEntry{Name: rest[:i+1], Dir: true}
			if e.Name == seen {
				continue
			}
			seen = e.Name
		}
		if after != "" && (e.Name < after || e.Name == after && !t.again) {
			continue
		}
		out = append(out, e)
	}
	if out == nil && dir != "" {
		return nil, fs.ErrNotExist
	}
	if !t.all && len(out) > max {
		out = out[:max]
	}
	t.names += len(out)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

// wanted is what a flat, sorted store would list.
func wanted(keys []string, q Query) []string {
	var out []string
	for _, k := range keys {
		if !strings.HasPrefix(k, q.Prefix) || q.After != "" && k <= q.After || q.Before != "" && k >= q.Before {
			continue
		}
		if q.Delimiter != "" {
			if i := strings.Index(k[len(q.Prefix):], q.Delimiter); i >= 0 {
				k = k[:len(q.Prefix)+i+1]
			}
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

// pages lists all of q, with pages of at most max.
func pages(t *testing.T, list func(Query) (Page, error), q Query, max func() int) []string {
	t.Helper()
	var out []string
	for n := 0; ; n++ {
		q.Max = max()
		p, err := list(q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(p.Entries)+len(p.Prefixes) > q.Max {
			t.Fatalf("%+v: a page of %d and %d", q, len(p.Entries), len(p.Prefixes))
		}
		var page []string
		for _, e := range p.Entries {
			if e.Size != int64(len(e.Key)) {
				t.Fatalf("entry of %q is another's: %+v", e.Key, e)
			}
			page = append(page, e.Key)
		}
		page = append(page, p.Prefixes...)
		slices.Sort(page)
		if out = append(out, page...); p.Next == "" {
			return out
		}
		if len(page) == 0 {
			t.Fatalf("%+v: an empty page in the middle", q)
		}
		q.Token = p.Next
	}
}

func randomKeys(r *rand.Rand) []string {
	pieces := []string{"a", "b", "a.b", "a-", "a0", "\xff", "", "é", "z", "ab", "\x00", "\xff\xff"}
	set := map[string]bool{}
	for range r.IntN(60) {
		k := pieces[r.IntN(len(pieces))]
		for range r.IntN(4) {
			k += "/" + pieces[r.IntN(len(pieces))]
		}
		if k != "" {
			set[k] = true
		}
	}
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestWalkIsASortOfTheTree(t *testing.T) {
	for i := range testbed.Scale(300, 20_000) {
		seed := uint64(i)
		r := rand.New(rand.NewPCG(seed, 1))
		tr := &tree{keys: randomKeys(r), all: r.IntN(2) == 0, again: r.IntN(2) == 0}
		w := NewWalker(tr, 50)
		bound := func() string {
			if len(tr.keys) == 0 || r.IntN(2) == 0 {
				return ""
			}
			k := tr.keys[r.IntN(len(tr.keys))]
			return k[:r.IntN(len(k)+1)]
		}
		for range 20 {
			q := Query{Prefix: bound(), After: bound(), Before: bound()}
			if r.IntN(2) == 0 {
				q.Delimiter = "/"
			}
			max := func() int { return 1 + r.IntN(8) }
			want := wanted(tr.keys, q)
			for name, list := range map[string]func(Query) (Page, error){
				"Walk":   func(q Query) (Page, error) { return Walk(t.Context(), tr, q, 50) },
				"Walker": func(q Query) (Page, error) { return w.List(t.Context(), q) },
			} {
				if got := pages(t, list, q, max); !slices.Equal(got, want) {
					t.Fatalf("seed %d: %s %+v of %q\n got %q\nwant %q", seed, name, q, tr.keys, got, want)
				}
			}
		}
	}
}

func TestWalkReadsOnlyWhatCanHoldKeys(t *testing.T) {
	var keys []string
	for i := range 10 {
		for j := range 10 {
			keys = append(keys, fmt.Sprintf("d%d/e%d/f", i, j))
		}
	}
	for _, c := range []struct {
		q    Query
		read []string
	}{
		{Query{Prefix: "d3/e4"}, []string{"d3/", "d3/e4/"}},
		{Query{Prefix: "d3/e4/f"}, []string{"d3/e4/"}},
		{Query{After: "d9/e8/f"}, []string{"", "d9/", "d9/e8/", "d9/e9/"}},
		{Query{Before: "d0/e1"}, []string{"", "d0/", "d0/e0/"}},
		{Query{Delimiter: "/"}, []string{""}},
		{Query{Delimiter: "/", After: "d8/e9/f"}, []string{"", "d8/", "d8/e9/"}},
		{Query{After: "x", Before: "b"}, nil},
	} {
		tr := &tree{keys: keys}
		got := pages(t, func(q Query) (Page, error) { return Walk(t.Context(), tr, q, 1000) }, c.q, func() int { return 1000 })
		if want := wanted(keys, c.q); !slices.Equal(got, want) {
			t.Errorf("%+v: got %q, want %q", c.q, got, want)
		}
		var read []string
		for d := range tr.reads {
			read = append(read, d)
		}
		slices.Sort(read)
		if !slices.Equal(read, c.read) {
			t.Errorf("%+v: read %q, want %q", c.q, read, c.read)
		}
	}
}

func TestWalkerReadsABigDirectoryAFewTimes(t *testing.T) {
	var keys []string
	for i := range 100_000 {
		keys = append(keys, fmt.Sprintf("big/%06d", i))
	}
	tr := &tree{keys: keys}
	w := NewWalker(tr, 1000)
	got := pages(t, func(q Query) (Page, error) { return w.List(t.Context(), q) }, Query{}, func() int { return 1000 })
	if !slices.Equal(got, keys) {
		t.Fatalf("%d keys listed", len(got))
	}
	if n := tr.reads["big/"]; n > 10 {
		t.Errorf("the directory was read %d times", n)
	}
	if len(w.parked) != 0 {
		t.Errorf("%d walks kept after the end", len(w.parked))
	}
}

func TestWalkerKeepsFewWalksAndNotForLong(t *testing.T) {
	tr := &tree{keys: []string{"a", "b", "c", "d"}}
	w := NewWalker(tr, 1)
	now := time.Now()
	w.now = func() time.Time { return now }
	var first Page
	for _, before := range []string{"w", "x", "y", "z", "zz"} {
		p, err := w.List(t.Context(), Query{Before: before})
		if err != nil {
			t.Fatal(err)
		}
		if before == "zz" {
			first = p
		}
	}
	if len(w.parked) != parkMax {
		t.Fatalf("%d walks are kept", len(w.parked))
	}
	now = now.Add(parkTime + time.Second)
	tr.keys = []string{"a", "aa", "b"}
	p, err := w.List(t.Context(), Query{Before: "zz", Token: first.Next})
	if err != nil || len(p.Entries) != 1 || p.Entries[0].Key != "aa" {
		t.Fatalf("after the pause: %+v, %v", p, err)
	}
	if len(w.parked) != 1 {
		t.Fatalf("%d walks are kept", len(w.parked))
	}
}

// A listing that nobody went on with does not answer for a later one that comes to the same place.
func TestWalkerGoesOnWithTheNewerWalk(t *testing.T) {
	tr := &tree{keys: []string{"a", "b", "c", "d"}}
	w := NewWalker(tr, 1)
	var next string
	for range 2 {
		p, err := w.List(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		next = p.Next
		tr.keys = []string{"a", "aa", "b"} // after the first
	}
	p, err := w.List(t.Context(), Query{Token: next})
	if err != nil || p.Entries[0].Key != "aa" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWalkStopsAtWhatItCannotRead(t *testing.T) {
	denied := fmt.Errorf("open b: %w", fs.ErrPermission)
	gone := fmt.Errorf("open b: %w", fs.ErrNotExist)
	keys := []string{"a", "b/x", "c"}
	for _, c := range []struct {
		dir  string
		err  error
		q    Query
		want []string
		code fault.Code
	}{
		{"b/", denied, Query{}, nil, fault.PermissionDenied},
		{"b/", gone, Query{}, []string{"a", "c"}, ""},
		{"b/", gone, Query{Prefix: "b/"}, nil, ""},
		{"", gone, Query{}, nil, fault.NotFound},
		{"b/", denied, Query{Prefix: "b/"}, nil, fault.PermissionDenied},
		{"b/", denied, Query{Prefix: "c"}, []string{"c"}, ""},
	} {
		tr := &tree{keys: keys, fail: map[string]error{c.dir: c.err}}
		p, err := Walk(t.Context(), tr, c.q, 100)
		var got []string
		for _, e := range p.Entries {
			got = append(got, e.Key)
		}
		if fault.CodeOf(err) != c.code || !slices.Equal(got, c.want) {
			t.Errorf("%+v with %q: %v: got %q, %v; want %q, %q", c.q, c.dir, c.err, got, err, c.want, c.code)
		}
	}
	tr := &tree{keys: keys[:1], fail: map[string]error{"": gone, "q/": gone}}
	if _, err := Walk(t.Context(), tr, Query{Prefix: "q/"}, 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a prefix below a top that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Walk(ctx, &tree{keys: keys}, Query{}, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Walk(t.Context(), &tree{keys: keys}, Query{Token: "%"}, 100); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a foreign token: %v", err)
	}
}

// liar gives the names it was made with, whatever is asked.
type liar []DirEntry

func (l liar) ListDir(context.Context, string, string, int) ([]DirEntry, error) {
	return slices.Clone(l), nil
}

func TestWalkRefusesFalseNames(t *testing.T) {
	long := make(liar, maxNames)
	for i := range long {
		long[i].Name = fmt.Sprintf("%06d", i)
	}
	for name, l := range map[string]liar{
		"of another level":    {{Name: "../x"}},
		"of a deeper level":   {{Name: "a/b/", Dir: true}},
		"twice":               {{Name: "a"}, {Name: "a"}},
		"the same ones again": long,
	} {
		w := NewWalker(l, 1000)
		q := Query{}
		for range maxNames {
			p, err := w.List(t.Context(), q)
			if fault.Is(err, fault.DataLoss) {
				break
			}
			if err != nil || p.Next == "" {
				t.Errorf("names %s: %v", name, err)
				break
			}
			q.Token = p.Next
		}
	}
}
