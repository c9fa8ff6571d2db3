package starlib

import (
	"io"
	"slices"
	"time"

	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/clock"
)

// Program is a parsed entry script. It may be run many times, also at once.
type Program struct {
	file  *SourceFile
	extra []*Function
	words []Word
	known []string // the predeclared names, sorted
	main  *syntax.DefStmt
	cover *Coverage // nil: nothing is counted
}

// Parse parses and resolves an entry script. file is its path as messages show it. extra are functions that the embedding program
// adds to the predeclared names. Its error is a *ScriptError.
func Parse(file string, src []byte, extra ...*Function) (*Program, error) {
	p := newProgram(append(words(), extraWords(extra)...), extra)
	if err := p.parse(file, src); err != nil {
		return nil, err
	}
	return p, nil
}

func newProgram(ws []Word, extra []*Function) *Program {
	p := &Program{extra: extra, words: ws}
	for _, w := range p.words {
		p.known = append(p.known, w.Name)
	}
	slices.Sort(p.known)
	return p
}

func (p *Program) parse(file string, src []byte) error {
	f, err := parseSource(file, src, entryOptions, p.known, p.cover)
	if err != nil {
		return err
	}
	p.file = f
	for _, s := range f.Tree.Stmts {
		if def, ok := s.(*syntax.DefStmt); ok && def.Name.Name == "main" {
			p.main = def
		}
	}
	return p.checkMain()
}

// Param is one parameter of main(), which becomes a flag: max_bad is --max-bad.
type Param struct {
	Name     string
	Type     string // string int float bool list, from the default; "string" without one
	Default  string // as written; "" with Required
	Required bool
}

// Limits bound one run. Zero fields do not bind.
type Limits struct {
	Steps   uint64        // of the interpreter, over all threads of the run
	Memory  int64         // bytes by which the heap of the process may grow
	Timeout time.Duration // wall clock
}

// DefaultLimits are the limits of a run that sets none: large enough for work on streams, small enough that a runaway
// script does not take the machine down.
var DefaultLimits = Limits{Memory: 2 << 30}

// RunOptions say how to run a program.
type RunOptions struct {
	Host Host
	// Base is the folder that relative names of load() in the entry script count from: below the project's folder, as
	// "jobs", or absolute for a script that stands outside of it. "" means the folder of the path given to Parse.
	Base   string
	Args   map[string]string // main()'s parameters as given on the command line
	Func   string            // the function to call instead of main(), without arguments; "" means main()
	Stdout io.Writer         // print()
	TTY    bool              // Stdout is a terminal: control characters are shown escaped
	Limits Limits
	Clock  clock.Clock // what time.now() reads; nil is the machine's
}

// ScriptError is an uncaught error of a script.
type ScriptError struct {
	Message string
	Frames  []Frame // outermost first; those of built-in functions have a name only
	Err     error
	Usage   bool           // the arguments given to main() are wrong: nothing was executed
	Others  []*ScriptError // further mistakes of the same source
}

// Frame is one place in a script.
type Frame struct {
	Func string `json:"func,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // from 1
	Col  int    `json:"col,omitempty"`  // from 1, in characters
	End  int    `json:"end,omitempty"`  // column after the guilty expression on the same line
	Text string `json:"text,omitempty"` // the source line
}

func (e *ScriptError) Error() string { return e.Message }
func (e *ScriptError) Unwrap() error { return e.Err }
