package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ergochat/readline"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/starlib"
)

const (
	firstPrompt = ">>> "
	morePrompt  = "... "
	// completionTime is how long Tab waits for the paths of a datastore.
	completionTime = 700 * time.Millisecond
	// historyLines is how many lines are kept.
	historyLines = 2000
	historyKey   = "history"
)

// interact reads statements from the terminal.
func (p *prompt) interact(ctx context.Context, project *engine.Project) error {
	history := p.history(project)
	rl, err := readline.NewFromConfig(&readline.Config{
		Prompt: firstPrompt, HistoryLimit: historyLines, HistorySearchFold: true, DisableAutoSaveHistory: true, Undo: true,
		AutoComplete: completer{p.shell.Shell}, Stdout: p.a.w.Stdout, Stderr: p.a.w.Stderr, Stdin: p.a.w.Stdin,
		InterruptPrompt: "\n", EOFPrompt: "\n",
	})
	if err != nil {
		return err
	}
	defer rl.Close()
	lines := history.load()
	for _, l := range lines {
		_ = rl.SaveToHistory(l)
	}
	if _, err := io.WriteString(p.a.w.Stdout, "dsrun "+version()+", :help for help, Ctrl-D to leave\n"); err != nil {
		return err
	}
	// Between a line and its statement the terminal sends Ctrl-C as a signal, which is not to end the session.
	idle := func(s os.Signal) bool { return s == os.Interrupt }
	p.a.onSignal.Store(&idle)
	defer p.a.onSignal.Store(nil)
	var in starlib.Input
	for ctx.Err() == nil {
		if in.Pending() {
			rl.SetPrompt(morePrompt)
		} else {
			rl.SetPrompt(firstPrompt)
		}
		line, err := rl.ReadLine()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			in.Drop()
			continue
		case errors.Is(err, io.EOF):
			_, _ = io.WriteString(p.a.w.Stdout, "\n")
			return nil
		case err != nil:
			return err
		}
		if strings.TrimSpace(line) != "" {
			_ = rl.SaveToHistory(line)
			history.add(line)
		}
		ready := in.Add(line)
		if !in.Pending() || len(ready) > 0 {
			for _, text := range ready {
				err := p.interruptible(ctx, func(ctx context.Context) error { return p.statement(ctx, text) })
				if errors.Is(err, errQuit) {
					return nil
				}
				if err != nil {
					p.report(err)
				}
			}
		}
	}
	return context.Cause(ctx)
}

// completer offers what the shell knows.
type completer struct{ shell *starlib.Shell }

// Do implements readline.AutoCompleter.
func (c completer) Do(line []rune, pos int) ([][]rune, int) {
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	n, words := c.shell.Complete(ctx, string(line[:pos]))
	typed := string(line[:pos])
	partial := typed[len(typed)-n:]
	var out [][]rune
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, partial); ok {
			out = append(out, []rune(rest))
		}
	}
	return out, len([]rune(partial))
}

// promptHistory keeps the lines of all sessions in the state folder. Without one, it keeps nothing.
type promptHistory struct {
	s     *state.State
	lines []string
}

func (p *prompt) history(project *engine.Project) *promptHistory {
	s, err := project.State()
	if err != nil {
		return &promptHistory{}
	}
	return &promptHistory{s: s.Sub("repl")}
}

func (h *promptHistory) load() []string {
	if h.s == nil {
		return nil
	}
	b, err := h.s.Get(historyKey)
	if err != nil {
		return nil
	}
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimRight(l, "\n"); l != "" && fault.Printable(l) == l {
			h.lines = append(h.lines, l)
		}
	}
	return h.lines
}

// add keeps a line at once, so that a session that is killed loses none. Sessions that run at the same time add to each
// other's lines.
func (h *promptHistory) add(line string) {
	if h.s == nil || strings.ContainsAny(line, "\n\r") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	unlock, err := h.s.Lock(ctx, historyKey)
	if err != nil {
		return
	}
	defer unlock()
	h.lines = nil
	h.load()
	h.lines = append(h.lines, line)
	if n := len(h.lines) - historyLines; n > 0 {
		h.lines = h.lines[n:]
	}
	_ = h.s.Put(historyKey, []byte(strings.Join(h.lines, "\n")+"\n"))
}
