package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// A dry run opens a folder that a write would make without making it; an overlay over it works as over an empty store.
func TestDryRunMakesNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	open := func(o Options) (store.Driver, error) {
		return Provider().OpenStore(t.Context(), provider.Env{Name: "x", DryRun: true}, &o)
	}
	d, err := open(Options{Path: path, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New("x", "local", store.Overlay(d), store.Options{})
	defer s.Close()
	if _, err := s.Put(t.Context(), "k", store.BytesBody([]byte("v")), store.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, _, err := s.ReadAll(t.Context(), "k", 10); err != nil || string(b) != "v" {
		t.Errorf("read back %q, %v", b, err)
	}
	if _, err := s.Stat(t.Context(), "none", store.Cond{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an absent object: %v", err)
	}
	if got := s.URI("k"); !strings.HasSuffix(got, "/a/b/k") {
		t.Errorf("address %q", got)
	}
	if _, err := d.Put(t.Context(), "k", store.BytesBody(nil), store.PutOptions{}); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("a write that passes the overlay: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	if _, err := open(Options{Path: path}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a missing folder that no write would make: %v", err)
	}
}
