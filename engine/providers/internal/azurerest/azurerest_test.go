package azurerest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// paged gives names in their order, in pages of n.
func paged(names []string, n int) Names {
	return func(_ context.Context, token string) (list []store.DirEntry, next string, err error) {
		at, _ := strconv.Atoi(token)
		end := min(at+n, len(names))
		for _, name := range names[at:end] {
			list = append(list, store.DirEntry{Name: name, Dir: strings.HasSuffix(name, "/")})
		}
		if end < len(names) {
			next = strconv.Itoa(end)
		}
		return list, next, nil
	}
}

func drainCursor(t *testing.T, c *Cursor) (out []string, err error) {
	t.Helper()
	for {
		list, err := c.Next(t.Context(), 1000)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if len(list) == 0 || len(list) > 1000 {
			t.Fatalf("%d names", len(list))
		}
		for _, e := range list {
			out = append(out, e.Name)
		}
	}
}

// A directory comes in key order, whether it is large or small and in whatever order the service gives it; one that the
// service sorts is not gathered whole.
func TestCursor(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 50, sortWindow * 2 / 5} {
		var bare []string // as a service sorts them: "b", "b-x", "b.x"
		for i := range size {
			for _, k := range []string{"d%06d/", "d%06d-x", "d%06d.x", "e%06d"} {
				bare = append(bare, fmt.Sprintf(k, i))
			}
		}
		slices.SortFunc(bare, func(a, b string) int { return strings.Compare(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/")) })
		want := slices.Sorted(slices.Values(bare))
		mixed := slices.Clone(bare)
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for what, names := range map[string][]string{"by bare name": bare, "by key": want, "mixed": mixed} {
			for _, from := range []string{"", "d000007.x"} {
				c := &Cursor{Read: paged(names, 1997), From: from}
				got, err := drainCursor(t, c)
				i, _ := slices.BinarySearch(want, from)
				if err != nil || !slices.Equal(got, want[i:]) {
					t.Errorf("%d names %s from %q: %d of %d names, %v", len(want), what, from, len(got), len(want[i:]), err)
				}
			}
		}
	}
	names := make([]string, 4*sortWindow)
	for i := range names {
		names[i] = fmt.Sprintf("%07d", i)
	}
	read := 0
	page := paged(names, 5000)
	c := &Cursor{Read: func(ctx context.Context, token string) ([]store.DirEntry, string, error) {
		read++
		return page(ctx, token)
	}}
	if _, err := c.Next(t.Context(), 10); err != nil || read > sortWindow/5000+1 {
		t.Errorf("%d pages are read for the first names, %v", read, err)
	}
	swapped := slices.Clone(names)
	swapped[0], swapped[len(swapped)-1] = swapped[len(swapped)-1], swapped[0]
	twice := append(slices.Clone(names[:100]), names[99])
	for what, n := range map[string]Names{
		"a name twice": paged(twice, 1000), "an early name late": paged(append(slices.Clone(names), "0"), 5000),
		"the same page": func(context.Context, string) ([]store.DirEntry, string, error) { return nil, "again", nil },
	} {
		if _, err := drainCursor(t, &Cursor{Read: n}); !fault.Is(err, fault.DataLoss) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := drainCursor(t, &Cursor{Read: paged(swapped, 5000)}); err != nil || !slices.Equal(got, names) {
		t.Errorf("a late name first: %d names, %v", len(got), err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	at := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	in := map[string]string{"plain": "x", "empty": "", "two": "a  b", "outer": " x ", "wide": "grün", "line": "a\r\nb", "equal": "="}
	meta, err := Metadata(in, at)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range meta {
		if !Printable(v) || v == "" {
			t.Errorf("%s=%q cannot be sent", name, v)
		}
	}
	user, when := User(meta)
	if !maps.Equal(user, in) || !when.Equal(at) {
		t.Errorf("%q, %v", user, when)
	}
	if user, when := User(map[string]string{"mtime": "yesterday"}); user["mtime"] != "yesterday" || !when.IsZero() {
		t.Errorf("%q, %v", user, when)
	}
	for _, bad := range []map[string]string{{"a-b": "x"}, {"": "x"}, {"1a": "x"}, {"a": "\xff"}, {"A": "1", "a": "2"}, {"dsrun64": "x"}} {
		if _, err := Metadata(bad, at); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	id := NewID()
	name := TempName("a/b/c", TempUpload, id)
	base, ok := strings.CutPrefix(name, "a/b/")
	kind, got, hidden := Hidden(base)
	if !ok || !hidden || kind != TempUpload || got != id || len(base) != TempLen {
		t.Errorf("%q: %c %q %v", name, kind, got, hidden)
	}
	if _, _, hidden := Hidden(strings.ToUpper(base)); !hidden {
		t.Error("in capitals it is none")
	}
	for _, s := range []string{"", ".dsrun", ".dsrun-x.tmp", base + "x", base[1:], "x" + base[1:], strings.Replace(base, id, strings.Repeat("-", idLen), 1)} {
		if _, _, hidden := Hidden(s); hidden {
			t.Errorf("%q is taken for a hidden name", s)
		}
	}
}
