package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/secret"
)

// app is one invocation of the program.
type app struct {
	w        *World
	stdout   *checkedWriter
	g        globals
	redactor *secret.Redactor
	log      *slog.LevelVar
	closers  []func() error
	dryRun   bool      // opening a datastore makes nothing; set before the configuration is loaded
	signal   os.Signal // the first one that came
	mu       sync.Mutex
	// onSignal, when set, takes a signal that it answers true for: at the prompt an interrupt ends the statement only.
	onSignal atomic.Pointer[func(os.Signal) bool]
}

// globals are the flags that every command takes, before and after its name.
type globals struct {
	configs  []string
	env      string
	vars     []string
	varFiles []string
	json     bool
	logLevel string
}

func (g *globals) register(f *pflag.FlagSet) {
	f.StringArrayVarP(&g.configs, "config", "c", nil, "configuration `FILE|DIR`; repeatable (default: SCRIPT.hcl, else dsrun.hcl here or above)")
	f.StringVar(&g.env, "env", "", "environment `NAME`: reads env/NAME.dsvars.hcl")
	f.StringArrayVar(&g.vars, "var", nil, "set a variable: `NAME=VALUE`; repeatable")
	f.StringArrayVar(&g.varFiles, "var-file", nil, "read variables from `FILE`; repeatable")
	f.BoolVar(&g.json, "json", false, "print data and errors as JSON, one value a line")
	f.StringVar(&g.logLevel, "log-level", "", "debug, info, warn or error (default info)")
}

// Main runs one command line and returns the exit code.
func Main(w *World) int {
	own := *w
	stdout := &checkedWriter{w: w.Stdout}
	own.Stdout = stdout
	a := &app{w: &own, stdout: stdout, redactor: secret.NewRedactor(), log: &slog.LevelVar{}}
	ctx, stop := a.watch(context.Background())
	defer stop()
	err := a.command().ExecuteContext(ctx)
	for i := len(a.closers) - 1; i >= 0; i-- {
		if cerr := a.closers[i](); err == nil {
			err = cerr
		}
	}
	if err == nil {
		err = stdout.failure()
	}
	return a.finish(ctx, err)
}

// checkedWriter remembers the first failure of a write: what was not printed is an error, also where a printer does not
// look. It is safe for concurrent use as far as w is.
type checkedWriter struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = err
		}
	}
	return n, err
}

func (c *checkedWriter) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// lastCall is how long after the first signal the process ends whatever is still under way. Aborting uploads takes up to
// ten seconds.
const lastCall = 12 * time.Second

// watch ends the context on the first signal; the second ends the process at once.
func (a *app) watch(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	var late <-chan time.Time
	go func() {
		for {
			select {
			case s := <-a.w.Signals:
				if take := a.onSignal.Load(); take != nil && (*take)(s) {
					continue
				}
				a.mu.Lock()
				first := a.signal == nil
				if first {
					a.signal = s
				}
				a.mu.Unlock()
				if !first {
					a.w.Kill(signalCode(s))
					return
				}
				cancel(errInterrupted)
				late = time.After(lastCall)
			case <-late: // something that nothing can interrupt, such as opening a pipe that nobody writes to
				fmt.Fprintln(a.w.Stderr, "interrupted; something does not end")
				a.mu.Lock()
				code := signalCode(a.signal)
				a.mu.Unlock()
				a.w.Kill(code)
				return
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { close(done); cancel(nil) }
}

func signalCode(s os.Signal) int {
	if s == syscall.SIGTERM {
		return 143
	}
	return 130
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "dsrun",
		Short: "Look at data, check it, move it between clouds and announce it",
		Long: `dsrun runs Starlark scripts against the datastores and event topics that HCL files declare.

A place is NAME:path, where NAME is a declared datastore, or a URI, or a path of this machine (./x, /x).`,
		SilenceErrors: true, SilenceUsage: true,
		Args:              func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
		RunE:              func(cmd *cobra.Command, args []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(a.w.Args)
	root.SetIn(a.w.Stdin)
	root.SetOut(a.w.Stdout)
	root.SetErr(a.w.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	a.g.register(root.PersistentFlags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if f := cmd.Flags().Lookup("dry-run"); f != nil {
			a.dryRun = f.Value.String() == "true"
		}
		return a.setLogLevel(cmd)
	}
	root.AddCommand(a.runCmd(), a.applyCmd(), a.testCmd(), a.validateCmd(), a.fmtCmd(), a.lsCmd(), a.catCmd(), a.cpCmd(), a.syncCmd(), a.mvCmd(), a.uploadsCmd(), a.statCmd(), a.rmCmd(),
		a.publishCmd(), a.eventsCmd(), a.replCmd(), a.schemaCmd(), a.versionCmd())
	root.AddCommand(a.docsCmd(), a.manCmd(), a.completionCmd())
	a.addCompletions(root)
	return root
}

func (a *app) setLogLevel(cmd *cobra.Command) error {
	if a.g.logLevel == "" {
		return nil
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(a.g.logLevel)); err != nil {
		return usagef(cmd, "--log-level is %q; it takes debug, info, warn or error", a.g.logLevel)
	}
	a.log.Set(l)
	return nil
}

// engine makes the engine with the world's streams. Whatever it prints passes through the redactor.
func (a *app) engine() *engine.Engine {
	return engine.New(engine.Options{
		Providers: a.w.Providers(), Stdout: a.w.Stdout, TTY: a.w.StdoutTTY, Log: a.logger(), Clock: a.w.Clock,
		LookupEnv: a.w.LookupEnv, Environ: a.w.Environ, Redactor: a.redactor, StateDir: a.w.StateDir, TempDir: a.w.TempDir,
		Version: version(), OpenRoot: a.w.OpenRoot,
	})
}

func (a *app) logger() *slog.Logger {
	w := a.redactor.Writer(a.w.Stderr)
	a.closers = append(a.closers, w.Close)
	if a.g.json {
		return slog.New(slog.NewJSONHandler(jsonWriter{w}, &slog.HandlerOptions{Level: a.log}))
	}
	return slog.New(newTextHandler(w, a.log))
}

// out is where data goes, line by line.
func (a *app) out() io.Writer { return a.w.Stdout }
