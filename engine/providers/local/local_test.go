package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

func open(t testing.TB, dir string) *Driver {
	t.Helper()
	d, err := Open(Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// text is a body.
type text string

func (s text) Size() int64      { return int64(len(s)) }
func (s text) Replayable() bool { return true }
func (s text) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(s))), nil
}

// source is a body made of a reader.
type source struct {
	io.Reader
	size int64
}

func (s source) Size() int64                                 { return s.size }
func (s source) Replayable() bool                            { return false }
func (s source) Open(context.Context) (io.ReadCloser, error) { return io.NopCloser(s.Reader), nil }

func put(t testing.TB, d *Driver, key, content string) store.Entry {
	t.Helper()
	e, err := d.Put(context.Background(), key, text(content), store.PutOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return e
}

func get(d *Driver, key string) (string, error) {
	o, err := d.Get(context.Background(), key, store.GetOptions{})
	if err != nil {
		return "", err
	}
	defer o.Body.Close()
	b, err := io.ReadAll(o.Body)
	return string(b), err
}

func list(t testing.TB, d *Driver, q store.Query) []string {
	t.Helper()
	var out []string
	for {
		p, err := d.List(context.Background(), q)
		if err != nil {
			t.Fatalf("list %+v: %v", q, err)
		}
		for _, e := range p.Entries {
			out = append(out, e.Key)
		}
		out = append(out, p.Prefixes...)
		if p.Next == "" {
			return out
		}
		q.Token = p.Next
	}
}

// code checks what an error means to the driver.
func code(t testing.TB, d *Driver, what string, err error, want fault.Code) {
	t.Helper()
	if err == nil && want == "" {
		return
	}
	if err == nil || d.Classify(err).Code != want {
		t.Errorf("%s: %v (%s); want %s", what, err, d.Classify(err).Code, want)
	}
}

// onDisk lists every name below dir, folders with a slash.
func onDisk(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if e.IsDir() {
			rel += "/"
		}
		out = append(out, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "a b", "c")
	_, err := Open(Options{Path: missing})
	if c := fault.ClassOf(err); c.Code != fault.NotFound || !strings.Contains(c.Hint, "create = true") || !strings.Contains(c.Hint, "mkdir -p '"+missing+"'") {
		t.Errorf("a missing folder: %v, %+v", err, c)
	}
	d, err := Open(Options{Path: missing, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "x", "y")
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got := d.URI("a b/ü"); got != "file://"+strings.ReplaceAll(missing, " ", "%20")+"/a%20b/%C3%BC" {
		t.Errorf("URI: %s", got)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Dir(missing)); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("a folder that was made: %v %v", info.Mode(), err)
	}
	for _, create := range []bool{true, false} {
		if _, err := Open(Options{Path: filepath.Join(missing, "x"), Create: create}); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("a file as the folder: %v", err)
		}
	}
	if _, err := Open(Options{Path: filepath.Join(missing, "x", "y"), Create: true}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a folder below a file: %v", err)
	}
}

func TestPutGetStatDelete(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	ctx := t.Context()
	stamp := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	e, err := d.Put(ctx, "a/b.csv", source{strings.NewReader("hello"), -1}, store.PutOptions{Attrs: store.Attributes{Modified: stamp}})
	if err != nil || e.Size != 5 || !e.Modified.Equal(stamp) || e.ETag == "" || e.Key != "a/b.csv" {
		t.Fatalf("put: %+v, %v", e, err)
	}
	s, err := d.Stat(ctx, "a/b.csv", store.Cond{IfMatch: e.ETag})
	if err != nil || s.ETag != e.ETag || s.Size != 5 || !s.Modified.Equal(stamp) || !strings.HasPrefix(s.Attrs.ContentType, "text/csv") {
		t.Errorf("stat: %+v, %v", s, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a", "b.csv")); string(b) != "hello" {
		t.Errorf("the file: %q, %v", b, err)
	}
	if info, _ := os.Stat(filepath.Join(dir, "a", "b.csv")); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	p, _ := d.List(ctx, store.Query{})
	if len(p.Entries) != 1 || p.Entries[0].ETag != e.ETag {
		t.Errorf("list: %+v", p)
	}
	for _, c := range []struct {
		r    store.Range
		want string
		code fault.Code
	}{
		{store.Range{Off: 1, Len: 3}, "ell", ""}, {store.Range{Off: 1, Len: -1}, "ello", ""}, {store.Range{Off: 0, Len: 99}, "hello", ""},
		{store.Range{Off: -2, Len: -1}, "lo", ""}, {store.Range{Off: -99, Len: -1}, "hello", ""}, {store.Range{Off: 5, Len: -1}, "", ""},
		{store.Range{Off: 2, Len: 0}, "", ""}, {store.Range{Off: 6, Len: -1}, "", fault.InvalidArgument},
		{store.Range{Off: -1 << 63, Len: -1}, "hello", ""}, {store.Range{Off: 0, Len: -2}, "", fault.InvalidArgument},
	} {
		o, err := d.Get(ctx, "a/b.csv", store.GetOptions{Range: &c.r, IfMatch: e.ETag})
		if code(t, d, "range", err, c.code); err != nil {
			continue
		}
		b, err := io.ReadAll(o.Body)
		if string(b) != c.want || err != nil || o.Total != 5 || o.Range.Len != int64(len(c.want)) {
			t.Errorf("range %+v: %q, %v, %+v", c.r, b, err, o)
		}
		o.Body.Close()
	}
	// An ETag that was.
	put(t, d, "a/b.csv", "other")
	_, err = d.Stat(ctx, "a/b.csv", store.Cond{IfMatch: e.ETag})
	code(t, d, "stat if match", err, fault.FailedPrecondition)
	_, err = d.Get(ctx, "a/b.csv", store.GetOptions{IfMatch: e.ETag})
	code(t, d, "get if match", err, fault.FailedPrecondition)
	_, err = d.Put(ctx, "a/b.csv", text("x"), store.PutOptions{IfMatch: e.ETag})
	code(t, d, "put if match", err, fault.FailedPrecondition)
	_, err = d.Put(ctx, "absent", text("x"), store.PutOptions{IfMatch: e.ETag})
	code(t, d, "put if match of an absent key", err, fault.FailedPrecondition)
	_, err = d.Put(ctx, "a/b.csv", text("x"), store.PutOptions{IfAbsent: true})
	code(t, d, "put if absent", err, fault.AlreadyExists)
	code(t, d, "delete if match", d.Delete(ctx, "a/b.csv", store.Cond{IfMatch: e.ETag}), fault.FailedPrecondition)
	code(t, d, "delete if match of an absent key", d.Delete(ctx, "a/c", store.Cond{IfMatch: e.ETag}), fault.FailedPrecondition)
	if got, err := get(d, "a/b.csv"); got != "other" {
		t.Errorf("after refused writes: %q, %v", got, err)
	}
	s, _ = d.Stat(ctx, "a/b.csv", store.Cond{})
	code(t, d, "delete", d.Delete(ctx, "a/b.csv", store.Cond{IfMatch: s.ETag}), "")
	for _, k := range []string{"a/b.csv", "a", "never/was/there", "a/b.csv/c"} {
		code(t, d, "delete of an absent key", d.Delete(ctx, k, store.Cond{}), "")
		_, err = d.Stat(ctx, k, store.Cond{})
		code(t, d, "stat of an absent key", err, fault.NotFound)
		_, err = get(d, k)
		code(t, d, "get of an absent key", err, fault.NotFound)
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{register}) {
		t.Errorf("left: %q", got)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "x", "1")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{"x"}) {
		t.Errorf("left: %q", got)
	}
}

func TestDeleteRemovesEmptyFoldersAbove(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	os.MkdirAll(filepath.Join(dir, "mine/empty"), 0o755)
	put(t, d, "mine/a/b/c", "")
	put(t, d, "mine/a/d", "")
	code(t, d, "delete", d.Delete(t.Context(), "mine/a/b/c", store.Cond{}), "")
	if got, want := onDisk(t, dir), []string{register, "mine/", "mine/a/", "mine/a/d", "mine/empty/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	code(t, d, "delete", d.Delete(t.Context(), "mine/a/d", store.Cond{}), "")
	if got, want := onDisk(t, dir), []string{register, "mine/", "mine/empty/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCopy(t *testing.T) {
	a, b := open(t, t.TempDir()), open(t, t.TempDir())
	ctx := t.Context()
	content := strings.Repeat("0123456789", 100_000)
	e := put(t, a, "s", content)
	got, err := b.CopyFrom(ctx, a, "s", "d/t", store.CopyOptions{SrcIfMatch: e.ETag, KeepAttrs: true, Size: e.Size})
	if err != nil || got.Size != e.Size || !got.Modified.Equal(e.Modified) {
		t.Fatalf("copy: %+v, %v", got, err)
	}
	if s, err := get(b, "d/t"); s != content {
		t.Errorf("the copy: %d bytes, %v", len(s), err)
	}
	_, err = b.CopyFrom(ctx, a, "s", "d/t", store.CopyOptions{Put: store.PutOptions{IfAbsent: true}})
	code(t, b, "copy if absent", err, fault.AlreadyExists)
	put(t, a, "s", "new")
	_, err = b.CopyFrom(ctx, a, "s", "u", store.CopyOptions{SrcIfMatch: e.ETag})
	code(t, b, "copy of a changed source", err, fault.FailedPrecondition)
	_, err = b.CopyFrom(ctx, a, "absent", "u", store.CopyOptions{})
	code(t, b, "copy of an absent source", err, fault.NotFound)
	_, err = b.CopyFrom(ctx, nil, "s", "u", store.CopyOptions{})
	code(t, b, "copy from elsewhere", err, fault.Unimplemented)
	if _, err := a.CopyFrom(ctx, a, "s", "s", store.CopyOptions{}); err != nil {
		t.Error(err)
	}
	if s, _ := get(a, "s"); s != "new" {
		t.Errorf("a copy onto itself: %q", s)
	}
	if got := list(t, b, store.Query{}); !slices.Equal(got, []string{"d/t"}) {
		t.Errorf("b holds %q", got)
	}
}

func TestReadsAreOfOneState(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	old := strings.Repeat("old ", 1<<18)
	start := func(key string) (io.ReadCloser, *bytes.Buffer) {
		put(t, d, key, old)
		o, err := d.Get(t.Context(), key, store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := io.CopyN(&got, o.Body, 1000); err != nil {
			t.Fatal(err)
		}
		return o.Body, &got
	}
	for how, change := range map[string]func(key, path string) error{
		"replaced": func(key, _ string) error { put(t, d, key, "new"); return nil },
		"deleted":  func(key, _ string) error { return d.Delete(t.Context(), key, store.Cond{}) },
		"linked":   func(_, path string) error { return os.Link(path, path+"2") },
	} {
		b, got := start(how)
		if err := change(how, filepath.Join(dir, how)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(got, b); err != nil || got.String() != old {
			t.Errorf("%s: %d bytes, %v", how, got.Len(), err)
		}
		b.Close()
	}
	for how, change := range map[string]func(path string) error{
		"cut":   func(path string) error { return os.Truncate(path, 2000) },
		"grown": func(path string) error { return os.Truncate(path, 1<<21) },
		"written in place, its time set back": func(path string) error {
			info, _ := os.Stat(path)
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("NEW"), 500_000)
			}
			return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, info.ModTime()))
		},
	} {
		b, got := start(how)
		time.Sleep(20 * time.Millisecond) // the clock of file systems is coarse
		if err := change(filepath.Join(dir, how)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(got, b)
		code(t, d, how, err, fault.FailedPrecondition)
		b.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	put(t, d, "c", old)
	o, err := d.Get(ctx, "c", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(o.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("a read after cancel: %v", err)
	}
	o.Body.Close()
}
