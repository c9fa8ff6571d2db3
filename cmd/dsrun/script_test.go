package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/providers"
)

// TestScript runs whole command lines in process: each .txtar file is what a user types and sees.
//
//	dsrun ARGS...          must exit with 0
//	exit N dsrun ARGS...   must exit with N
//	input FILE             the next dsrun reads FILE as its standard input
//	tty                    from here on the streams count as a terminal
func TestScript(t *testing.T) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("DSRUN_UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPO", repo)
			env.Setenv("HOME", env.WorkDir)
			env.Values[sessionKey{}] = &session{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"dsrun": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg {
					ts.Fatalf("say which exit code: exit N dsrun ...")
				}
				expectExit(ts, 0, args)
			},
			"exit": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 || args[1] != "dsrun" {
					ts.Fatalf("usage: exit N dsrun ARGS...")
				}
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				expectExit(ts, n, args[2:])
			},
			"input": func(ts *testscript.TestScript, neg bool, args []string) {
				sessionOf(ts).stdin = ts.ReadFile(args[0])
			},
			"tty": func(ts *testscript.TestScript, neg bool, args []string) { sessionOf(ts).tty = true },
		},
	})
}

type sessionKey struct{}

type session struct {
	stdin string
	tty   bool
}

func sessionOf(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

func expectExit(ts *testscript.TestScript, want int, args []string) {
	s := sessionOf(ts)
	w := testWorld(ts.MkAbs("."), args)
	w.LookupEnv = func(name string) (string, bool) { v := ts.Getenv(name); return v, v != "" }
	w.StateDir, w.TempDir = ts.MkAbs(".state"), ts.Getenv("TMPDIR")
	w.Stdin = strings.NewReader(s.stdin)
	w.StdoutTTY, w.StderrTTY = s.tty, s.tty
	s.stdin = ""
	w.Stdout, w.Stderr = ts.Stdout(), ts.Stderr()
	if got := Main(w); got != want {
		ts.Fatalf("dsrun %s: exit code %d, want %d", strings.Join(args, " "), got, want)
	}
}

// testWorld is a world without a terminal, an environment or signals.
func testWorld(dir string, args []string) *World {
	return &World{
		Args: args, Dir: dir, Width: 100, Clock: clock.Real, Providers: providers.All, OpenRoot: os.OpenRoot, RealPath: filepath.EvalSymlinks,
		LookupEnv: func(string) (string, bool) { return "", false }, Environ: os.Environ,
		Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Kill: func(int) {}, SoftMemoryLimit: func(int64) {}, TempDir: os.TempDir(),
	}
}
