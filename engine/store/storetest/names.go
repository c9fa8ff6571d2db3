package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var nameChecks = []check{
	{"Names/DistinctInDistinctOut", true, namesRoundTrip},
	{"Names/EmptyAndTooLongAreRefused", true, namesRefused},
}

// oddNames are groups of keys that some store, path, URL or terminal takes for each other or for something else. Each key
// must come back as itself or be refused; none may stand for another.
var oddNames = map[string][]string{
	"slashes":            {"a/b", "a//b", "a///b", "/a/b", "//a/b", "a/b/", "a/b//", "/", "//"},
	"file and directory": {"d", "d/x", "d/x/y", "tr", "tr/"},
	"dots":               {".", "..", "a/.", "a/..", "a/./b", "a/../b", "./b", "../b", "../../b", "...", "a/.../b", ".hidden", "b"},
	"case":               {"Case", "case", "CASE", "dir/Case", "Dir/case", "ß", "SS", "ss", "ı", "I", "i"},
	"normal forms":       {"caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi"},
	"segments": {strings.Repeat("n", 200), strings.Repeat("n", 255), strings.Repeat("n", 256), "p/" + strings.Repeat("m", 255), "p/" + strings.Repeat("m", 256),
		strings.Repeat("é", 127), strings.Repeat("é", 128)},
	"lengths":         {key(1000), key(1023), key(1024), strings.Repeat("q", 1024), strings.Repeat("a/", 512)},
	"reserved":        {"CON", "con", "CON.txt", "aux", "NUL", "COM1", "LPT1.csv", "desktop.ini", "a:b", "x:y", "C:", "C:\\x", "C:/x", "a:b:$DATA"},
	"percent":         {"%2F", "a%2Fb", "a/%2F/b", "%41", "A", "%", "%%", "%zz", "%00", "%25", "%2541", "%e2%80%ae"},
	"url":             {"q?x=1", "q", "q?", "a#b", "a&b", "a=b", "a+b", "a b", "a%20b", "http://h/x", "http:/h/x", "?", "#", "&", "=", "+", "!", "'", "(", ")", "*", ";", ",", "@", "$"},
	"backslash":       {"w\\x", "w/x", "\\", "\\\\server\\share", "..\\up"},
	"control":         {"c\x01", "c\x1f", "c\x7f", "c\x1b[31mred\x1b[0m", "c\x1b]0;title\a", "c\x1b]52;c;eA==\a", "new\nline", "cr\rlf", "tab\tkey", "bell\a", "\u0085", "\u009b31m"},
	"bidi":            {"\u202egpj.exe", "a\u200bb", "ab", "a\u200eb", "\ufeffbom", "bom", "a\u00adb", "\u2028", "\u2029"},
	"ends":            {"end.", "end", "end..", "end ", "end  ", " end", "dir./x", "dir/x", "dir /x", " dir/x", "end\u00a0"},
	"emoji":           {"😀", "👩‍👩‍👧", "👩👩👧", "❤", "❤️", "\U0001F1E9\U0001F1EA", "\U0010FFFD"},
	"nul and invalid": {"nul\x00key", "nul", "nul\x00", "bad\xff", "bad\xfe", "bad", "bad\xed\xa0\x80", "bad\xc0\xaf", "bad\ufffd", "\xf0\x9f"},
	"quotes":          {`"`, `'`, "`", `a"b`, "<a>", "<", "a|b", "a*b", "~", "~/x", "$HOME", "-", "--help", "-rf", "{{x}}", "[a]", "{a,b}", "^", "_"},
	"ours":            {".dsrun", ".dsrun/x", "x.tmp", "x.part", "~x", ".tmp-x", "__meta__", ".meta", "x.meta.json", ".rclonelink", "x.rclonelink", ".s3keep", "=41", "x=2Fy", "x~2Fy", "x!2Fy", "x@2Fy", "x_2Fy"},
}

// key returns a key of n bytes in segments of up to 100.
func key(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len()%101 == 100 && b.Len() < n-1 {
			b.WriteByte('/')
		} else {
			b.WriteByte('k')
		}
	}
	return b.String()
}

func namesRoundTrip(t testing.TB, s *suite) {
	stored, refused := 0, 0
	for _, group := range slices.Sorted(maps.Keys(oddNames)) {
		a, b := s.nameGroup(t, group, oddNames[group])
		stored, refused = stored+a, refused+b
	}
	t.Logf("%d odd keys came back as themselves, %d were refused", stored, refused)
	if stored == 0 {
		t.Error("every odd key was refused")
	}
}

// nameGroup stores the keys of a group side by side, checks each, and takes them away one after another.
func (s *suite) nameGroup(t testing.TB, group string, keys []string) (stored, refused int) {
	ctx := t.Context()
	d := s.open(t)
	content := map[string][]byte{}
	for i, k := range keys {
		if s.SkipKey != nil && s.SkipKey(k) != "" {
			t.Logf("%s: %q: not shown by this server: %s", group, k, s.SkipKey(k))
			continue
		}
		want := fmt.Appendf(nil, "%s %d %q", group, i, k)
		e, err := d.Put(ctx, k, Bytes(want), store.PutOptions{})
		if err != nil {
			refused++
			if c := d.Classify(err).Code; c != fault.InvalidArgument {
				t.Errorf("%s: put %q is refused with code %q, want %q: %v", group, k, c, fault.InvalidArgument, err)
			}
			continue
		}
		if e.Key != k {
			t.Errorf("%s: put %q answers for the key %q", group, k, e.Key)
		}
		content[k] = want
	}
	look := func(when string) {
		for k, want := range content {
			holds(t, d, k, want, group+": "+when+": silently merged or lost")
			if e, err := d.Stat(ctx, k, store.Cond{}); err != nil || e.Key != k || e.Size != int64(len(want)) {
				t.Errorf("%s: %s: stat %q: key %q, size %d, %v", group, when, k, e.Key, e.Size, err)
			}
		}
		q := store.Query{}
		got, err := listAll(t, d, q)
		if err != nil {
			t.Errorf("%s: %s: list: %v", group, when, err)
			return
		}
		same(t, d, q, got, expect(slices.Collect(maps.Keys(content)), q))
		q.Delimiter = "/"
		if got, err = listAll(t, d, q); err != nil {
			t.Errorf("%s: %s: list of one level: %v", group, when, err)
			return
		}
		same(t, d, q, got, expect(slices.Collect(maps.Keys(content)), q))
	}
	look("all stored")
	for _, k := range keys { // what was not stored must not answer for what was
		if _, ok := content[k]; !ok && (s.SkipKey == nil || s.SkipKey(k) == "") {
			if b, _, err := get(ctx, d, k, store.GetOptions{}); err == nil {
				t.Errorf("%s: %q was refused, yet it reads as %s", group, k, brief(b))
			}
		}
	}
	stored = len(content)
	half := slices.Sorted(maps.Keys(content))
	for i, k := range half {
		if err := d.Delete(ctx, k, store.Cond{}); err != nil {
			t.Errorf("%s: delete %q: %v", group, k, err)
		}
		delete(content, k)
		if i == len(half)/2 || i == len(half)-1 {
			look(fmt.Sprintf("%d keys deleted", i+1))
		}
	}
	return stored, refused
}

func namesRefused(t testing.TB, s *suite) {
	d := s.open(t)
	long := 1025
	if m := d.Caps().MaxKey; m > 0 {
		long = m + 1
		if k := key(m); true {
			put(t, d, k, []byte("the longest"))
			holds(t, d, k, []byte("the longest"), "a key of Caps.MaxKey bytes")
		}
	}
	keys := []string{""}
	if d.Caps().MaxKey > 0 {
		keys = append(keys, key(long), key(100_000))
	}
	for _, k := range keys {
		_, err := d.Put(t.Context(), k, Bytes([]byte("x")), store.PutOptions{})
		wantCode(t, d, err, fmt.Sprintf("put of a key of %d bytes", len(k)), fault.InvalidArgument)
		_, _, err = get(t.Context(), d, k, store.GetOptions{})
		wantCode(t, d, err, fmt.Sprintf("get of a key of %d bytes", len(k)), fault.InvalidArgument, fault.NotFound)
		if err := d.Delete(t.Context(), k, store.Cond{}); err != nil && d.Classify(err).Code == "" {
			t.Errorf("delete of a key of %d bytes: an error without a code", len(k))
		}
	}
}
