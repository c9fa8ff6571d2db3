package local

import (
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

const someTemp = ".dsrun-0123456789abcdef.tmp"

func TestKeysAreFileNames(t *testing.T) {
	for _, c := range []struct{ key, file string }{
		{"a", "a"}, {"a/b.csv", "a/b.csv"}, {"100%.txt", "100%.txt"}, {"%20", "%20"}, {"a b", "a b"}, {".hidden", ".hidden"},
		{"a//b", "a/%/b"}, {"/a", "%/a"}, {"tr/", "tr/%"}, {"tr", "tr"}, {"//", "%/%/%"}, {"/", "%/%"},
		{".", "%."}, {"..", "%.."}, {"../x", "%../x"}, {"a/./b", "a/%./b"}, {"...", "..."}, {"%.", "%%."}, {"%%.", "%%%."},
		{"%", "%"}, {"%%", "%%"}, {"a/%", "a/%%"}, {"%/a", "%%/a"},
		{someTemp, "%" + someTemp}, {"%" + someTemp, "%%" + someTemp}, {"a/.dsrun-writers", "a/%.dsrun-writers"},
		{".dsrun-x.tmp", ".dsrun-x.tmp"}, {"C:\\x", "C:\\x"}, {"\x1b[31m\n", "\x1b[31m\n"}, {"\xff", "\xff"}, {"CON", "CON"},
	} {
		got, err := file(c.key)
		if err != nil || got != c.file {
			t.Errorf("file(%q) = %q, %v; want %q", c.key, got, err, c.file)
		}
		if back := key(c.file); back != c.key {
			t.Errorf("key(%q) = %q; want %q", c.file, back, c.key)
		}
	}
	for _, k := range []string{"", "a\x00b", strings.Repeat("x", 256), "a/" + strings.Repeat("x", 256) + "/b"} {
		if got, err := file(k); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("file(%.20q) = %q, %v", k, got, err)
		}
	}
}

// key returns the key of a file, as a listing makes it.
func key(file string) string {
	names := strings.Split(file, "/")
	for i, n := range names {
		names[i] = decode(n, len(names) == 1)
	}
	return strings.Join(names, "/")
}

// checkKey proves for one text that as a key it comes back from its file, and as a file from its key.
func checkKey(t *testing.T, s string) {
	t.Helper()
	if f, err := file(s); err == nil {
		if f == "" || path.Clean(f) != f || path.IsAbs(f) || strings.HasPrefix(f, "../") || f == ".." || f == "." {
			t.Errorf("key %q is no path below the folder: %q", s, f)
		}
		for _, name := range strings.Split(f, "/") {
			if hidden(name) || name == "" {
				t.Errorf("key %q has the name %q", s, name)
			}
		}
		if back := key(f); back != s {
			t.Errorf("key %q is file %q is key %q", s, f, back)
		}
	} else if !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("key %q: %v", s, err)
	}
	// A path that a user may have made: no piece empty, a dot or ours.
	for _, name := range strings.Split(s, "/") {
		if name == "" || name == "." || name == ".." || hidden(name) || strings.Contains(name, "\x00") || len(name) > maxName {
			return
		}
	}
	back, err := file(key(s))
	if err != nil || back != s {
		t.Errorf("file %q has key %q, which is file %q, %v", s, key(s), back, err)
	}
}

func TestKeysOneToOne(t *testing.T) {
	pieces := []string{"", "%", ".", "..", "a", "/", "/", someTemp, register, "\xff", "é", "e\u0301", ".dsrun-", ".tmp"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var b strings.Builder
		for range r.IntN(7) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		checkKey(t, b.String())
	}
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"a", "a//b", "%", "%.", "..", "tr/", someTemp, "a/%%..", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(checkKey)
}
