package local

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// folding makes a driver see its folder as a file system that takes names for one when same says so.
func folding(d *Driver, same func(a, b string) bool) {
	d.top.alias = func(h *handle, name string) string {
		if name == "." {
			return name
		}
		found := name
		h.names(func(n []byte, _ kind) bool {
			if string(n) == name {
				found = name
				return false
			}
			if same(string(n), name) {
				found = string(n)
			}
			return true
		})
		return found
	}
}

var accents = strings.NewReplacer("e\u0301", "\u00e9")

func sameAccents(a, b string) bool { return accents.Replace(a) == accents.Replace(b) }

// On a file system that ignores case or composition, distinct keys are distinct objects or refused (R12).
func TestFoldingFileSystems(t *testing.T) {
	for name, c := range map[string]struct {
		same func(a, b string) bool
		a, b string // one name to the file system
	}{
		"case":    {strings.EqualFold, "case", "Case"},
		"accents": {sameAccents, "caf\u00e9", "cafe\u0301"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			folding(d, c.same)
			ctx := t.Context()
			for _, pair := range [][2]string{{c.a, c.b}, {c.a + "d/x", c.b + "d/x"}, {"p/" + c.a, "p/" + c.b}} {
				a, b := pair[0], pair[1]
				put(t, d, a, "old")
				for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
					_, err := d.Put(ctx, b, text("new"), o)
					code(t, d, "put "+b, err, fault.InvalidArgument)
				}
				_, err := d.CopyFrom(ctx, d, a, b, store.CopyOptions{})
				code(t, d, "copy to "+b, err, fault.InvalidArgument)
				_, err = d.Stat(ctx, b, store.Cond{})
				code(t, d, "stat "+b, err, fault.NotFound)
				_, err = get(d, b)
				code(t, d, "get "+b, err, fault.NotFound)
				code(t, d, "delete "+b, d.Delete(ctx, b, store.Cond{}), "")
				if s, err := get(d, a); s != "old" {
					t.Errorf("%s: %q, %v", a, s, err)
				}
				put(t, d, a, "old") // the key itself can be written again
			}
			want := []string{c.a, c.a + "d/x", "p/" + c.a}
			if got := list(t, d, store.Query{}); !slices.Equal(got, want) {
				t.Errorf("listed %q, want %q", got, want)
			}
			for _, k := range want {
				code(t, d, "delete", d.Delete(ctx, k, store.Cond{}), "")
			}
			if got := onDisk(t, dir); !slices.Equal(got, []string{register}) {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// What is there already tells, without a write, that case is ignored.
func TestFoldingIsSeenAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"123", "Data", "other"} {
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	d := open(t, dir)
	if foldsCase(d.top) {
		t.Error("this file system does not ignore case")
	}
	folding(d, strings.EqualFold)
	if !foldsCase(d.top) {
		t.Error("a file system that ignores case was not seen")
	}
	for _, n := range []string{"data", "other", "OTHER"} {
		os.Remove(filepath.Join(dir, n))
		os.Link(filepath.Join(dir, "Data"), filepath.Join(dir, n))
	}
	d.top.alias = nil
	if foldsCase(d.top) {
		t.Error("two names of one file are not one name")
	}
}
