package starlib

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
)

// Shell runs statements one after another, each with the globals that the earlier ones left: a prompt, or statements on
// standard input. A statement is a run of its own: its failure, its limits and what it holds open end with it. A function
// sees the globals as they are when it is called, also those that were assigned after it. It is used by one goroutine.
type Shell struct {
	o       ShellOptions
	program *Program // for help() and messages; it has no statements
	loader  *loader
	out     *printer
	base    *Run // of what lives as long as the shell: ds, topics, run
	end     context.CancelFunc

	mu  sync.Mutex // env is read by parallel items
	env starlark.StringDict
	own map[string]bool // names that statements assigned

	text  []byte        // all that was entered, for messages
	line  int           // the last line of text
	stmts []syntax.Stmt // all that was parsed
}

// ShellOptions say how to run statements.
type ShellOptions struct {
	Host   Host
	Name   string // of the source in messages; "" means "repl"
	Base   string // folder that relative names of load() count from, as RunOptions.Base
	Stdout io.Writer
	TTY    bool
	Limits Limits // of each statement
	Clock  clock.Clock
	Extra  []*Function
}

// shellOptions are those of entry scripts; what load() names is there for later statements.
var shellOptions = syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true, LoadBindsGlobally: true}

// result is the global that the value of a last expression goes to. It cannot be written.
const result = "(result)"

// lateName is the hidden function that reads a global by its name.
const lateName = "(global)"

// NewShell returns a shell. Close it.
func NewShell(o ShellOptions) *Shell {
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Name == "" {
		o.Name = "repl"
	}
	p := &Program{words: append(words(), extraWords(o.Extra)...), file: &SourceFile{Path: o.Name}}
	for _, w := range p.words {
		p.known = append(p.known, w.Name)
	}
	slices.Sort(p.known)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shell{o: o, program: p, out: &printer{w: o.Stdout, tty: o.TTY}, env: starlark.StringDict{}, own: map[string]bool{}, end: cancel}
	s.base = &Run{Ctx: ctx, Host: o.Host, Limits: o.Limits,
		execution: &execution{cancel: func(error) {}, meter: newMeter(Limits{}), out: s.out, program: p, clock: o.Clock, shell: s}}
	if o.Base == "" {
		o.Base = path.Dir(o.Name)
	}
	for name, v := range universal {
		s.env[name] = v
	}
	for _, w := range p.words {
		s.env[w.Name] = w.value(s.base)
	}
	for name, b := range hidden {
		s.env[name] = b
	}
	predeclared := starlark.StringDict{}
	for name, v := range s.env {
		predeclared[name] = v
	}
	s.loader = &loader{run: s.base, known: p.known, predeclared: predeclared, base: o.Base,
		files: map[string]*SourceFile{}, done: map[string]starlark.StringDict{}}
	s.base.execution.loader = s.loader
	return s
}

// Close frees what the shell holds.
func (s *Shell) Close() error {
	s.end()
	return s.base.end()
}

// Skip counts lines of the input that are no statements, so that messages name the right ones.
func (s *Shell) Skip(text string) {
	s.text = append(s.text, text...)
	s.text = append(s.text, '\n')
	s.line += 1 + strings.Count(text, "\n")
}

// Eval runs statements and returns the value of the last one, if it is an expression; nil otherwise, and for None. A
// value that is not None becomes the global `_`. Its error is a *ScriptError. Assignments made before a failure stay.
func (s *Shell) Eval(ctx context.Context, text string) (starlark.Value, error) {
	first := s.line
	s.Skip(text)
	f, chunk, tree, err := s.parse(first, text)
	if err != nil {
		return nil, err
	}
	s.loader.add(f)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if t := s.o.Limits.Timeout; t > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, t, stopAt("time limit of "+t.String()+" reached", "Raise timeout, or do less in one statement."))
		defer stop()
	}
	x := &execution{cancel: cancel, meter: newMeter(s.o.Limits), out: s.out, clock: s.o.Clock, program: s.program, loader: s.loader, shell: s}
	r := &Run{Ctx: ctx, Host: s.o.Host, Limits: s.o.Limits, execution: x}
	defer x.meter.guard(r)()
	thread := r.NewThread("repl")
	names := assigned(chunk)
	globals := starlark.StringDict{}
	s.mu.Lock()
	for name, v := range s.env {
		globals[name] = v
	}
	s.mu.Unlock()
	for _, name := range names {
		if _, ok := globals[name]; !ok {
			globals[name] = nil // what follows assigns it, and functions may name it
		}
	}
	// One statement after another, so that functions see what each has assigned.
	err = within(ctx, &x.outside, func() error {
		return r.contained("statement", func() error {
			for _, st := range tree.Stmts {
				one := &syntax.File{Path: tree.Path, Stmts: []syntax.Stmt{st}, Options: tree.Options}
				err := starlark.ExecREPLChunk(one, thread, globals)
				s.adopt(globals, names)
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	// A built-in that was not waited for may still be at work; what it leaves is not looked at.
	abandoned := err != nil && ctx.Err() != nil
	if err == nil {
		err = r.Err()
	}
	if cerr := r.end(); err == nil && cerr != nil {
		err = cerr
	}
	var v starlark.Value
	if !abandoned {
		v = globals[result]
	}
	if err != nil {
		return nil, r.scriptError(err)
	}
	if v == nil || v == starlark.None {
		return nil, nil
	}
	s.set("_", v)
	return v, nil
}

// adopt takes the globals that a statement left.
func (s *Shell) adopt(globals starlark.StringDict, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if v := globals[name]; v != nil {
			s.env[name] = v
			s.own[name] = true
		}
	}
}

// assigned returns the globals that statements assign.
func assigned(tree *syntax.File) []string {
	var names []string
	var target func(e syntax.Expr)
	target = func(e syntax.Expr) {
		switch e := unparen(e).(type) {
		case *syntax.Ident:
			names = append(names, e.Name)
		case *syntax.TupleExpr:
			for _, x := range e.List {
				target(x)
			}
		case *syntax.ListExpr:
			for _, x := range e.List {
				target(x)
			}
		}
	}
	var visit func(list []syntax.Stmt)
	visit = func(list []syntax.Stmt) {
		for _, st := range list {
			switch st := st.(type) {
			case *syntax.AssignStmt:
				target(st.LHS)
			case *syntax.DefStmt:
				names = append(names, st.Name.Name)
			case *syntax.LoadStmt:
				for _, id := range st.To {
					names = append(names, id.Name)
				}
			case *syntax.IfStmt:
				visit(st.True)
				visit(st.False)
			case *syntax.ForStmt:
				target(st.Vars)
				visit(st.Body)
			case *syntax.WhileStmt:
				visit(st.Body)
			}
		}
	}
	visit(tree.Stmts)
	return names
}

func (s *Shell) set(name string, v starlark.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.env[name] = v
	s.own[name] = true
}

// global is what the hidden function does: it reads a global for a function of an earlier statement. In a parallel item
// the value is frozen first, because others read it too.
func (s *Shell) global(r *Run, name string) (starlark.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.env[name]
	if v == nil {
		return nil, fault.New(fault.InvalidArgument, "global variable %s referenced before assignment", name)
	}
	if len(r.Indices) > 0 {
		return v, freeze(r, v)
	}
	return v, nil
}

// readGlobal implements the hidden function lateName.
func readGlobal(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	name, _ := starlark.AsString(args[0])
	r := runOf(t)
	if r == nil || r.execution.shell == nil {
		return nil, errors.New("no shell")
	}
	return r.execution.shell.global(r, name)
}

// parse returns the source of all input for messages, the tree of text, and the one to execute. first is how many lines of
// input came before.
func (s *Shell) parse(first int, text string) (f *SourceFile, chunk, tree *syntax.File, err error) {
	if len(text) > maxSource || len(s.text) > 4*maxSource {
		return nil, nil, nil, sourceError(s.o.Name, "the input is too large")
	}
	f = &SourceFile{Path: s.o.Name, src: s.text}
	f.spans = sync.OnceValue(f.index)
	padded := []byte(strings.Repeat("\n", first) + text + "\n") // positions are those in the whole input
	f.Tree = &syntax.File{Path: s.o.Name, Stmts: s.stmts}
	if chunk, err = shellOptions.Parse(s.o.Name, padded, 0); err != nil {
		return nil, nil, nil, f.syntaxError(err)
	}
	if err := f.checkDepth(chunk); err != nil {
		return nil, nil, nil, err
	}
	if err := resolve.REPLChunk(chunk, s.env.Has, func(string) bool { return false }, starlark.Universe.Has); err != nil {
		return nil, nil, nil, f.resolveError(err, s.names())
	}
	tree, err = shellOptions.Parse(s.o.Name, padded, 0)
	if err != nil {
		return nil, nil, nil, f.syntaxError(err)
	}
	late := lateGlobals(chunk)
	w := &rewriter{late: late}
	w.stmts(tree.Stmts)
	if n := len(tree.Stmts); n > 0 {
		if x, ok := tree.Stmts[n-1].(*syntax.ExprStmt); ok {
			start, _ := x.Span()
			tree.Stmts[n-1] = &syntax.AssignStmt{OpPos: start, Op: syntax.EQ, LHS: &syntax.Ident{NamePos: start, Name: result}, RHS: x.X}
		}
	}
	s.stmts = append(s.stmts, chunk.Stmts...)
	f.Tree.Stmts = s.stmts
	return f, chunk, tree, nil
}

// lateGlobals finds the reads of globals inside of functions: they must see what later statements assign.
func lateGlobals(tree *syntax.File) map[place]bool {
	late := map[place]bool{}
	var visit func(n syntax.Node, inside bool)
	visit = func(n syntax.Node, inside bool) {
		switch n := n.(type) {
		case *syntax.DefStmt, *syntax.LambdaExpr:
			inside = true
		case *syntax.Ident:
			if b, ok := n.Binding.(*resolve.Binding); ok && inside && b.Scope == resolve.Global {
				late[place{n.NamePos.Line, n.NamePos.Col}] = true
			}
		}
		children(n, func(c syntax.Node) { visit(c, inside) })
	}
	for _, st := range tree.Stmts {
		visit(st, false)
	}
	return late
}

// names are those that a statement can use, without the hidden ones.
func (s *Shell) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for name := range s.env {
		if hidden[name] == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Own returns the names that statements assigned, sorted.
func (s *Shell) Own() []string {
	var out []string
	for name := range s.own {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
