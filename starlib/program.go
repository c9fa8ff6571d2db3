package starlib

import (
	"context"
	"io"
	"time"
)

// Program is a parsed entry script.
type Program struct{}

// Parse parses and resolves an entry script. Its error is a *ScriptError.
func Parse(file string, src []byte) (*Program, error) { panic("to be built") }

// Params are the parameters of the script's main(), in order.
func (p *Program) Params() []Param { panic("to be built") }

// Doc is the script's docstring, or main()'s.
func (p *Program) Doc() string { panic("to be built") }

// Param is one parameter of main(), which becomes a flag: max_bad is --max-bad.
type Param struct {
	Name     string
	Type     string // string int float bool list, from the default; "string" without one
	Default  string // as written; "" with Required
	Required bool
}

// Limits bound one run. Zero fields do not bind.
type Limits struct {
	Steps   uint64
	Memory  int64 // bytes of heap growth
	Timeout time.Duration
}

// RunOptions say how to run a program.
type RunOptions struct {
	Host   Host
	Args   map[string]string // main()'s parameters as given on the command line
	Stdout io.Writer         // print()
	TTY    bool              // Stdout is a terminal: control characters are shown escaped
	Limits Limits
}

// Run executes the program. Its error is a *ScriptError, whose chain holds the fault that stopped it. Everything the
// run opened through the host's handles is closed when Run returns.
func (p *Program) Run(ctx context.Context, o RunOptions) error { panic("to be built") }

// ScriptError is an uncaught error of a script.
type ScriptError struct {
	Message string
	Frames  []Frame // outermost first
	Err     error
}

// Frame is one place in a script.
type Frame struct {
	Func string
	File string
	Line int    // from 1
	Col  int    // from 1, in characters
	End  int    // column after the guilty expression on the same line
	Text string // the source line
}

func (e *ScriptError) Error() string { return e.Message }
func (e *ScriptError) Unwrap() error { return e.Err }
