package memory

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

type text string

func (s text) Size() int64      { return int64(len(s)) }
func (s text) Replayable() bool { return true }
func (s text) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(s))), nil
}

func openWith(t *testing.T, o *Options) (*Driver, error) {
	t.Helper()
	d, err := Provider().OpenStore(t.Context(), provider.Env{Name: "m"}, o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { d.Close() })
	return d.(*Driver), nil
}

func TestFixtures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.csv", "x,y\n1,2\n")
	write("sub/deep/b.txt", "hello")
	d, err := openWith(t, &Options{Fixtures: dir, MaxSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.List(t.Context(), store.Query{})
	if err != nil || len(page.Entries) != 2 || page.Entries[0].Key != "a.csv" || page.Entries[1].Key != "sub/deep/b.txt" {
		t.Fatalf("the fixtures list as %v, %v", page.Entries, err)
	}
	x, err := d.Get(t.Context(), "sub/deep/b.txt", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(x.Body); string(b) != "hello" || err != nil {
		t.Errorf("a fixture reads as %q, %v", b, err)
	}
	if x.Entry.Attrs.Modified.IsZero() {
		t.Error("a fixture lost its file's time")
	}

	if _, err := openWith(t, &Options{Fixtures: dir, MaxSize: 10}); !fault.Is(err, fault.ResourceExhausted) {
		t.Errorf("fixtures beyond max_size: %v", err)
	}
	if _, err := openWith(t, &Options{Fixtures: filepath.Join(dir, "none"), MaxSize: 10}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a missing fixtures folder: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "secret.txt")
	os.WriteFile(outside, []byte("secret"), 0o600)
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if _, err := openWith(t, &Options{Fixtures: dir, MaxSize: 100}); err == nil {
		t.Error("a link out of the fixtures folder was followed or passed over")
	}
}

// All room that was reserved comes back, whatever way a write went.
func TestMaxSize(t *testing.T) {
	ctx := t.Context()
	d := New("m", 100, nil)
	used := func(want int64) {
		t.Helper()
		if got := d.space.used.Load(); got != want {
			t.Errorf("%d bytes are held, want %d", got, want)
		}
	}
	put := func(key, s string, o store.PutOptions) error {
		_, err := d.Put(ctx, key, text(s), o)
		return err
	}
	if err := put("a", strings.Repeat("x", 60), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	used(60)
	err := put("b", strings.Repeat("x", 41), store.PutOptions{})
	if c := d.Classify(err); c.Code != fault.ResourceExhausted || c.Retryable() || c.Hint == "" {
		t.Errorf("over max_size: %+v", c)
	}
	used(60)
	if err := put("a", "xy", store.PutOptions{IfAbsent: true}); !fault.Is(err, fault.AlreadyExists) {
		t.Error(err)
	}
	if err := put("a", strings.Repeat("y", 20), store.PutOptions{}); err != nil {
		t.Error("replacing within the limit: ", err)
	}
	used(20)
	u, err := d.Begin(ctx, "m", store.PutOptions{}, -1)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := u.Part(ctx, 1, 0, text(strings.Repeat("p", 30))); err != nil {
			t.Fatal("the same part again: ", err)
		}
	}
	used(50)
	u.Abort(ctx)
	used(20)
	if _, err := d.CopyFrom(ctx, d, "a", "c", store.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	used(40)
	d.Delete(ctx, "a", store.Cond{})
	d.Delete(ctx, "c", store.Cond{})
	used(0)
}
