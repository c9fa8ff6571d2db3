package local

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/dsrun/dsrun/engine/store"
)

// Folders are open as bare descriptors, which nothing closes by itself: no call may forget one, whatever becomes of it.
func TestNoDescriptorIsLeft(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	put(t, d, "a/b/x", "content")
	os.Symlink("x", dir+"/a/b/link")
	os.Symlink("b", dir+"/a/other")
	syscall.Mkfifo(dir+"/a/pipe", 0o600)
	calls := map[string]func(){
		"stat": func() {
			for _, key := range []string{"a/b/x", "a/b/link", "a/b", "no/such/x", "a/other/x", "a/b/x/y", "a/pipe"} {
				d.Stat(t.Context(), key, store.Cond{})
				d.Stat(t.Context(), key, store.Cond{IfMatch: "other"})
			}
		},
		"get": func() {
			for _, key := range []string{"a/b/x", "a/b/link", "a/b", "no/such/x", "a/other/x", "a/b/x/y", "a/pipe"} {
				for _, o := range []store.GetOptions{{}, {IfMatch: "other"}, {Range: &store.Range{Off: 99, Len: 1}}} {
					if o, err := d.Get(t.Context(), key, o); err == nil {
						o.Body.Close()
					}
				}
			}
		},
		"write": func() {
			for _, key := range []string{"a/b/x", "a/b/new", "a/b", "deep/er/x", "a/other/x", "a/b/x/y", "a/pipe"} {
				for _, o := range []store.PutOptions{{}, {IfAbsent: true}, {IfMatch: "other"}} {
					d.Put(t.Context(), key, text("content"), o)
					d.CopyFrom(t.Context(), d, "a/b/x", key, store.CopyOptions{Put: o})
					d.CopyFrom(t.Context(), d, "no/such", key, store.CopyOptions{Put: o})
					d.CopyFrom(t.Context(), d, "a/b/x", key, store.CopyOptions{Put: o, SrcIfMatch: "other"})
				}
			}
		},
		"delete": func() {
			for _, key := range []string{"a/b/new", "deep/er/x", "a/b", "a/other/x", "no/such/x"} {
				d.Delete(t.Context(), key, store.Cond{IfMatch: "other"})
				d.Delete(t.Context(), key, store.Cond{})
			}
		},
		"list": func() {
			d.List(t.Context(), store.Query{})
			d.List(t.Context(), store.Query{Prefix: "no/such/"})
			d.List(t.Context(), store.Query{Delimiter: "/", Max: 1})
		},
	}
	steps := []string{"", "make", "create", "write", "sync file", "rename", "sync folder"}
	for _, call := range calls { // what is opened once and for all
		call()
	}
	before := descriptors(t)
	for name, call := range calls {
		for _, at := range steps {
			d.step = func(what, _ string) error {
				if what == at {
					return errors.New("broken")
				}
				return nil
			}
			call()
			if now := descriptors(t); now > before {
				t.Fatalf("%s, broken at %q: %d descriptors, %d before", name, at, now, before)
			}
		}
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
