package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
)

// World is all that the program sees of its process: the only door to arguments, environment, streams, files and
// signals. Tests hand in one of their own and run whole commands in process.
type World struct {
	Args           []string // without the program's name
	LookupEnv      func(string) (string, bool)
	Environ        func() []string // the whole environment, for commands that the configuration asks to run
	Dir            string          // working folder, absolute
	StateDir       string          // where small durable facts are kept unless settings say otherwise; "" where there is no home
	TempDir        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	StdinTTY       bool
	StdoutTTY      bool
	StderrTTY      bool
	Width          int // columns of the terminal; 80 where there is none
	Height         int // its lines; 0 where there is none
	Clock          clock.Clock
	Providers      func() *provider.Registry // the kinds that there are
	// OpenRoot opens a folder; nothing outside of it can be reached through the result.
	OpenRoot func(dir string) (*os.Root, error)
	// RealPath resolves the links of a path that the person named.
	RealPath func(path string) (string, error)
	// SoftMemoryLimit tells the collector how large the process is meant to become, in bytes.
	SoftMemoryLimit func(bytes int64)
	// Page shows a text with the person's pager; nil: there is none. An error means that nothing was shown.
	Page func(ctx context.Context, text string) error
	// Signals delivers interrupts; Kill ends the process at once with a code.
	Signals <-chan os.Signal
	Kill    func(code int)
}

func exit(code int) { os.Exit(code) }

func realWorld() *World {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write, which ends us quietly
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	w := &World{
		Args: os.Args[1:], LookupEnv: os.LookupEnv, Environ: os.Environ, Dir: dir, TempDir: os.TempDir(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		StdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		Width:     80, Clock: clock.Real, Providers: providers.All, OpenRoot: os.OpenRoot, RealPath: filepath.EvalSymlinks,
		SoftMemoryLimit: func(n int64) { debug.SetMemoryLimit(n) }, Signals: signals, Kill: os.Exit,
	}
	if w.StdoutTTY {
		if cols, lines, err := term.GetSize(int(os.Stdout.Fd())); err == nil && cols > 0 {
			w.Width, w.Height, w.Page = cols, lines, pager
		}
	}
	w.StateDir = stateDir(w.LookupEnv)
	return w
}

// stateDir follows the XDG base directory specification.
func stateDir(env func(string) (string, bool)) string {
	if d, _ := env("XDG_STATE_HOME"); d != "" {
		return d + "/dsrun"
	}
	if d, _ := env("HOME"); d != "" {
		return d + "/.local/state/dsrun"
	}
	return ""
}
