package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// The order of the steps is what makes a write durable: the bytes before the name, the name before the answer.
func TestStepsOfAPut(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	var steps []string
	d.step = func(what, name string) error {
		if hidden(name) {
			name = "temp"
		}
		steps = append(steps, what+" "+name)
		b, err := os.ReadFile(filepath.Join(dir, "a/b/x"))
		if visible := err == nil; visible != (what == "sync folder" && name == "a/b") {
			t.Errorf("at %s %s the file is there: %v (%q)", what, name, visible, b)
		}
		return nil
	}
	put(t, d, "a/b/x", "content")
	want := []string{"make a", "make a/b", "create temp", "write temp", "sync file temp", "rename x", "sync folder a/b"}
	if !slices.Equal(steps, want) {
		t.Errorf("got %q, want %q", steps, want)
	}
}

func TestAFailedStepLeavesNothing(t *testing.T) {
	for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
		for _, at := range []string{"make", "create", "write", "sync file", "rename"} {
			dir := t.TempDir()
			d := open(t, dir)
			key := "new/folder/x"
			if !o.IfAbsent && at != "make" {
				key = "x"
				put(t, d, key, "old")
			}
			before := onDisk(t, dir)
			d.step = func(what, _ string) error {
				if what == at {
					return &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
				}
				return nil
			}
			_, err := d.Put(t.Context(), key, text("new"), o)
			code(t, d, at, err, fault.ResourceExhausted)
			_, err = d.CopyFrom(t.Context(), openBig(t), "big", key, store.CopyOptions{Put: o})
			code(t, d, "copy: "+at, err, fault.ResourceExhausted)
			isRegister := func(n string) bool { return n == register }
			if got, want := slices.DeleteFunc(onDisk(t, dir), isRegister), slices.DeleteFunc(before, isRegister); !slices.Equal(got, want) {
				t.Errorf("%s failed and left %q, before %q", at, got, want)
			}
			d.step = nil
			if s, _ := get(d, key); s == "new" || key == "x" && s != "old" {
				t.Errorf("%s failed and the file holds %q", at, s)
			}
		}
	}
	// Once the name is there, the answer can only be that the write may have happened.
	d := open(t, t.TempDir())
	d.step = func(what, _ string) error {
		if what == "sync folder" {
			return syscall.EIO
		}
		return nil
	}
	_, err := d.Put(t.Context(), "x", text("new"), store.PutOptions{})
	if c := d.Classify(err); c.Code != fault.Internal || !c.MaybeApplied {
		t.Errorf("a folder that cannot be synced: %+v, %v", c, err)
	}
}

// Names on the way that another has made just now are made durable by the first write of each process.
func TestTheWayToAFileIsDurable(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a/b"), 0o755)
	d := open(t, dir)
	var steps []string
	d.step = func(what, name string) error {
		if what == "sync above" {
			steps = append(steps, name)
		}
		return nil
	}
	put(t, d, "a/b/x", "")
	put(t, d, "a/b/y", "")
	put(t, d, "a/z", "")
	if !slices.Equal(steps, []string{"a", "a/b"}) {
		t.Errorf("synced above %q", steps)
	}
	d.step = func(what, name string) error {
		if what == "sync above" {
			return syscall.EIO
		}
		return nil
	}
	os.Mkdir(filepath.Join(dir, "c"), 0o755)
	_, err := d.Put(t.Context(), "c/x", text(""), store.PutOptions{})
	code(t, d, "put", err, fault.Internal)
}

// A user's empty folder stays when a write below it fails.
func TestAFailedPutKeepsFoldersThatItDidNotMake(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	os.Mkdir(filepath.Join(dir, "mine"), 0o755)
	boom := errors.New("boom")
	_, err := d.Put(t.Context(), "mine/a/b/x", source{io.MultiReader(strings.NewReader("some"), failing{boom}), -1}, store.PutOptions{})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{register, "mine/"}) {
		t.Errorf("left: %q", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Where the file system has no locks on folders, conditions on the ETag are refused, not ignored.
func TestWithoutLocks(t *testing.T) {
	d := open(t, t.TempDir())
	e := put(t, d, "x", "old")
	d.caps.IfMatch = false
	d.caps.Why["IfMatch"] = "no locks"
	_, err := d.Put(t.Context(), "x", text("new"), store.PutOptions{IfMatch: e.ETag})
	code(t, d, "put", err, fault.Unimplemented)
	code(t, d, "delete", d.Delete(t.Context(), "x", store.Cond{IfMatch: e.ETag}), fault.Unimplemented)
	put(t, d, "x", "newer")
}
