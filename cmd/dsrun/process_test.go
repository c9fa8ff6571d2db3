package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be dsrun itself, so that tests can kill a real process.
func TestMain(m *testing.M) {
	if os.Getenv("DSRUN_TEST_CHILD") != "" {
		if size := os.Getenv("DSRUN_TEST_FSIZE"); size != "" {
			var n uint64
			_, _ = fmt.Sscan(size, &n)
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
				panic(err)
			}
		}
		w := realWorld()
		w.Providers = withHTTPStore
		exit(Main(w))
	}
	os.Exit(m.Run())
}

// child returns a command that runs dsrun in a process of its own.
func child(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DSRUN_TEST_CHILD=1", "XDG_STATE_HOME="+filepath.Join(dir, ".state"))
	return cmd
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const outHCL = "datastore \"local\" \"out\" {\n  path   = \"out\"\n  create = true\n}\n"

// bigScript overwrites one object for ever with versions of 8 MiB that each hold one digit throughout.
const bigScript = `
def main():
    block = "0123456789"
    for i in range(1000000):
        text = block[i % 10] * (8 << 20)
        ds.out.write_text("big.txt", text, overwrite = True)
        print(i)
`

// TestKilledWriterTearsNothing kills dsrun while it overwrites an object: the object is whole each time, and what the
// dead left behind is gone after the next run.
func TestKilledWriterTearsNothing(t *testing.T) {
	kills := 20
	if os.Getenv("DSRUN_TEST_LONG") != "" {
		kills = 200
	}
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "big.star", bigScript)
	torn := 0
	for range kills {
		cmd := child(t, dir, "run", "big.star")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // the first object is there
			t.Fatal(err)
		}
		time.Sleep(rand.N(60 * time.Millisecond))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b, err := os.ReadFile(filepath.Join(dir, "out", "big.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != 8<<20 || !bytes.Equal(b, bytes.Repeat(b[:1], len(b))) {
			torn++
		}
	}
	if torn > 0 {
		t.Errorf("%d of %d kills tore the object", torn, kills)
	}
	write(t, dir, "small.star", "ds.out.write_text('small.txt', 'x', overwrite = True)\nprint([o.path for o in ds.out.list()])\n")
	cmd := child(t, dir, "run", "small.star")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "[\"big.txt\", \"small.txt\"]\n"; string(out) != want {
		t.Errorf("listing after the kills: %q, want %q", out, want)
	}
}

// TestInterruptedWriteLeavesNothing sends SIGINT in the middle of a write: exit code 130 within seconds, the old object
// stays, and no temporary file is left.
func TestInterruptedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "slow.star", `
def part(w):
    for i in range(100000000):
        w.write("x" * 65536)
        if i == 20:
            print("writing")

ds.out.write_text("a.txt", "old")
ds.out.create("a.txt", part, overwrite = True)
`)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, dir, "run", "slow.star")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		begin := time.Now()
		_ = cmd.Process.Signal(sig)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%v: took %v to end", sig, took)
		}
		if got, want := cmd.ProcessState.ExitCode(), signalCode(sig); got != want {
			t.Errorf("%v: exit code %d, want %d: %s", sig, got, want, &stderr)
		}
		files, err := os.ReadDir(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 || files[0].Name() != "a.txt" {
			t.Errorf("%v: left behind %v", sig, files)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "out", "a.txt")); string(b) != "old" {
			t.Errorf("%v: the old object is %.20q", sig, b)
		}
	}
}

// TestFullDisk writes more than the file-size limit allows: the error says so, the old object stays, nothing is left.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "fill.star", `
ds.out.write_text("a.txt", "old", overwrite = True)
ds.out.write_text("a.txt", "x" * (4 << 20), overwrite = True)
`)
	cmd := child(t, dir, "run", "fill.star")
	cmd.Env = append(cmd.Env, "DSRUN_TEST_FSIZE=1048576")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d (%v): %s", cmd.ProcessState.ExitCode(), err, out)
	}
	for _, want := range []string{"resource_exhausted", "hint: ", "fill.star:3:"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the error does not say %q: %s", want, out)
		}
	}
	files, _ := os.ReadDir(filepath.Join(dir, "out"))
	b, _ := os.ReadFile(filepath.Join(dir, "out", "a.txt"))
	if len(files) != 1 || string(b) != "old" {
		t.Errorf("left behind %v, a.txt is %.20q", files, b)
	}
}

// TestClosedPipe ends quietly when whoever reads our output has seen enough.
func TestClosedPipe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "a.star", "for i in range(200000):\n    print('line', i)\n")
	cmd := child(t, dir, "run", "a.star")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = out.Read(make([]byte, 10))
	_ = out.Close()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

// TestChangingObject copies an object that a writer keeps replacing: what arrives is one of its states, whole.
func TestChangingObject(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "big.star", bigScript)
	writer := child(t, dir, "run", "big.star")
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Process.Kill(); _ = writer.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	whole := map[[32]byte]bool{}
	for d := byte('0'); d <= '9'; d++ {
		whole[sha256.Sum256(bytes.Repeat([]byte{d}, 8<<20))] = true
	}
	for i := range 10 {
		cp := child(t, dir, "cat", "out:big.txt")
		var stderr bytes.Buffer
		cp.Stderr = &stderr
		b, err := cp.Output()
		if err != nil {
			if !strings.Contains(stderr.String(), "failed_precondition") && !strings.Contains(stderr.String(), "data_loss") {
				t.Errorf("read %d: %v: %s", i, err, &stderr)
			}
			continue
		}
		if !whole[sha256.Sum256(b)] {
			t.Errorf("read %d: a mixture of states, %d bytes", i, len(b))
		}
	}
}
