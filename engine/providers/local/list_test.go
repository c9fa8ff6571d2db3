package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// Whatever a user puts into the folder is listed once, in key order, under a key that reads it.
func TestForeignFilesAreObjects(t *testing.T) {
	pieces := []string{"%", "%%", "%.", "%..", "%%..", "%" + someTemp, "%%" + someTemp, "%.dsrun-writers", "a", "a.b", "a-", "a0", "\xff\xfe", "é", "e\u0301",
		" ", "...", ".x", "%20", "%2F", "\x1b[0m", "-rf", "*", strings.Repeat("n", 255)}
	r := rand.New(rand.NewPCG(3, 4))
	for range testbed.Scale(10, 200) {
		dir := t.TempDir()
		d := open(t, dir)
		files := map[string]bool{}
		for range 60 {
			names := []string{pieces[r.IntN(len(pieces))]}
			for range r.IntN(3) {
				names = append(names, pieces[r.IntN(len(pieces))])
			}
			p := strings.Join(names, "/")
			if os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o700) != nil {
				continue
			}
			if os.WriteFile(filepath.Join(dir, p), []byte(p), 0o600) == nil {
				files[p] = true
			}
		}
		got := list(t, d, store.Query{Max: 1 + r.IntN(20)})
		if !slices.IsSorted(got) {
			t.Errorf("out of order: %q", got)
		}
		if len(got) != len(files) {
			t.Errorf("%d files are %d objects", len(files), len(got))
		}
		for _, k := range got {
			s, err := get(d, k)
			if err != nil || !files[s] {
				t.Errorf("key %q reads %q, %v", k, s, err)
			}
			delete(files, s)
			if err := d.Delete(t.Context(), k, store.Cond{}); err != nil {
				t.Error(err)
			}
		}
		if got := list(t, d, store.Query{}); len(files) > 0 || len(got) > 0 {
			t.Errorf("not listed: %v; not deleted: %q", files, got)
		}
	}
}

func TestWhatIsNoObject(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "store")
	os.MkdirAll(filepath.Join(dir, "sub/deeper"), 0o755)
	os.Mkdir(filepath.Join(dir, "empty"), 0o755)
	os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o644)
	os.WriteFile(filepath.Join(dir, "sub/f"), []byte("file"), 0o644)
	os.WriteFile(filepath.Join(dir, someTemp), nil, 0o644)
	for name, to := range map[string]string{
		"out": "../secret", "abs": filepath.Join(base, "secret"), "in": "sub/f", "sub/up": "../sub/f", "dangling": "nothing",
		"loop": "loop", "folder": "sub", "sub/again": "..", "sub/out": "../../secret", "chain": "in", "outfolder": "..",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := open(t, dir)
	if got, want := list(t, d, store.Query{}), []string{"chain", "in", "sub/f", "sub/up"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if got, want := list(t, d, store.Query{Delimiter: "/"}), []string{"chain", "in", "empty/", "sub/"}; !slices.Equal(got, want) {
		t.Errorf("one level: %q, want %q", got, want)
	}
	for key, want := range map[string]fault.Code{
		"in": "", "chain": "", "sub/up": "", "out": fault.PermissionDenied, "abs": fault.PermissionDenied, "sub/out": fault.PermissionDenied,
		"outfolder/secret": fault.PermissionDenied, "folder/f": fault.PermissionDenied, "dangling": fault.NotFound, "loop": fault.InvalidArgument,
		"pipe": fault.InvalidArgument, "s": fault.InvalidArgument, "empty": fault.NotFound, "folder": fault.NotFound,
	} {
		_, err := d.Stat(t.Context(), key, store.Cond{})
		code(t, d, "stat "+key, err, want)
		s, err := get(d, key)
		if code(t, d, "get "+key, err, want); err == nil && s != "file" {
			t.Errorf("%s reads %q", key, s)
		}
	}
	for key, want := range map[string]fault.Code{
		"pipe": fault.InvalidArgument, "empty": fault.InvalidArgument, "folder/x": fault.PermissionDenied, "outfolder/x": fault.PermissionDenied,
		"sub/f/x": fault.InvalidArgument, "in": "", "out": "", "dangling": "", "loop": "",
	} {
		_, err := d.Put(t.Context(), key, text("new"), store.PutOptions{})
		code(t, d, "put "+key, err, want)
	}
	for name, want := range map[string]string{"secret": "secret", "store/sub/f": "file"} {
		if b, _ := os.ReadFile(filepath.Join(base, name)); string(b) != want {
			t.Errorf("a write went through a link: %s holds %q", name, b)
		}
	}
	for _, key := range []string{"empty", "folder", "sub"} { // what is no object stays
		if err := d.Delete(t.Context(), key, store.Cond{}); err != nil && d.Classify(err).Code == "" {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "empty")); err != nil {
		t.Error(err)
	}
}

// A folder of more names than a pass holds is listed whole and in order, and keeps being so while names go.
func TestPassesOverABigFolder(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	var want []string
	for i := range 3000 {
		name := fmt.Sprintf("%x-%d", i*2654435761%4096, i)
		if i%10 == 0 {
			os.Mkdir(filepath.Join(dir, name), 0o700)
			name += "/x"
		}
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
		want = append(want, name)
	}
	slices.Sort(want)
	for _, limit := range []int{1000, 5000, 60_000, passBytes} {
		var got []string
		c := &dirCursor{d: d, path: ".", names: &names{limit: limit}}
		for {
			l, err := c.Next(t.Context(), 77)
			if err != nil {
				break
			}
			for _, e := range l {
				if e.Dir {
					e.Name += "x"
				}
				got = append(got, e.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %d bytes: %d of %d names, in order: %v", limit, len(got), len(want), slices.IsSorted(got))
		}
	}
	if got := list(t, d, store.Query{}); !slices.Equal(got, want) {
		t.Errorf("%d of %d names", len(got), len(want))
	}
	// Half of the names go between two pages: no error, nothing twice, and what stays is there.
	p, err := d.List(t.Context(), store.Query{Max: 10})
	if err != nil {
		t.Fatal(err)
	}
	var stay []string
	for i, k := range want {
		if i%2 == 0 {
			os.RemoveAll(filepath.Join(dir, strings.TrimSuffix(k, "/x")))
		} else if i >= 10 {
			stay = append(stay, k)
		}
	}
	if got := list(t, d, store.Query{Token: p.Next}); !slices.Equal(got, stay) {
		there := list(t, d, store.Query{})
		for _, k := range stay {
			if !slices.Contains(got, k) || !slices.Contains(there, k) {
				t.Errorf("%s is not listed", k)
			}
		}
		if extra := len(got) - len(stay); extra > 20 || !slices.IsSorted(got) {
			t.Errorf("%d names more than stayed, in order: %v", extra, slices.IsSorted(got))
		}
	}
}

// A folder that goes away during the listing holds nothing; one that cannot be read ends it; a top that goes away is
// no empty store.
func TestFoldersThatGoAway(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "store")
	for _, f := range []string{"a/1", "b/1", "b/c/1", "d/1", "e/1"} {
		os.MkdirAll(filepath.Join(dir, filepath.Dir(f)), 0o700)
		os.WriteFile(filepath.Join(dir, f), nil, 0o600)
	}
	d := open(t, dir)
	page := func(token string) store.Page {
		t.Helper()
		p, err := d.List(t.Context(), store.Query{Max: 1, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := page("")
	os.RemoveAll(filepath.Join(dir, "b"))
	os.RemoveAll(filepath.Join(dir, "d"))
	os.WriteFile(filepath.Join(dir, "d"), nil, 0o600) // and one became a file
	var got []string
	for p.Next != "" {
		p = page(p.Next)
		for _, e := range p.Entries {
			got = append(got, e.Key)
		}
	}
	if last := got[len(got)-1]; last != "e/1" || slices.Contains(got, "b/c/1") || slices.Contains(got, "d/1") {
		t.Errorf("then listed: %q", got)
	}
	if os.Geteuid() != 0 {
		os.Chmod(filepath.Join(dir, "e"), 0)
		_, err := d.List(t.Context(), store.Query{})
		code(t, d, "a folder that cannot be read", err, fault.PermissionDenied)
		os.Chmod(filepath.Join(dir, "e"), 0o700)
	}
	os.RemoveAll(dir)
	for _, q := range []store.Query{{}, {Prefix: "e/"}, {Prefix: "x/y/z"}, {Delimiter: "/"}} {
		_, err := d.List(t.Context(), q)
		code(t, d, fmt.Sprintf("list %+v of a folder that is gone", q), err, fault.NotFound)
	}
	code(t, d, "check of a folder that is gone", d.Check(t.Context()), fault.NotFound)
	_, err := d.Put(t.Context(), "x", text("y"), store.PutOptions{})
	code(t, d, "put into a folder that is gone", err, fault.NotFound)
}

// The memory of a listing does not grow with the folder.
func TestListInFlatMemory(t *testing.T) {
	dir := t.TempDir()
	n := testbed.Scale(20_000, 1_000_000)
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file-%08d.csv", i*7919%n)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	d := open(t, dir)
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	var peak uint64
	q, last, total := store.Query{}, "", 0
	for {
		p, err := d.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			if e.Key <= last {
				t.Fatalf("%s after %s", e.Key, last)
			}
			last = e.Key
		}
		if total += len(p.Entries); total%10_000 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc-base.HeapAlloc)
		}
		if q.Token = p.Next; q.Token == "" {
			break
		}
	}
	if t.Logf("%d names, heap at most %.1f MiB over base", total, float64(peak)/(1<<20)); total != n || peak > 64<<20 {
		t.Errorf("%d of %d names, %d bytes", total, n, peak)
	}
}

func TestListEndsWithItsContext(t *testing.T) {
	d := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.List(ctx, store.Query{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := d.ListDir(t.Context(), "none/", "", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
