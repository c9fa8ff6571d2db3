package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

var listChecks = []check{
	{"List/EmptyStore", false, listEmpty},
	{"List/Queries", false, listQueries},
	{"List/EveryPageSize", false, listPages},
	{"List/ManyKeys", false, listMany},
	{"List/SeesEachChange", true, listChanges},
	{"List/NoPhantomDirectories", true, listPhantoms},
	{"List/ForeignTokenIsAnError", false, listToken},
}

// tree is a set of keys without pairs that a directory store may refuse (d and d/x), but with names that sort before and
// after "/", and beyond ASCII.
var tree = []string{
	"!first", "README", "a.txt", "b-x", "b-x2/1", "b.x", "b/1", "b/10", "b/2", "b/c/1", "b/c/d/1", "b/c/d/2", "b/c-1", "b0",
	"ba/1", "data/part-0000", "data/part-0001", "data/part-0002", "data2/x", "e f/g h", "z/y/x/w/v", "zz", "~last",
	"ärger/ö", "日本/東京", "日本語", "😀/😀",
}

func treeObjects() map[string][]byte {
	m := map[string][]byte{}
	for i, k := range tree {
		m[k] = pattern(i).bytes(i * 10)
	}
	return m
}

// listed is what a whole listing gave.
type listed struct{ keys, prefixes []string }

// listAll reads every page of q and reports pages that break a promise.
func listAll(t testing.TB, d store.Driver, q store.Query) (all listed, err error) {
	t.Helper()
	tokens := map[string]bool{}
	for {
		page, err := d.List(t.Context(), q)
		if err != nil {
			return all, err
		}
		if n := len(page.Entries) + len(page.Prefixes); q.Max > 0 && n > q.Max {
			t.Errorf("%+v: a page of %d names, the most asked for is %d", q, n, q.Max)
		}
		for _, e := range page.Entries {
			all.keys = append(all.keys, e.Key)
		}
		all.prefixes = append(all.prefixes, page.Prefixes...)
		if page.Next == "" {
			return all, nil
		}
		if tokens[page.Next] {
			return all, errors.New("the same page token came twice: the listing would never end")
		}
		tokens[page.Next] = true
		q.Token = page.Next
	}
}

// expect is what a listing of keys must give, computed in the plainest way.
func expect(keys []string, q store.Query) (want listed) {
	seen := map[string]bool{}
	for _, k := range keys {
		if !strings.HasPrefix(k, q.Prefix) || q.After != "" && k <= q.After || q.Before != "" && k >= q.Before {
			continue
		}
		if i := strings.Index(k[len(q.Prefix):], "/"); q.Delimiter != "" && i >= 0 {
			if dir := k[:len(q.Prefix)+i+1]; !seen[dir] {
				seen[dir] = true
				want.prefixes = append(want.prefixes, dir)
			}
			continue
		}
		want.keys = append(want.keys, k)
	}
	slices.Sort(want.keys)
	slices.Sort(want.prefixes)
	return want
}

// same fails unless a listing gave exactly what it must, and in the order that caps promises.
func same(t testing.TB, d store.Driver, q store.Query, got, want listed) {
	t.Helper()
	for _, x := range []struct {
		what      string
		got, want []string
	}{{"keys", got.keys, want.keys}, {"prefixes", got.prefixes, want.prefixes}} {
		switch order := d.Caps().Order; {
		case order == store.OrderByKey && !slices.IsSorted(x.got):
			t.Errorf("%+v: %s out of order: %q: a comparison of two listings would copy or delete wrongly", q, x.what, x.got)
		case order == store.OrderByDir && x.what == "keys" && !together(x.got):
			t.Errorf("%+v: the content of a directory is not together: %q", q, x.got)
		}
		sorted := slices.Sorted(slices.Values(x.got))
		if n := len(slices.Compact(slices.Clone(sorted))); n != len(sorted) {
			t.Errorf("%+v: %s listed twice: %q: they would be processed twice", q, x.what, sorted)
		}
		if missing, extra := diff(x.want, sorted), diff(sorted, x.want); len(missing)+len(extra) > 0 {
			t.Errorf("%+v: %s missing %q, beyond what is there %q", q, x.what, missing, extra)
		}
	}
}

// diff returns what a has and b has not.
func diff(a, b []string) (out []string) {
	in := map[string]bool{}
	for _, x := range b {
		in[x] = true
	}
	for _, x := range a {
		if !in[x] {
			out = append(out, x)
		}
	}
	return out[:min(len(out), 10)]
}

// together reports whether the keys of each directory follow each other.
func together(keys []string) bool {
	done := map[string]bool{}
	var open []string
	for _, k := range keys {
		var dirs []string
		for i := range k {
			if k[i] == '/' {
				dirs = append(dirs, k[:i+1])
			}
		}
		for _, d := range open {
			if !slices.Contains(dirs, d) {
				done[d] = true
			}
		}
		for _, d := range dirs {
			if done[d] {
				return false
			}
		}
		open = dirs
	}
	return true
}

func listEmpty(t testing.TB, s *suite) {
	d := s.with(t, nil)
	for _, q := range []store.Query{{}, {Delimiter: "/"}, {Prefix: "x/"}, {Prefix: "x", Max: 1}} {
		got, err := listAll(t, d, q)
		if err != nil {
			t.Errorf("%+v of an empty store: %v", q, err)
		}
		same(t, d, q, got, listed{})
	}
}

// queries ask for what prefixes, bounds and the delimiter can make of tree.
func queries() []store.Query {
	var out []store.Query
	for _, delim := range []string{"", "/"} {
		for _, p := range []string{"", "b", "b/", "b/c", "b/c/", "b-", "b/1", "data/part-", "data", "e f/", "z/y/x/", "zzz", "none/", "ä", "日", "日本/", "😀"} {
			out = append(out, store.Query{Prefix: p, Delimiter: delim})
		}
		for _, b := range [][2]string{{"a.txt", ""}, {"a.tx", ""}, {"", "b-x"}, {"", "b0"}, {"README", "zz"}, {"zz", "README"}, {"zz", ""}, {"~last", ""}, {"日本語", ""}, {"\U0010FFFF", ""}} {
			out = append(out, store.Query{After: b[0], Before: b[1], Delimiter: delim})
		}
	}
	return append(out, // bounds inside of what a delimiter rolls up have no one meaning: only without it
		store.Query{After: "b/1"}, store.Query{After: "b/c/d/1", Before: "data/part-0001"}, store.Query{Before: "b/c/d/"},
		store.Query{Prefix: "b/", After: "b/10"}, store.Query{Prefix: "b/", Before: "b/c/d/2"}, store.Query{Prefix: "b/", After: "a"},
		store.Query{Prefix: "b/", After: "z"}, store.Query{Prefix: "b/c/", After: "b/c/1", Delimiter: "/"}, store.Query{Prefix: "data/", After: "data/part-0000", Before: "data/part-0002", Delimiter: "/"})
}

func listQueries(t testing.TB, s *suite) {
	d := s.with(t, treeObjects())
	for _, q := range queries() {
		for _, q.Max = range []int{0, 1, 3} {
			got, err := listAll(t, d, q)
			if err != nil {
				t.Errorf("%+v: %v", q, err)
				continue
			}
			same(t, d, q, got, expect(tree, q))
		}
	}
	page, err := d.List(t.Context(), store.Query{Prefix: "data/"})
	if err != nil {
		t.Fatal(err)
	}
	objects := treeObjects()
	for _, e := range page.Entries {
		if e.Size != int64(len(objects[e.Key])) {
			t.Errorf("%s is listed with %d bytes and has %d: a sync would copy it again and again", e.Key, e.Size, len(objects[e.Key]))
		}
	}
}

func listPages(t testing.TB, s *suite) {
	d := s.with(t, treeObjects())
	for _, q := range []store.Query{{}, {Delimiter: "/"}, {Prefix: "b/"}, {Prefix: "b/c", Delimiter: "/"}, {After: "b-x", Before: "data2"}} {
		for q.Max = 1; q.Max <= len(tree)+1; q.Max++ {
			got, err := listAll(t, d, q)
			if err != nil {
				t.Errorf("%+v: %v", q, err)
				continue
			}
			same(t, d, q, got, expect(tree, q))
		}
	}
}

func listMany(t testing.TB, s *suite) {
	n := testbed.Scale(1203, 12_003)
	objects := map[string][]byte{}
	var keys []string
	for i := range n {
		k := fmt.Sprintf("many/%02d/%05d", i%7, i)
		objects[k] = []byte{byte(i)}
		keys = append(keys, k)
	}
	d := s.with(t, objects)
	for _, q := range []store.Query{{}, {Prefix: "many/"}, {Prefix: "many/", Delimiter: "/"}, {Prefix: "many/03/", Delimiter: "/"}, {After: keys[n/2]}, {Max: 1000}} {
		got, err := listAll(t, d, q)
		if err != nil {
			t.Errorf("%+v: %v", q, err)
			continue
		}
		same(t, d, q, got, expect(keys, q))
	}
}

func listChanges(t testing.TB, s *suite) {
	d := s.open(t)
	var keys []string
	look := func(after string) {
		t.Helper()
		got, err := listAll(t, d, store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if want := expect(keys, store.Query{}); !slices.Equal(slices.Sorted(slices.Values(got.keys)), want.keys) {
			t.Errorf("after %s the listing is %q, want %q", after, got.keys, want.keys)
		}
	}
	for _, k := range []string{"m", "a/1", "z/1", "a/0"} {
		put(t, d, k, []byte(k))
		keys = append(keys, k)
		look("put " + k)
	}
	put(t, d, "m", []byte("again"))
	look("overwriting m")
	for len(keys) > 0 {
		k := keys[0]
		keys = keys[1:]
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
			t.Fatal(err)
		}
		look("delete " + k)
	}
}

func listPhantoms(t testing.TB, s *suite) {
	d := s.open(t)
	for _, k := range []string{"p/q/r/s", "p/q2/r", "other"} {
		put(t, d, k, []byte("x"))
	}
	for _, k := range []string{"p/q/r/s", "p/q2/r"} {
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []store.Query{{}, {Delimiter: "/"}, {Prefix: "p/"}, {Prefix: "p/", Delimiter: "/"}, {Prefix: "p/q/r/", Delimiter: "/"}} {
		got, err := listAll(t, d, q)
		if err != nil {
			t.Errorf("%+v: %v", q, err)
			continue
		}
		same(t, d, q, got, expect([]string{"other"}, q))
	}
	absent(t, d, "p/q", "a directory that was emptied")
}

func listToken(t testing.TB, s *suite) {
	d := s.with(t, map[string][]byte{"a": nil, "b": nil, "c": nil})
	for _, token := range []string{"\x00\xff", "not a token of this store \u202e", strings.Repeat("A", 5000)} {
		got, err := d.List(t.Context(), store.Query{Token: token})
		if err != nil {
			if d.Classify(err).Code == "" {
				t.Errorf("token %q: an error without a code: %v", token, err)
			}
			continue
		}
		if len(got.Entries) > 0 && len(got.Entries) < 3 {
			t.Errorf("token %q of no listing gave a part of the keys: %d of 3", token, len(got.Entries))
		}
	}
}
