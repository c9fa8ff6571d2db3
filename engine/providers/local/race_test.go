package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// Of 32 writers of a new key exactly one wins (R11), through renameat2 and through hard links, and against a foreign
// program that takes no lock.
func TestIfAbsentHasOneWinner(t *testing.T) {
	dir := t.TempDir()
	drivers := []*Driver{open(t, dir), open(t, dir), open(t, dir)}
	for round := range testbed.Scale(20, 500) {
		key := fmt.Sprintf("r%d/x", round)
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				var err error
				if i == 0 {
					path := filepath.Join(dir, key)
					os.Mkdir(filepath.Dir(path), 0o700)
					var f *os.File
					if f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
						f.Close()
					} else if errors.Is(err, os.ErrExist) {
						err = fault.New(fault.AlreadyExists, "%w", err)
					}
				} else {
					_, err = drivers[i%3].Put(context.Background(), key, text(fmt.Sprint(i)), store.PutOptions{IfAbsent: true})
				}
				if err == nil {
					won.Add(1)
				} else if drivers[0].Classify(err).Code == fault.AlreadyExists {
					lost.Add(1)
				} else {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 31 {
			t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
}

func TestRenameByLink(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for _, n := range []string{"a", "b"} {
		os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600)
	}
	if err := d.top.renameByLink("a", "b"); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if err := d.top.renameByLink("a", "c"); err != nil {
		t.Error(err)
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("%q", got)
	}
}

// Puts and deletes of neighbours make and remove the same folder all the time; neither fails for that.
func TestPutsAndDeletesOfNeighbours(t *testing.T) {
	dir := t.TempDir()
	drivers := []*Driver{open(t, dir), open(t, dir)}
	end := time.Now().Add(testbed.Scale(500*time.Millisecond, 20*time.Second))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			d, key := drivers[i%2], fmt.Sprintf("a/b/c/%d", i)
			for time.Now().Before(end) {
				if _, err := d.Put(context.Background(), key, text(key), store.PutOptions{}); err != nil {
					t.Error(err)
				}
				if s, err := get(d, key); s != key {
					t.Errorf("%s: %q, %v", key, s, err)
				}
				if err := d.Delete(context.Background(), key, store.Cond{}); err != nil {
					t.Error(err)
				}
				if _, err := d.List(context.Background(), store.Query{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := onDisk(t, dir); !slices.Equal(got, []string{register}) {
		t.Errorf("left: %q", got)
	}
}

// While a folder on the way is swapped for a link that leads out, no name appears outside and nothing outside is read,
// overwritten or removed (R26).
func TestSwappedLinksLeadNowhere(t *testing.T) {
	base := t.TempDir()
	outside, dir := filepath.Join(base, "outside"), filepath.Join(base, "store")
	os.MkdirAll(filepath.Join(outside, "sub"), 0o755)
	os.Mkdir(dir, 0o755)
	secret := filepath.Join(outside, "x")
	os.WriteFile(secret, []byte("secret"), 0o600)
	os.WriteFile(filepath.Join(outside, "sub/x"), []byte("secret"), 0o600)
	d := open(t, dir)
	stop := make(chan struct{})
	var swaps sync.WaitGroup
	swaps.Go(func() {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, ".aside")
		os.Mkdir(a, 0o755)
		os.Symlink(outside, b)
		for {
			select {
			case <-stop:
				return
			default:
				exchange(a, b)
			}
		}
	})
	defer func() { close(stop); swaps.Wait() }()
	wrote, refused := 0, 0
	for i := range testbed.Scale(2000, 10_000) {
		for _, key := range []string{"a/x", fmt.Sprintf("a/%d", i), "a/sub/x", "a/new/y"} {
			_, err := d.Put(t.Context(), key, text("new"), store.PutOptions{})
			if err == nil {
				wrote++
			} else {
				refused++
			}
			if s, _ := get(d, key); s == "secret" {
				t.Fatalf("%s reads what is outside", key)
			}
			d.Delete(t.Context(), key, store.Cond{})
		}
		if p, err := d.List(t.Context(), store.Query{Prefix: "a/"}); err == nil {
			for _, e := range p.Entries {
				if e.Size == 6 {
					t.Fatalf("%s is listed from outside", e.Key)
				}
			}
		}
	}
	if got := onDisk(t, outside); !slices.Equal(got, []string{"sub/", "sub/x", "x"}) {
		t.Errorf("outside there is now %q", got)
	}
	if b, _ := os.ReadFile(secret); string(b) != "secret" {
		t.Errorf("outside a file now holds %q", b)
	}
	if wrote == 0 || refused == 0 {
		t.Errorf("%d writes done, %d refused: the test shows nothing", wrote, refused)
	}
	t.Logf("%d writes done, %d refused", wrote, refused)
}

// A lock that somebody never gives back does not outlast the context.
func TestLockWaitEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = d.Put(ctx, "x", text("y"), store.PutOptions{})
	if code(t, d, "put", err, fault.DeadlineExceeded); time.Since(began) > time.Second {
		t.Errorf("it took %v", time.Since(began))
	}
	if got := onDisk(t, dir); !slices.Equal(got, []string{register}) {
		t.Errorf("left: %q", got)
	}
}

// A foreign program that makes the key between the check and the rename keeps its file.
func TestIfAbsentAgainstAForeignProgram(t *testing.T) {
	for name, put := range map[string]func(*Driver) error{
		"put": func(d *Driver) error {
			_, err := d.Put(context.Background(), "x", text("ours"), store.PutOptions{IfAbsent: true})
			return err
		},
		"copy": func(d *Driver) error {
			_, err := d.CopyFrom(context.Background(), d, "source", "x", store.CopyOptions{Put: store.PutOptions{IfAbsent: true}})
			return err
		},
	} {
		dir := t.TempDir()
		d := open(t, dir)
		os.WriteFile(filepath.Join(dir, "source"), []byte("ours"), 0o600)
		d.step = func(what, _ string) error {
			if what == "rename" {
				return os.WriteFile(filepath.Join(dir, "x"), []byte("theirs"), 0o600)
			}
			return nil
		}
		code(t, d, name, put(d), fault.AlreadyExists)
		if got := onDisk(t, dir); !slices.Equal(got, []string{register, "source", "x"}) {
			t.Errorf("%s left %q", name, got)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "x")); string(b) != "theirs" {
			t.Errorf("%s: the file holds %q", name, b)
		}
	}
}
