package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

func open(t *testing.T) (*State, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a", "state")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

// oddKeys must all be different keys, also on file systems that fold case or normalise Unicode.
var oddKeys = []string{"a", "A", "aA", "a/b", "a//b", "a/b/", "/a", ".", "..", "../x", "a.val", "a.tmp", "a.lock", "a.d", "a.more", "%61", "%", "%zz",
	"é", "e\u0301", "con", "NUL", "a b", "a\nb", "a\x00b", "\xff", "\xff\xfe", "-", "_", "~", "x:y", "*", "日本", strings.Repeat("k", 200), strings.Repeat("k", 201),
	strings.Repeat("k", 255), strings.Repeat("k", 1024), strings.Repeat("K", 1024), strings.Repeat("k", 400) + "/x"}

func TestKeysRoundTrip(t *testing.T) {
	s, dir := open(t)
	for _, c := range []*State{s, s.Sub("corner"), s.Sub("corner").Sub("deeper"), s.Sub("../x/Y")} {
		if keys, err := c.Keys(""); err != nil || len(keys) != 0 {
			t.Fatalf("%q %v", keys, err)
		}
		for i, k := range oddKeys {
			if _, err := c.Get(k); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%q before Put: %v", k, err)
			}
			if err := c.Put(k, []byte(fmt.Sprint(i))); err != nil {
				t.Fatalf("%q: %v", k, err)
			}
		}
		for i, k := range oddKeys {
			if v, err := c.Get(k); err != nil || string(v) != fmt.Sprint(i) {
				t.Errorf("%q: %q %v", k, v, err)
			}
		}
		keys, err := c.Keys("")
		if want := slices.Sorted(slices.Values(oddKeys)); err != nil || !slices.Equal(keys, want) {
			t.Errorf("got %q\nwant %q\n%v", keys, want, err)
		}
		if keys, _ := c.Keys("a/"); !slices.Equal(keys, []string{"a//b", "a/b", "a/b/"}) {
			t.Errorf("prefix: %q", keys)
		}
	}
	for _, k := range oddKeys {
		if err := s.Delete(k); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(k); err != nil {
			t.Errorf("deleting %q again: %v", k, err)
		}
	}
	if keys, _ := s.Keys(""); len(keys) != 0 {
		t.Errorf("left: %q", keys)
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want || len(d.Name()) > 255 || strings.HasSuffix(p, tempSuffix) {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return nil
	})
	outside, _ := os.ReadDir(filepath.Dir(dir))
	if len(outside) != 1 {
		t.Errorf("something was made outside: %v", outside)
	}
}

func TestWrongNames(t *testing.T) {
	s, _ := open(t)
	for _, k := range []string{"", strings.Repeat("x", 1025)} {
		_, lockErr := s.Lock(t.Context(), k)
		_, getErr := s.Get(k)
		for _, err := range []error{s.Put(k, nil), s.Delete(k), getErr, lockErr, s.Sub(k).Put("a", nil), s.Sub(k).Sub("b").Put("a", nil)} {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%d bytes: %v", len(k), err)
			}
		}
	}
	if err := s.Put("big", make([]byte, MaxValue+1)); !fault.Is(err, fault.Limit) {
		t.Error(err)
	}
	if _, err := Open(""); err == nil {
		t.Error("a folder without a name")
	}
}

func TestModes(t *testing.T) {
	for mode, ok := range map[fs.FileMode]bool{0o700: true, 0o500: true, 0o750: false, 0o710: false, 0o701: false, 0o755: false, 0o777: false, 0o770: false} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir)
		if (err == nil) != ok {
			t.Errorf("folder %04o: %v", mode, err)
		}
		if err == nil {
			s.Close()
		} else if c := fault.ClassOf(err); c.Code != fault.PermissionDenied || !strings.Contains(c.Hint, "chmod 700") {
			t.Errorf("folder %04o: %v, hint %q", mode, err, c.Hint)
		}
	}
	s, dir := open(t)
	if err := errors.Join(s.Put("k", []byte("v")), s.Sub("c").Put("k", []byte("v"))); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o644: false, 0o666: false} {
		if err := os.Chmod(filepath.Join(dir, "k.val"), mode); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get("k")
		if (err == nil) != ok || err != nil && !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("file %04o: %v", mode, err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "c.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Sub("c").Get("k")
	_, keysErr := s.Sub("c").Sub("x").Keys("")
	_, lockErr := s.Sub("c").Lock(t.Context(), "l")
	for _, err := range []error{getErr, keysErr, lockErr, s.Sub("c").Put("k", nil), s.Sub("c").Delete("k")} {
		if !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("corner with mode 0755: %v", err)
		}
	}
}

func TestOwners(t *testing.T) {
	dir := t.TempDir()
	info, _ := os.Stat(dir)
	if err := private(dir, info, os.Geteuid()+1); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("a folder of another user: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a folder away; the verdict itself is checked above
	}
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("a folder of another user: %v", err)
	}
}

func TestPlantedFiles(t *testing.T) {
	s, dir := open(t)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := errors.Join(s.Put("k", []byte("v")), os.WriteFile(outside, []byte("theirs"), 0o600), os.Symlink(outside, filepath.Join(dir, "out.val")),
		os.Symlink("k.val", filepath.Join(dir, "in.val")), syscall.Mkfifo(filepath.Join(dir, "pipe.val"), 0o600), os.Mkdir(filepath.Join(dir, "folder.val"), 0o700),
		os.Symlink(filepath.Dir(dir), filepath.Join(dir, "away.d")), os.Symlink(outside, filepath.Join(dir, "l.lock"))); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"out", "in", "pipe", "folder"} {
		if v, err := s.Get(k); err == nil {
			t.Errorf("%s: read %q", k, v)
		}
	}
	if err := s.Sub("away").Put("x", []byte("y")); err == nil {
		t.Error("a corner that is a link was written to")
	}
	if _, err := s.Lock(t.Context(), "l"); err == nil {
		t.Error("a lock file that is a link was taken")
	}
	if err := s.Put("out", []byte("ours")); err != nil { // replaces the link, not what it points to
		t.Error(err)
	}
	if b, _ := os.ReadFile(outside); string(b) != "theirs" {
		t.Error("a file outside was changed")
	}
}

func TestSweepKeepsLiveWrites(t *testing.T) {
	s, dir := open(t)
	name, f, err := s.temp()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(filepath.Join(dir, "dead.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := os.Stat(filepath.Join(dir, "dead.tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file of a dead process is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Error("the file of a live process has gone")
	}
}

func TestConcurrentPuts(t *testing.T) {
	s, dir := open(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				if err := s.Sub("c").Put("k", bytes.Repeat([]byte{byte('a' + g)}, 1000+i)); err != nil {
					t.Error(err)
				}
				if o, err := Open(dir); err != nil { // sweeps meanwhile
					t.Error(err)
				} else {
					_ = o.Sub("c").Put("other", nil)
					o.Close()
				}
				v, err := s.Sub("c").Get("k")
				if err != nil || len(v) < 1000 || bytes.Count(v, v[:1]) != len(v) {
					t.Errorf("a mixture of %d bytes, %v", len(v), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLock(t *testing.T) {
	s, dir := open(t)
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n, inside := 0, 0
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			st := []*State{s, again}[g%2]
			for range 10 {
				unlock, err := st.Lock(t.Context(), "The Lock")
				if err != nil {
					t.Error(err)
					return
				}
				if inside++; inside != 1 {
					t.Error("two hold the lock")
				}
				n++
				inside--
				if err := unlock(); err != nil {
					t.Error(err)
				}
				if err := unlock(); err != nil {
					t.Error("unlocking again:", err)
				}
			}
		})
	}
	wg.Wait()
	if n != 60 {
		t.Error(n)
	}
	unlock, err := s.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	free, err := s.Lock(t.Context(), "y") // another name is free
	if err != nil {
		t.Fatal(err)
	}
	free()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	start := time.Now()
	if _, err := again.Lock(ctx, "x"); !errors.Is(err, cause) || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
