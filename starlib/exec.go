package starlib

import (
	"context"
	"errors"
	"path"
	"runtime/debug"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

// Run executes the program: its top level, then main() where it defines one, with the given arguments. Its error is a
// *ScriptError, whose chain holds the fault that stopped it. Everything the run opened through the host's handles is
// closed when Run returns. When ctx ends or a limit is reached, Run returns within seconds, also when a built-in that
// cannot be interrupted is still computing; that goes on in a goroutine until it is done.
func (p *Program) Run(ctx context.Context, o RunOptions) (err error) {
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Limits.Timeout > 0 {
		late := stopAt("time limit of "+o.Limits.Timeout.String()+" reached", "Raise timeout, or do less in one run.")
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.Limits.Timeout, late)
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &execution{cancel: cancel, meter: newMeter(o.Limits), out: &printer{w: o.Stdout, tty: o.TTY}, clock: o.Clock, program: p}
	r := &Run{Ctx: ctx, Host: o.Host, Limits: o.Limits, execution: s}
	p.prepare(r, o.Base)
	defer s.meter.guard(r)()
	defer func() {
		if cerr := r.end(); err == nil && cerr != nil {
			err = &ScriptError{Message: cerr.Error(), Err: cerr}
		}
	}()
	thread := r.NewThread("main")
	err = within(ctx, &s.outside, func() error {
		return r.contained("script", func() error { return p.exec(r, thread, o) })
	})
	if err == nil {
		err = r.Err()
	}
	if err == nil {
		return nil
	}
	var done *ScriptError
	if errors.As(err, &done) && done.Usage {
		return done
	}
	return r.scriptError(err)
}

// prepare gives the scope its predeclared names and its loader.
func (p *Program) prepare(r *Run, base string) {
	predeclared := starlark.StringDict{}
	for name, v := range universal {
		predeclared[name] = v
	}
	for _, w := range p.words {
		predeclared[w.Name] = w.value(r)
	}
	for name, b := range hidden {
		predeclared[name] = b
	}
	if base == "" {
		base = path.Dir(p.file.Path)
	}
	r.execution.cover = p.cover
	r.execution.loader = &loader{run: r, known: p.known, predeclared: predeclared, base: base,
		files: map[string]*SourceFile{p.file.Path: p.file}, done: map[string]starlark.StringDict{}}
}

// exec runs the top level and main(), or the function that the options name.
func (p *Program) exec(r *Run, thread *starlark.Thread, o RunOptions) error {
	if o.Func != "" {
		return p.call(r, thread, o.Func, func(*starlark.Function) ([]starlark.Tuple, error) { return nil, nil })
	}
	if p.main == nil && len(o.Args) > 0 {
		return usageError("the script has no main() and takes no flags")
	}
	if _, err := arguments(p.declared(), o.Args); err != nil {
		return err
	}
	return p.call(r, thread, "main", func(main *starlark.Function) ([]starlark.Tuple, error) {
		if main == nil {
			return nil, nil
		}
		return arguments(evaluated(main), o.Args)
	})
}

// call runs the top level and the named function, whose arguments args gives; main() may be absent, and is nil then.
func (p *Program) call(r *Run, thread *starlark.Thread, name string, args func(*starlark.Function) ([]starlark.Tuple, error)) error {
	globals, err := p.file.program.Init(thread, r.execution.loader.predeclared)
	if err != nil {
		return err
	}
	fn, ok := globals[name].(*starlark.Function)
	if name == "main" && p.main == nil {
		fn, ok = nil, false
	}
	kwargs, err := args(fn)
	if err != nil {
		return err
	}
	if !ok {
		if name == "main" {
			return nil
		}
		return fault.New(fault.NotFound, "%s has no function %s", p.file.Path, name)
	}
	_, err = starlark.Call(thread, fn, nil, kwargs)
	return err
}

// contained runs fn and turns a panic, which is a defect of ours or of a library, into an error: other runs go on.
func (r *Run) contained(where string, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Where: where, Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// Clock returns the clock of the run.
func (r *Run) Clock() clock.Clock {
	if r == nil || r.execution.clock == nil {
		return clock.Real
	}
	return r.execution.clock
}

// Modules returns the source files of the run so far by path, with their syntax trees.
func (r *Run) Modules() map[string]*SourceFile {
	l := r.execution.loader
	l.mu.Lock()
	defer l.mu.Unlock()
	m := make(map[string]*SourceFile, len(l.files))
	for k, v := range l.files {
		m[k] = v
	}
	return m
}

// FuncName returns the name of a function as other processes can find it, "module:def", and whether they can: only
// top-level functions without captured variables have one.
func FuncName(fn *starlark.Function) (string, bool) {
	name := fn.Module().Program().Filename() + ":" + fn.Name()
	return name, fn.NumFreeVars() == 0 && fn.Globals()[fn.Name()] == fn
}
