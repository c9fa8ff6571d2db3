package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/starlib"
)

// problem is an error in the one form that both JSON and text are made from.
type problem struct {
	Code        fault.Code      `json:"code"`
	Message     string          `json:"message"`
	Hint        string          `json:"hint,omitempty"`
	Op          string          `json:"op,omitempty"`
	Resource    string          `json:"resource,omitempty"`
	Path        string          `json:"path,omitempty"`
	RequestID   string          `json:"request_id,omitempty"`
	Retryable   bool            `json:"retryable,omitempty"`
	Frames      []starlib.Frame `json:"frames,omitempty"`
	Diagnostics []config.Diag   `json:"diagnostics,omitempty"`
	Failed      []problem       `json:"failed,omitempty"`
	Others      []problem       `json:"others,omitempty"` // further mistakes of the same script
	usage       string
}

// finish prints the error, if any, and returns the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	// Only our own output's: a connection of a store that breaks says the same.
	if broken(err) && broken(a.stdout.failure()) {
		return 0 // whoever read our output has seen enough
	}
	a.g.json = a.g.json || asksJSON(a.w.Args) // the mistake may stand before the flag
	var u *usageError
	a.mu.Lock()
	sig := a.signal
	a.mu.Unlock()
	if sig != nil && context.Cause(ctx) != nil {
		if a.g.json {
			_ = newEncoder(a.w.Stderr).Encode(map[string]problem{"error": {Code: fault.Cancelled, Message: "interrupted"}})
		} else {
			fmt.Fprintln(a.w.Stderr, "interrupted")
		}
		return signalCode(sig)
	}
	p := explain(err)
	if a.g.json {
		var b strings.Builder
		_ = newEncoder(&b).Encode(map[string]problem{"error": p})
		_, _ = io.WriteString(a.w.Stderr, a.redactor.Redact(b.String()))
	} else {
		var b strings.Builder
		a.renderProblem(&b, p)
		_, _ = io.WriteString(a.w.Stderr, a.redactor.Redact(b.String()))
	}
	var d *engine.DiagnosticsError
	if errors.As(err, &u) || errors.As(err, &d) || isUsage(err) {
		return 2
	}
	return exitCode(err)
}

func broken(err error) bool {
	return err != nil && (errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe))
}

// asksJSON looks for --json among arguments that could not be parsed.
func asksJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}

// isUsage reports whether the person's input is at fault before anything ran: an argument of the command line, or a
// script that does not parse.
func isUsage(err error) bool {
	var s *starlib.ScriptError
	if errors.As(err, &s) {
		var static *staticError
		return errors.As(err, &static) || s.Usage
	}
	var f *fault.Error
	return errors.As(err, &f) && f.Op == "" && f.Class.Code == fault.InvalidArgument
}

// staticError is a script that does not parse.
type staticError struct{ error }

func (e *staticError) Unwrap() error { return e.error }

func explain(err error) problem {
	class := fault.ClassOf(err)
	p := problem{Code: class.Code, Message: err.Error(), Hint: class.Hint, RequestID: class.RequestID, Retryable: class.Retryable()}
	var f *fault.Error
	if errors.As(err, &f) {
		p.Op, p.Resource, p.Path = f.Op, f.Resource, f.Key
		if f.Op == "" && f.Resource == "" && f.Key == "" {
			p.Message = f.Err.Error() // the command line itself is wrong: the code would say nothing more
		}
	}
	var u *usageError
	var s *starlib.ScriptError
	var d *engine.DiagnosticsError
	var part *partialError
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &u):
		p.Code, p.Message, p.Hint, p.usage = fault.InvalidArgument, u.text, u.hint, u.cmd
	case errors.As(err, &d):
		p.Code, p.Diagnostics = fault.InvalidArgument, d.Diags
	case errors.As(err, &part):
		p.Code = fault.CodeOf(part.failed[0].Err)
		for _, k := range part.failed {
			p.Failed = append(p.Failed, explain(k.Err))
		}
	case errors.As(err, &pathErr) && f == nil:
		p.Message = fmt.Sprintf("%s: %v", fault.Printable(pathErr.Path), pathErr.Err)
	}
	if errors.As(err, &s) {
		p.Message, p.Frames = s.Message, s.Frames
		for _, o := range s.Others {
			p.Others = append(p.Others, explain(o))
		}
		p.Op, p.Resource, p.Path = s.About()
	}
	return p
}

func (a *app) renderProblem(w io.Writer, p problem) {
	if len(p.Diagnostics) > 0 {
		_ = config.Render(w, p.Diagnostics, a.w.Width, a.color())
		if len(p.Frames) == 0 {
			return
		}
	}
	for _, f := range p.Failed {
		fmt.Fprintf(w, "failed: %s\n", said(f.Message))
	}
	fmt.Fprintf(w, "error: %s\n", said(p.Message))
	if p.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", said(p.Hint))
	}
	if p.RequestID != "" {
		fmt.Fprintf(w, "request id: %s\n", said(p.RequestID))
	}
	guilty := true
	for i := len(p.Frames) - 1; i >= 0; i-- {
		if p.Frames[i].File == "" {
			continue // a function of dsrun, which the message names
		}
		renderFrame(w, p.Frames[i], guilty)
		guilty = false
	}
	for _, o := range p.Others {
		a.renderProblem(w, o)
	}
	if p.usage != "" {
		fmt.Fprintf(w, "See %s --help.\n", p.usage)
	}
}

// said is a message as it is shown: it may hold what a script or a stranger said, so nothing in it drives the terminal, and
// its further lines are indented, so that none looks like one of ours.
func said(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = fault.Printable(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n  ")
}

func renderFrame(w io.Writer, f starlib.Frame, guilty bool) {
	verb := "called from"
	if guilty {
		verb = "at"
	}
	fmt.Fprintf(w, "  %s %s:%d:%d", verb, fault.Printable(f.File), f.Line, f.Col)
	if f.Func != "" && f.Func != "<toplevel>" {
		fmt.Fprintf(w, " in %s", f.Func)
	}
	io.WriteString(w, "\n")
	if f.Text == "" {
		return
	}
	gutter := fmt.Sprintf("%6d | ", f.Line)
	text := strings.ReplaceAll(fault.Printable(strings.ReplaceAll(f.Text, "\t", "    ")), "\n", "")
	fmt.Fprintf(w, "%s%s\n", gutter, text)
	if line := underline(f); line != "" {
		fmt.Fprintf(w, "%s| %s\n", strings.Repeat(" ", len(gutter)-2), line)
	}
}

// underline marks the columns Col to End of the frame's text, whose tabs are shown as four blanks.
func underline(f starlib.Frame) string {
	var b strings.Builder
	end := max(f.End, f.Col+1)
	for col, r := range []rune(f.Text + " ") {
		col++
		if col >= end {
			break
		}
		mark, n := " ", 1
		if r == '\t' {
			n = 4
		}
		if col >= f.Col {
			mark = "^"
		}
		b.WriteString(strings.Repeat(mark, n))
	}
	return strings.TrimRight(b.String(), " ")
}

func (a *app) renderDiags(diags []config.Diag) {
	if a.g.json {
		_ = newEncoder(a.w.Stderr).Encode(map[string]any{"diagnostics": diags})
		return
	}
	_ = config.Render(a.w.Stderr, diags, a.w.Width, a.color())
}

// color reports whether what goes to standard error may have colors, by https://no-color.org.
func (a *app) color() bool { return a.w.StderrTTY && a.colorWanted() }

// outColor is color for standard output.
func (a *app) outColor() bool { return a.w.StdoutTTY && a.colorWanted() }

func (a *app) colorWanted() bool {
	no, _ := a.w.LookupEnv("NO_COLOR")
	termName, _ := a.w.LookupEnv("TERM")
	return no == "" && termName != "dumb"
}
