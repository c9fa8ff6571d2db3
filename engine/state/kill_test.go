package state

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv("STATE_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Open(dir)
	if err != nil {
		os.Exit(2)
	}
	if os.Getenv("STATE_TEST_LOCK") != "" {
		if _, err := s.Lock(context.Background(), "l"); err != nil {
			os.Exit(2)
		}
		os.Stdout.WriteString("locked\n")
		time.Sleep(time.Minute)
	}
	for i := byte('a'); ; i = 'a' + (i-'a'+1)%26 {
		if err := s.Put("k", bytes.Repeat([]byte{i}, 1<<20)); err != nil {
			os.Exit(2)
		}
	}
}

// A process that is killed while it writes leaves the old value or the new one, and its unfinished files are removed by
// the next process.
func TestKill(t *testing.T) {
	kills := 20
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		kills = 200
	}
	dir := filepath.Join(t.TempDir(), "s")
	torn, unfinished := 0, 0
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STATE_TEST_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + rand.N(40*time.Millisecond))
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() == 2 {
			t.Fatal("the writer failed")
		}
		left, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
		unfinished += len(left)
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if keys, _ := s.Keys(""); len(keys) > 0 {
			v, err := s.Get("k")
			if err != nil || len(v) != 1<<20 || bytes.Count(v, v[:1]) != len(v) {
				torn++
			}
		}
		s.Close()
		if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
			t.Errorf("unfinished files stay: %v", left)
		}
	}
	t.Logf("%d kills: torn %d, unfinished files found and removed %d", kills, torn, unfinished)
	if torn > 0 {
		t.Errorf("torn values: %d", torn)
	}
}

// A lock goes with its process.
func TestKillReleasesLock(t *testing.T) {
	s, dir := open(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STATE_TEST_DIR="+dir, "STATE_TEST_LOCK=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, "l"); err == nil {
		t.Error("two processes hold the lock")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	unlock, err := s.Lock(t.Context(), "l")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
