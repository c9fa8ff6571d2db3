package starlib

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxSource is the largest source file accepted, in bytes.
const maxSource = 4 << 20

// maxDepth is how deep expressions and statements may nest. The parser itself stops at about 80 brackets; this bounds
// the chains that it accepts, such as a long row of operators, which the compiler descends into.
const maxDepth = 10_000

// maxBranches is how many conditions and loops one file may have: the compiler descends once for each.
const maxBranches = 20_000

// SourceFile is one source file of a run: the entry script or a file that load() names.
type SourceFile struct {
	Path string // as error messages show it
	// Tree is the syntax tree as written, resolved. What is executed is compiled from a rewritten copy (see rewrite.go)
	// whose positions are the same.
	Tree *syntax.File

	src     []byte
	program *starlark.Program
	spans   func() map[place]span
}

// Entry scripts may use control flow and reassignment at top level, so that a script can do without functions.
var entryOptions = syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}

// Loaded modules hold functions and constants.
var moduleOptions = syntax.FileOptions{Set: true}

// parseSource parses, resolves, rewrites and compiles one file. known lists the predeclared names; with a coverage the
// code counts the lines that it executes.
func parseSource(path string, src []byte, opts syntax.FileOptions, known []string, cover *Coverage) (_ *SourceFile, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &ScriptError{Message: "internal error in the compiler", Err: &PanicError{Where: "parse " + path, Value: p, Stack: debug.Stack()}}
		}
	}()
	if len(src) > maxSource {
		return nil, sourceError(path, fmt.Sprintf("source of %s is too large, at most %s", formatBytes(int64(len(src))), formatBytes(maxSource)))
	}
	if i := bytes.IndexByte(src, 0); i >= 0 { // to the scanner it is the end of the file
		return nil, sourceError(path, fmt.Sprintf("the source holds a NUL byte, in line %d", 1+bytes.Count(src[:i], []byte("\n"))))
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	f := &SourceFile{Path: path, src: src}
	f.spans = sync.OnceValue(f.index)
	if f.Tree, err = opts.Parse(path, src, 0); err != nil {
		return nil, f.syntaxError(err)
	}
	if err := f.checkDepth(f.Tree); err != nil {
		return nil, err
	}
	predeclared := func(name string) bool {
		_, ok := slices.BinarySearch(known, name)
		return ok || universal[name] != nil
	}
	if err := resolve.File(f.Tree, predeclared, starlark.Universe.Has); err != nil {
		return nil, f.resolveError(err, known)
	}
	copied, err := opts.Parse(path, src, 0)
	if err != nil {
		return nil, f.syntaxError(err)
	}
	rewrite(copied, f.Tree)
	if cover != nil {
		cover.instrument(path, copied)
	}
	f.program, err = starlark.FileProgram(copied, func(name string) bool { return hidden[name] != nil || predeclared(name) })
	if err != nil {
		return nil, f.resolveError(err, known)
	}
	return f, nil
}

// checkDepth refuses trees that the recursive resolver and compiler could overflow the stack on.
func (f *SourceFile) checkDepth(tree *syntax.File) error {
	type item struct {
		n     syntax.Node
		depth int
	}
	var stack []item
	for _, s := range tree.Stmts {
		stack = append(stack, item{s, 1})
	}
	branches := 0
	for len(stack) > 0 {
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		switch n := it.n.(type) {
		case *syntax.IfStmt, *syntax.ForStmt, *syntax.CondExpr, *syntax.ForClause, *syntax.IfClause:
			branches++
		case *syntax.BinaryExpr:
			if n.Op == syntax.AND || n.Op == syntax.OR {
				branches++
			}
		}
		if it.depth > maxDepth {
			return sourceError(f.Path, "excessive nesting")
		}
		if branches > maxBranches {
			return sourceError(f.Path, fmt.Sprintf("more than %d conditions and loops in one file", maxBranches))
		}
		children(it.n, func(c syntax.Node) { stack = append(stack, item{c, it.depth + 1}) })
	}
	return nil
}

// line returns line n of the source, from 1, without its end, cut to 400 bytes.
func (f *SourceFile) line(n int) string {
	rest := f.src
	for ; n > 1; n-- {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return ""
		}
		rest = rest[i+1:]
	}
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return bound(strings.TrimRight(string(rest), "\r"), 400)
}

func sourceError(path, msg string) *ScriptError {
	return &ScriptError{Message: msg, Frames: []Frame{{File: path}}, Err: fault.New(fault.InvalidArgument, "%s", msg)}
}

// errorAt returns an error with one frame, at a position.
func (f *SourceFile) errorAt(pos syntax.Position, msg string) *ScriptError {
	e := sourceError(f.Path, msg)
	if pos.Line > 0 {
		e.Frames[0] = f.frame("<toplevel>", pos)
	}
	return e
}

func (f *SourceFile) syntaxError(err error) *ScriptError {
	var e syntax.Error
	if errors.As(err, &e) {
		se := f.errorAt(e.Pos, "syntax error: "+e.Msg)
		hint := pythonHint(e.Msg, se.Frames[0].Text, se.Frames[0].Col)
		se.Frames[0].toToken(e.Msg)
		return se.hinted(hint)
	}
	return sourceError(f.Path, err.Error())
}

// toToken moves the underline to the token that a syntax error names, which ends or begins where the error is.
func (f *Frame) toToken(msg string) {
	_, rest, _ := strings.Cut(msg, "got '")
	tok, _, quoted := strings.Cut(rest, "'")
	line := []rune(f.Text)
	at := min(f.Col-1, len(line))
	if n := len([]rune(tok)); quoted && at >= 0 {
		if strings.HasPrefix(string(line[at:]), tok) {
			f.End = f.Col + n
		} else if before := strings.TrimRight(string(line[:at]), " \t"); strings.HasSuffix(before, tok) {
			f.End = len([]rune(before)) + 1
			f.Col = f.End - n
		}
	}
	if f.Col > len(line) && len(line) > 0 {
		f.Col, f.End = len(line), len(line)+1
	}
}

// resolveError reports every name that does not resolve, each with what may have been meant.
func (f *SourceFile) resolveError(err error, known []string) *ScriptError {
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		return sourceError(f.Path, err.Error())
	}
	var all []*ScriptError
	for _, e := range list {
		msg := e.Msg
		if name, ok := strings.CutPrefix(msg, "undefined: "); ok {
			name, local, _ := strings.Cut(name, " ")
			msg = "undefined: " + name
			if hint := elsewhere[name]; hint != "" {
				msg += " (" + hint + ")"
			} else if local != "" {
				msg += " " + local
			} else {
				msg += didYouMean(name, f.names(known), "")
			}
		}
		all = append(all, f.errorAt(e.Pos, msg).hinted(pythonHint(msg, "", 0)))
	}
	first := all[0]
	first.Others = all[1:]
	return first
}

// elsewhere answers for names of Python that Starlark lacks.
var elsewhere = map[string]string{
	"open":     "files are read with ds.NAME.read_text and written with ds.NAME.write_text",
	"sum":      "add in a loop, or use agg.sum on a stream",
	"map":      "use a list comprehension, or .map on a stream",
	"filter":   "use a list comprehension, or .filter on a stream",
	"round":    "use math.round",
	"input":    "give main() a parameter: it becomes a flag",
	"format":   "use fmt(\"{:.2f}\", x)",
	"os":       "scripts cannot reach the machine; see ds and run",
	"sys":      "scripts cannot reach the machine; see ds and run",
	"requests": "scripts reach declared stores and topics only",
	"datetime": "see time",
	"assert":   "only in files *_test.star, which dsrun test runs",
	"test":     "only in files *_test.star, which dsrun test runs",
}

// names returns what an unknown name may have been meant to be: predeclared, universal, global, imported.
func (f *SourceFile) names(known []string) []string {
	names := append(slices.Clone(known), starlark.Universe.Keys()...)
	for _, s := range f.Tree.Stmts {
		switch s := s.(type) {
		case *syntax.DefStmt:
			names = append(names, s.Name.Name)
		case *syntax.LoadStmt:
			for _, id := range s.To {
				names = append(names, id.Name)
			}
		case *syntax.AssignStmt:
			if id, ok := s.LHS.(*syntax.Ident); ok {
				names = append(names, id.Name)
			}
		}
	}
	return names
}
