package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

// echoed is how many elements of a stream are shown.
const echoed = 20

func (a *app) replCmd() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "repl", Short: "Run statements one by one",
		Long: `Run Starlark statements as they are entered, against the datastores and topics of the configuration. The value of an
expression is shown, of a stream its first 20 elements, and kept as _. Tab completes names, arguments and paths; Ctrl-R
searches the history; Ctrl-C stops the running statement; Ctrl-D leaves.

` + replCommands + `
Without a terminal the statements come from standard input: nothing is echoed but what is printed, and the first error
ends with its line and exit code 1.`,
		Example: "  dsrun repl -c prod.hcl\n  echo 'print(ds.raw.list().count())' | dsrun repl",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.repl(cmd.Context(), dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "write and send nothing; print what would be at the end")
	return cmd
}

const replCommands = `  x?             what is known of x, as help(x)
  :time STMT     run a statement and say how long it took
  :explain EXPR  show what a stream will do, without doing it
  :save FILE     write the statements that succeeded as a script
  :help :quit    this list; leave
`

// prompt is one session of the command.
type prompt struct {
	a     *app
	shell *engine.Shell
	done  []string // the statements that succeeded
	tty   bool
}

func (a *app) repl(ctx context.Context, dryRun bool) error {
	a.dryRun = dryRun
	_, project, err := a.load("")
	if err != nil {
		return err
	}
	name := "repl"
	if !a.w.StdinTTY {
		name = "stdin.star"
	}
	p := &prompt{a: a, tty: a.w.StdinTTY && a.w.StdoutTTY}
	p.shell = project.Shell(engine.Script{Name: name, Dir: a.w.Dir, DryRun: dryRun})
	if p.tty {
		err = p.interact(ctx, project)
	} else {
		err = p.batch(ctx)
	}
	plan := &engine.Plan{}
	if cerr := p.shell.Close(plan); err == nil {
		err = cerr
	}
	if err == nil && dryRun {
		err = a.printPlan(plan)
	}
	return err
}

// batch runs what stands on standard input and ends with the first error.
func (p *prompt) batch(ctx context.Context) error {
	in := starlib.Input{Batch: true}
	run := func(list []string) error {
		for _, text := range list {
			if err := p.statement(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	lines := bufio.NewScanner(p.a.w.Stdin)
	lines.Buffer(nil, maxScript)
	for lines.Scan() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := run(in.Add(strings.TrimSuffix(lines.Text(), "\r"))); errors.Is(err, errQuit) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if err := run(in.End()); err != nil && !errors.Is(err, errQuit) {
		return err
	}
	return nil
}

// errQuit leaves the prompt.
var errQuit = errors.New("quit")

// statement runs one statement or command of the prompt.
func (p *prompt) statement(ctx context.Context, text string) error {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || strings.HasPrefix(trimmed, "#") && !strings.Contains(trimmed, "\n") {
		p.shell.Skip(text)
		return nil
	}
	if strings.HasPrefix(trimmed, ":") {
		p.shell.Skip(text)
		return p.command(ctx, trimmed)
	}
	if name, ok := strings.CutSuffix(trimmed, "?"); ok && !strings.ContainsAny(name, "\"'\n") {
		return p.shell.Eval(ctx, "help("+name+")", false, 0)
	}
	if err := p.shell.Eval(ctx, text, true, echoed); err != nil {
		return err
	}
	p.done = append(p.done, text)
	return nil
}

func (p *prompt) command(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line[1:], " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "quit" || word == "q" || word == "exit":
		return errQuit
	case word == "help" || word == "h":
		_, err := io.WriteString(p.a.w.Stdout, replCommands)
		return err
	case word == "time" && rest != "":
		start := time.Now()
		err := p.statement(ctx, rest)
		fmt.Fprintf(p.a.w.Stderr, "%s\n", time.Since(start).Round(10*time.Microsecond))
		return err
	case word == "explain" && rest != "":
		return p.explain(ctx, rest)
	case word == "save" && rest != "":
		return p.save(rest)
	case word == "time" || word == "explain":
		return fault.Hinted(fault.InvalidArgument, "Write it behind the command, such as :"+word+" ds.raw.list().count()", ":%s wants a statement", word)
	case word == "save":
		return fault.Hinted(fault.InvalidArgument, "Write :save check.star", ":save wants the name of a file")
	}
	return fault.Hinted(fault.InvalidArgument, ":help lists the commands.", "there is no command :%s", word)
}

// explain prints what an expression is: of a stream its source and steps, of anything else its type and text.
func (p *prompt) explain(ctx context.Context, expr string) error {
	return p.shell.Eval(ctx, fmt.Sprintf("print(type(%s) + %q + str(%s))", expr, ": ", expr), false, 0)
}

// save writes a script of what succeeded. An existing file is not overwritten.
func (p *prompt) save(name string) error {
	if !strings.HasSuffix(name, ".star") {
		return fault.Hinted(fault.InvalidArgument, "Write :save "+name+".star", "the file of a script ends with .star")
	}
	text := strings.Join(p.done, "\n")
	if text != "" {
		text += "\n"
	}
	if err := p.a.writeNew(p.a.abs(name), []byte(text)); err != nil {
		return err
	}
	fmt.Fprintf(p.a.w.Stderr, "%d statements written to %s\n", len(p.done), fault.Printable(name))
	return nil
}

// report prints an error and goes on.
func (p *prompt) report(err error) {
	var b strings.Builder
	p.a.renderProblem(&b, explain(err))
	_, _ = io.WriteString(p.a.w.Stderr, p.a.redactor.Redact(b.String()))
}

// interruptible runs fn under a context that the next Ctrl-C ends, and nothing else.
func (p *prompt) interruptible(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := func(s os.Signal) bool {
		if s != os.Interrupt {
			return false
		}
		if p.tty {
			_, _ = io.WriteString(p.a.w.Stderr, "\n") // behind the ^C that the terminal shows
		}
		cancel(errInterrupted)
		return true
	}
	before := p.a.onSignal.Swap(&stop)
	defer p.a.onSignal.Store(before)
	return fn(ctx)
}
