package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Missing skips the test because what is not there, or fails it when DSRUN_TESTBED=require.
func Missing(t testing.TB, what, reason string) {
	t.Helper()
	note("skipped " + what + ": " + reason)
	if os.Getenv("DSRUN_TESTBED") == "require" {
		t.Fatalf("%s is required (DSRUN_TESTBED=require): %s", what, reason)
	}
	t.Skipf("%s: %s", what, reason)
}

// Program returns the path of a program, or skips the test.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		Missing(t, name, err.Error())
	}
	return path
}

// PythonModule returns the path of a Python that can import the module, or skips the test.
func PythonModule(t testing.TB, module string) string {
	t.Helper()
	python := Program(t, "python3")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, python, "-c", "import "+module).CombinedOutput(); err != nil {
		Missing(t, "python module "+module, lastLine(out))
	}
	return python
}

// find looks in the testbed's folder of programs, then on PATH.
func find(name string) (string, error) {
	if dir := programs(); dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no program %s in the testbed's folder or on PATH; make testbed installs it where it can", name)
	}
	return path, nil
}

// programs is the testbed's folder of programs, "" when there is none.
func programs() string {
	if dir := os.Getenv("DSRUN_TESTBED_BIN"); dir != "" {
		return dir
	}
	root, err := moduleRoot()
	if err != nil {
		return ""
	}
	return filepath.Join(root, ".cache", "testbed", "bin")
}

// moduleRoot returns the nearest folder with a go.mod at or above the working folder.
var moduleRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod at or above the working folder")
		}
		dir = filepath.Dir(dir)
	}
})

// note appends a line to the log of what was used. A log that cannot be written is no reason to fail a test.
func note(line string) {
	path := os.Getenv("DSRUN_TESTBED_LOG")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	f.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n") // one write: lines of several processes do not mix
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// File returns the path of a file of the testbed that is no program, or skips the test.
func File(t testing.TB, name string) string {
	t.Helper()
	dir := programs()
	if dir == "" {
		Missing(t, name, "the testbed has no folder")
	}
	path := filepath.Join(dir, "..", "files", name)
	if _, err := os.Stat(path); err != nil {
		Missing(t, name, "not in the testbed's folder; make testbed installs it where it can")
	}
	return path
}

// NodeModules returns the folder for NODE_PATH that holds a package of npm, or skips the test.
func NodeModules(t testing.TB, pkg string) string {
	t.Helper()
	dir := filepath.Join(programs(), "..", "npm", pkg, "node_modules")
	if _, err := os.Stat(filepath.Join(dir, pkg)); err != nil {
		Missing(t, pkg, "not in the testbed's folder; make testbed installs it where it can")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
