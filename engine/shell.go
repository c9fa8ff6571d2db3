package engine

import (
	"context"
	"io"
	"path/filepath"

	"github.com/dsrun/dsrun/starlib"
)

// Shell runs statements against a project, one after another. See starlib.Shell.
type Shell struct {
	*starlib.Shell
	session *Session
	p       *Project
	out     *swapWriter
}

// swapWriter passes on to a writer that each statement has of its own.
type swapWriter struct{ w io.Writer }

func (s *swapWriter) Write(b []byte) (int, error) { return s.w.Write(b) }

// Shell opens a shell. Of s only Name, Dir, RunID and DryRun matter.
func (p *Project) Shell(s Script) *Shell {
	session := p.Session(s)
	base := p.scriptBase(s.Dir)
	if filepath.IsAbs(base) {
		session.host.beside = base
	}
	out := &swapWriter{io.Discard}
	return &Shell{session: session, p: p, out: out, Shell: starlib.NewShell(starlib.ShellOptions{
		Host: session.host, Name: s.Name, Base: filepath.ToSlash(base), Stdout: out, TTY: p.e.o.TTY, Limits: p.Limits(s.Name),
		Clock: p.e.o.Clock, Extra: p.e.o.Functions,
	})}
}

// Eval runs statements; with show it prints the value of the last one, of a stream the first n elements.
func (s *Shell) Eval(ctx context.Context, text string, show bool, n int) (err error) {
	w := s.p.e.o.Redactor.Writer(s.p.e.o.Stdout)
	s.out.w = w
	defer func() {
		s.out.w = io.Discard
		if cerr := w.Close(); err == nil {
			err = cerr
		}
	}()
	v, err := s.Shell.Eval(ctx, text)
	if err != nil || v == nil || !show {
		return err
	}
	return s.Show(ctx, v, n)
}

// Close ends the shell; plan, which may be nil, receives what a dry run would have done.
func (s *Shell) Close(plan *Plan) error {
	err := s.Shell.Close()
	if cerr := s.session.Close(plan); err == nil {
		err = cerr
	}
	return err
}
