package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/internal/testbed"
)

// TestMain lets the test binary be a process that publishes: it prints the id of each event that was accepted.
func TestMain(m *testing.M) {
	path := os.Getenv("FILE_TEST_PATH")
	if path == "" {
		os.Exit(m.Run())
	}
	n, _ := strconv.Atoi(os.Getenv("FILE_TEST_EVENTS"))
	if limit, _ := strconv.Atoi(os.Getenv("FILE_TEST_LIMIT")); limit > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(limit), Max: uint64(limit)}); err != nil {
			os.Exit(3)
		}
	}
	tp := event.New("events", "file", New(path, false), event.Options{})
	for i := 0; n == 0 || i < n; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		_, err := tp.Publish(context.Background(), event.Event{ID: id, Type: "t", Data: []byte(`"` + strings.Repeat("x", 3000) + `"`)})
		if err != nil {
			fmt.Println("error", fault.CodeOf(err), errors.Is(err, syscall.EFBIG), fault.ClassOf(err).Hint != "")
			os.Exit(1)
		}
		fmt.Println("accepted", id)
	}
	os.Exit(0)
}

func publisher(path string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "FILE_TEST_PATH="+path), env...)
	return cmd
}

func TestManyProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e")
	const processes, each = 4, 50
	var cmds []*exec.Cmd
	for range processes {
		cmd := publisher(path, fmt.Sprint("FILE_TEST_EVENTS=", each))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]int{}
	got := read(t, path)
	for _, m := range got {
		pid, n, _ := strings.Cut(m.ID, "-")
		i, _ := strconv.Atoi(n)
		if i != last[pid] {
			t.Errorf("event %s out of order", m.ID)
		}
		last[pid] = i + 1
	}
	if len(got) != processes*each {
		t.Errorf("%d events of %d", len(got), processes*each)
	}
}

// A process that is killed leaves every event that it was told is accepted, and no torn line once the next one has
// published.
func TestKill(t *testing.T) {
	kills := testbed.Scale(20, 200)
	path := filepath.Join(t.TempDir(), "e")
	lost, accepted := 0, map[string]bool{}
	for range kills {
		cmd := publisher(path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var timer *time.Timer // from the first event on: how long a process takes to begin depends on the machine
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "accepted "); ok {
				accepted[id] = true
				if timer == nil {
					timer = time.AfterFunc(rand.N(40*time.Millisecond), func() { _ = cmd.Process.Kill() })
				}
			}
		}
		_ = cmd.Wait()
		if timer != nil {
			timer.Stop()
		}
	}
	if _, err := topic(t, path, false).Publish(t.Context(), event.Event{ID: "last", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, m := range read(t, path) { // fails on a line that is no event
		have[m.ID]++
	}
	for id := range accepted {
		if have[id] != 1 {
			lost++
		}
	}
	t.Logf("%d kills, %d events accepted, lost %d", kills, len(accepted), lost)
	if lost > 0 || len(accepted) == 0 {
		t.Errorf("lost %d of %d", lost, len(accepted))
	}
}

// A full disk (here a limit on the size of files): the error says so, and nothing of the event that did not fit stays.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e")
	out, err := publisher(path, "FILE_TEST_LIMIT=10000").Output()
	if err == nil || !strings.HasSuffix(string(out), "error resource_exhausted true true\n") {
		t.Errorf("%v, %s", err, out)
	}
	if n := len(read(t, path)); n != strings.Count(string(out), "accepted") || n == 0 {
		t.Errorf("%d events in the file, said was:\n%s", n, out)
	}
}
