package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/state"
)

const planHCL = `datastore "local" "raw" {
  path = "raw"
}
datastore "local" "out" {
  path   = "out"
  create = true
}
topic "file" "bus" {
  path = "bus.jsonl"
}
`

// planScript makes, overwrites, copies, moves and announces.
const planScript = `
def main(n = 40):
    for i in range(n):
        ds.out.write_text("new/%d.txt" % i, ("new %d\n" % i) * 2000)
        ds.out.write_text("old/%d.txt" % i, ("changed %d\n" % i) * 10, overwrite = True)
    ds.raw.copy("**", to = ds.out, prefix = "copy/")
    ds.raw.delete_all("**")
    for i in range(5):
        topics.bus.publish("done", {"i": i})
`

// planned makes a folder with a plan in it and returns the folder and what must be there in the end.
func planned(t *testing.T, n int) (dir string, want map[string]string) {
	t.Helper()
	dir = t.TempDir()
	want = map[string]string{}
	write(t, dir, "dsrun.hcl", planHCL)
	write(t, dir, "job.star", planScript)
	for _, d := range []string{"raw", "out", "out/old"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		text := fmt.Sprintf("raw %d\n", i)
		write(t, filepath.Join(dir, "raw"), fmt.Sprint(i), text)
		write(t, filepath.Join(dir, "out", "old"), fmt.Sprintf("%d.txt", i), "old\n")
		want[fmt.Sprintf("new/%d.txt", i)] = strings.Repeat(fmt.Sprintf("new %d\n", i), 2000)
		want[fmt.Sprintf("old/%d.txt", i)] = strings.Repeat(fmt.Sprintf("changed %d\n", i), 10)
		want[fmt.Sprintf("copy/%d", i)] = text
	}
	mustRun(t, dir, "run", "job.star", "--n", fmt.Sprint(n), "--dry-run", "--plan-out", "plan.json")
	return dir, want
}

// A plan whose execution is killed again and again is carried out in the end: nothing is ever half-written, nothing is
// refused, and each event is there under one id.
func TestKilledApply(t *testing.T) {
	n, kills := 30, 12
	if os.Getenv("DSRUN_TEST_LONG") != "" {
		n, kills = 100, 200
	}
	killed, plans, sent := 0, 0, 0
	for ; killed < kills; plans++ {
		k, events := killApply(t, n, kills-killed)
		if k == 0 {
			t.Fatal("nothing was killed")
		}
		killed, sent = killed+k, sent+events
	}
	t.Logf("%d kills over %d plans; %d events sent for %d, each under one id", killed, plans, sent, 5*plans)
}

// killApply carries out a plan, killing its executions at most so many times.
func killApply(t *testing.T, n, kills int) (killed, events int) {
	dir, want := planned(t, n)
	for {
		cmd := child(t, dir, "apply", "plan.json", "--json")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if killed < kills {
			lines := bufio.NewScanner(out)
			for range rand.IntN(n / 4) {
				lines.Scan()
			}
			time.Sleep(rand.N(3 * time.Millisecond))
			_ = cmd.Process.Kill()
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
		}
		err = cmd.Wait()
		for name, text := range want {
			b, rerr := os.ReadFile(filepath.Join(dir, "out", name))
			switch {
			case rerr == nil && string(b) == text:
			case os.IsNotExist(rerr) && !strings.HasPrefix(name, "old/"):
			case rerr == nil && string(b) == "old\n" && strings.HasPrefix(name, "old/"):
			default:
				t.Fatalf("after %d kills %s is neither old nor new: %d bytes, %v", killed, name, len(b), rerr)
			}
		}
		if err == nil {
			break
		}
		if killed >= kills || stderr.Len() > 0 {
			t.Fatalf("after %d kills: %v\n%s", killed, err, &stderr)
		}
		killed++
	}
	for name, text := range want {
		if b, err := os.ReadFile(filepath.Join(dir, "out", name)); err != nil || string(b) != text {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "raw")); err != nil || len(visible(left)) > 0 {
		t.Errorf("left in raw: %v %v", left, err)
	}
	ids, all := eventIDs(t, dir)
	if len(ids) != 5 {
		t.Errorf("%d ids, want 5", len(ids))
	}
	return killed, all
}

func visible(list []os.DirEntry) (out []string) {
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out
}

func eventIDs(t *testing.T, dir string) (ids map[string]bool, all int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "bus.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	ids = map[string]bool{}
	for line := range strings.Lines(string(b)) {
		var e struct{ ID string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a torn line: %q", line)
		}
		ids[e.ID] = true
		all++
	}
	return ids, all
}

// runExit runs a command line in process and returns its exit code and what it printed.
func runExit(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	w := testWorld(dir, args)
	w.StateDir = filepath.Join(dir, ".state")
	var out, errs bytes.Buffer
	w.Stdout, w.Stderr = &out, &errs
	return Main(w), out.String(), errs.String()
}

// A plan that was altered, or lost what lies beside it, is refused before anything is done.
func TestApplyAltered(t *testing.T) {
	for name, alter := range map[string]func(dir string) error{
		"is not what its checksum says": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "plan.json"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "plan.json"), bytes.Replace(b, []byte("changed 1"), []byte("altered 1"), 1), 0o600)
		},
		"of the plan is missing in plan.json.d": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "plan.json.d")) },
	} {
		dir, want := planned(t, 2)
		if err := alter(dir); err != nil {
			t.Fatal(err)
		}
		code, out, errs := runExit(t, dir, "apply", "plan.json")
		if code != 1 || !strings.Contains(errs, name) || out != "" {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		for key := range want {
			if b, err := os.ReadFile(filepath.Join(dir, "out", key)); err == nil && string(b) != "old\n" {
				t.Errorf("%s: %s was written", name, key)
			}
		}
	}
}

// Without its records a plan that was carried out is known by what is there; with a source that is gone it is not, and says so.
func TestApplyWithoutRecords(t *testing.T) {
	dir, _ := planned(t, 2)
	if code, out, errs := runExit(t, dir, "apply", "plan.json"); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".state")); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runExit(t, dir, "apply", "plan.json")
	if code != 1 || strings.Count(out, "changed   ") != 2 || !strings.Contains(out, "changed   out:copy/0 (target): it exists") || !strings.Contains(errs, "nothing was done") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if ids, all := eventIDs(t, dir); len(ids) != 5 || all != 5 {
		t.Errorf("%d events, %d ids", all, len(ids))
	}
}

// A plan and what lies beside it hold data: only their owner may read them. A plan that is written again leaves nothing of
// the first behind.
func TestPlanFiles(t *testing.T) {
	dir, _ := planned(t, 3)
	for _, name := range []string{"plan.json", "plan.json.d"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	count := func() int {
		list, _ := os.ReadDir(filepath.Join(dir, "plan.json.d"))
		return len(list)
	}
	if count() != 3 {
		t.Errorf("%d files beside the plan", count())
	}
	mustRun(t, dir, "run", "job.star", "--n", "1", "--dry-run", "--plan-out", "plan.json")
	if count() != 1 {
		t.Errorf("%d files beside the second plan", count())
	}
}

// Two executions of one plan exclude each other.
func TestApplyAlone(t *testing.T) {
	dir, _ := planned(t, 1)
	text, err := os.ReadFile(filepath.Join(dir, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := state.Open(filepath.Join(dir, ".state"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, err := s.Sub("plans").OpenJournal(t.Context(), fmt.Sprintf("%x", sha256.Sum256(text)))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runExit(t, dir, "apply", "plan.json"); code != 1 || !strings.Contains(errs, "another process carries out the same plan") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runExit(t, dir, "apply", "plan.json"); code != 0 {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}
