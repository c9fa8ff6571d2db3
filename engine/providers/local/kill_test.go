package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
)

// childEnv makes the test binary do a child's work instead of the tests.
const childEnv = "DSRUN_LOCAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(what, os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const bigSize = 8 << 20

// generation is content whose every part tells which it is of.
type generation int

func (g generation) bytes() []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%015d\n", int(g))), bigSize/16)
}

// whole returns the generation that b is all of.
func whole(b []byte) (int, error) {
	if len(b) != bigSize {
		return 0, fmt.Errorf("torn: %d bytes", len(b))
	}
	n, err := strconv.Atoi(string(b[:15]))
	if err != nil || !bytes.Equal(b, generation(n).bytes()) {
		return 0, fmt.Errorf("torn: a mixture from generation %q on", b[:15])
	}
	return n, nil
}

// child overwrites a file until it is killed, or once with a limit on the size of files.
func child(what, dir string) error {
	d, err := Open(Options{Path: dir})
	if err != nil {
		return err
	}
	switch what {
	case "overwrite":
		for g := generation(1); ; g++ {
			if _, err := d.Put(context.Background(), "deep/er/big", text(g.bytes()), store.PutOptions{}); err != nil {
				return err
			}
			fmt.Println(g)
		}
	case "limit":
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			return err
		}
		_, err := d.Put(context.Background(), "big", text(generation(2).bytes()), store.PutOptions{})
		if c := d.Classify(err); c.Code != fault.ResourceExhausted || !c.NoRetry || !errors.Is(err, syscall.EFBIG) {
			return fmt.Errorf("put over the limit: %+v: %v", c, err)
		}
		return d.Close()
	}
	return fmt.Errorf("no work is named %q", what)
}

func start(t *testing.T, what, dir string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// A destination is old or new and never torn, whenever its writer is killed; what the writer left goes with the next
// open (R1).
func TestKilledWriterTearsNothing(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	put(t, first, "deep/er/big", string(generation(0).bytes()))
	if err := first.retire(); err != nil {
		t.Fatal(err)
	}
	rounds := testbed.Scale(20, 200)
	torn, left, hit, puts := 0, 0, 0, 0
	for range rounds {
		cmd, out := start(t, "overwrite", dir)
		time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		said := strings.Fields(out.String())
		if temps := slices.DeleteFunc(onDisk(t, dir), func(n string) bool { return !hidden(filepath.Base(n)) || filepath.Base(n) == register }); len(temps) > 0 {
			hit++
		}
		d := openOnly(t, dir)
		if names := onDisk(t, dir); !slices.Equal(names, []string{"deep/", "deep/er/", "deep/er/big"}) {
			left++
			t.Errorf("left after the next open: %q", names)
		}
		content, err := get(d, "deep/er/big")
		if err != nil {
			t.Fatal(err)
		}
		g, err := whole([]byte(content))
		if err != nil {
			torn++
			t.Error(err)
		}
		if puts += len(said); len(said) > 0 {
			// What Put has returned for is there, at least.
			if last, err := strconv.Atoi(said[len(said)-1]); err != nil || g < last || g > last+1 {
				t.Errorf("generation %d is there after put %q returned", g, said[len(said)-1])
			}
		}
		d.Close()
	}
	t.Logf("%d kills, %d of them while a temp was there, %d puts: torn %d, temps left %d", rounds, hit, puts, torn, left)
	if hit == 0 {
		t.Error("no kill came while a file was written: the test shows nothing")
	}
}

// A living writer's temp is not swept.
func TestSweepSparesTheLiving(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := a.Put(context.Background(), "x/y", source{r, -1}, store.PutOptions{})
		done <- err
	}()
	w.Write([]byte("half "))
	for range 3 {
		openOnly(t, dir).Close()
		b := openOnly(t, dir)
		put(t, b, "x/z", "")
		b.Close()
	}
	w.Write([]byte("done"))
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s, err := get(a, "x/y"); s != "half done" {
		t.Errorf("%q, %v", s, err)
	}
}

// Either lock alone, of the register or of the temp, keeps a temp from being swept.
func TestSweepHonoursEachLock(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	put(t, a, "x", "")
	unlocked := filepath.Join(dir, someTemp) // as between its making and its lock
	os.WriteFile(unlocked, nil, 0o600)
	openOnly(t, dir).Close()
	if _, err := os.Stat(unlocked); err != nil {
		t.Error("swept while its writer holds the register:", err)
	}
	f, err := a.top.open(someTemp)
	if err != nil {
		t.Fatal(err)
	}
	tryLock(f, false)
	if a.stale(a.top, someTemp) {
		t.Error("stale while it is locked")
	}
	f.Close()
	if !a.stale(a.top, someTemp) {
		t.Error("not stale once it is free")
	}
}

// A register that a stranger wrote leads nowhere, and only names of ours go.
func TestSweepStaysInTheFolder(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "store")
	os.MkdirAll(filepath.Join(dir, "in"), 0o755)
	os.Symlink(above, filepath.Join(dir, "link"))
	for _, name := range []string{"../" + someTemp, "in/" + someTemp, "in/.dsrun-mine.tmp", "in/x"} {
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	os.WriteFile(filepath.Join(dir, register), []byte("\"..\"\n\"link\"\n\"/\"\n\"in/..\"\n\"\"\n\"in\"\n\"in"), 0o600)
	d := openOnly(t, dir)
	defer d.Close()
	want := []string{"store/", "store/in/", "store/in/.dsrun-mine.tmp", "store/in/x", "store/link", someTemp}
	slices.Sort(want)
	got := slices.DeleteFunc(onDisk(t, above), func(n string) bool { return n == "store/"+register })
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A file that outgrows the limit of its process is named so, leaves nothing and does not harm the old one (R18).
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir), "big", "old")
	cmd, out := start(t, "limit", dir)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	wantOnly(t, dir, "big", "old")
}

// wantOnly fails unless dir holds one file.
func wantOnly(t *testing.T, dir, name, content string) {
	t.Helper()
	names := slices.DeleteFunc(onDisk(t, dir), func(n string) bool { return n == register })
	b, err := os.ReadFile(filepath.Join(dir, name))
	if !slices.Equal(names, []string{name}) || string(b) != content {
		t.Errorf("the folder holds %q; %s is %.20q, %v", names, name, b, err)
	}
}

// missing skips a test for want of something, or fails it where all must be there.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("DSRUN_TESTBED") == "require" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v", what, err)
}

func openBig(t *testing.T) *Driver {
	d := open(t, t.TempDir())
	put(t, d, "big", string(generation(1).bytes()))
	return d
}
