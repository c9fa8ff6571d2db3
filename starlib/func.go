package starlib

import (
	"fmt"
	"runtime/debug"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// Func describes a function that scripts can call. Together with the parameters that Declare collects it is the one
// source of argument unpacking, help(), the reference pages and the editor stubs; its example is run by a test.
type Func struct {
	Name    string // as scripts write it: "path.join", "fmt"; methods carry their type's word: "store.list"
	Doc     string // sentences
	Returns string // the type of the result: "string", "list[object]"; "None" for none
	Example string // Starlark; a line may end in `# -> value`, which a test checks
}

// Impl is the body of a function. A nil result means None.
type Impl func(c *Call) (starlark.Value, error)

// Function is a declared function. It is immutable and may be shared by all runs.
type Function struct {
	Func
	params  []*param
	rest    *param // *args
	kwrest  *param // **kwargs
	npos    int    // how many params can be given by position
	impl    Impl
	effect  effect
	builtin *starlark.Builtin
}

// Declare declares a function. setup declares the parameters, in order, and returns the body; it is called once.
//
//	var pathJoin = Declare(Func{Name: "path.join", Doc: "...", Returns: "string", Example: `...`}, func(p *Params) Impl {
//		parts := p.Rest("parts", "What to join.")
//		return func(c *Call) (starlark.Value, error) { ... parts.Get(c) ... }
//	})
//
// A declaration that makes no sense (a name twice, a required parameter after an optional one) panics: it is the
// programmer's mistake.
func Declare(f Func, setup func(p *Params) Impl) *Function {
	fn := &Function{Func: f, effect: effectOf(f.Name)}
	p := &Params{fn: fn}
	fn.impl = setup(p)
	p.close()
	fn.builtin = starlark.NewBuiltin(f.Name, fn.call)
	return fn
}

// Value returns the function as a value for scripts.
func (f *Function) Value() *starlark.Builtin { return f.builtin }

// Bind returns the function as a method of recv, which the body finds in Call.Recv.
func (f *Function) Bind(recv starlark.Value) *starlark.Builtin { return f.builtin.BindReceiver(recv) }

// Word returns the last part of the function's name: "join" for path.join.
func (f *Function) Word() string { return f.Name[strings.LastIndexByte(f.Name, '.')+1:] }

// Call is one call of a function. It is valid for as long as the body keeps it.
type Call struct {
	Thread *starlark.Thread
	Run    *Run           // the scope that the thread belongs to; nil only outside of a run
	Recv   starlark.Value // the receiver of a method, else nil
	Fn     *Function

	vals   []starlark.Value // by parameter; nil means not given
	rest   starlark.Tuple
	kwrest []starlark.Tuple
	inline [4]starlark.Value
}

// call unpacks the arguments and runs the body.
func (f *Function) call(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	c := &Call{Thread: thread, Run: runOf(thread), Recv: b.Receiver(), Fn: f}
	if n := len(f.params); n <= len(c.inline) {
		c.vals = c.inline[:n]
	} else {
		c.vals = make([]starlark.Value, n)
	}
	if err := f.unpack(c, args, kwargs); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, &PanicError{Where: f.Name, Value: r, Stack: debug.Stack()}
		}
	}()
	if leave := f.enter(c.Run, thread); leave != nil {
		defer leave()
	}
	v, err = f.impl(c)
	if err != nil {
		return nil, f.wrap(err)
	}
	if v == nil {
		v = starlark.None
	}
	return v, nil
}

// wrap names the function in errors that do not say yet where they come from. Errors of the script's own functions
// and errors that the engine has wrapped pass unchanged.
func (f *Function) wrap(err error) error {
	switch e := err.(type) {
	case *starlark.EvalError, *codedError, *failError, *PanicError, *stopError, *ScriptError:
		return err
	case *fault.Error:
		if e.Op == "" && e.Resource == "" && e.Key == "" {
			return &codedError{text: f.Name + ": " + e.Err.Error(), cause: e}
		}
		return err
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}

// Errorf returns an invalid_argument error that starts with the function's name. %w keeps a cause's identity.
func (c *Call) Errorf(format string, args ...any) error {
	return c.Fn.fail(fault.InvalidArgument, "", format, args...)
}

// Bad returns the error for an argument of the wrong type or value: `store.list: for parameter since: got int, want
// time or string`. v may be nil when want alone says enough.
func (c *Call) Bad(param string, v starlark.Value, want string) error {
	return c.Fn.badArgument(param, v, want)
}

// fail returns an error of the given code whose text starts with the function's name.
func (f *Function) fail(code fault.Code, hint, format string, args ...any) error {
	e := fault.Hinted(code, hint, format, args...)
	return &codedError{text: f.Name + ": " + e.Err.Error(), cause: e}
}

func (f *Function) badArgument(param string, v starlark.Value, want string) error {
	if v == nil {
		return f.fail(fault.InvalidArgument, "", "for parameter %s: want %s", param, want)
	}
	return f.fail(fault.InvalidArgument, "", "for parameter %s: got %s, want %s", param, v.Type(), want)
}

// codedError is an error whose text is said in Starlark's manner and whose class is that of its cause.
type codedError struct {
	text  string
	cause *fault.Error
}

func (e *codedError) Error() string { return e.text }
func (e *codedError) Unwrap() error { return e.cause }

// PanicError is a panic in a function of the host: a defect of the program, not of the script. Its text is short and
// holds no Go stack; Stack is for the log of whoever can mend it.
type PanicError struct {
	Where string
	Value any
	Stack []byte
}

// Error names the function only: what a panic says is meant for programmers.
func (e *PanicError) Error() string {
	return e.Where + ": internal error: " + bound(fault.Printable(fmt.Sprint(e.Value)), 200)
}

// Unwrap gives the error its code, internal.
func (e *PanicError) Unwrap() error { return fault.New(fault.Internal, "panic in %s", e.Where) }

// bound cuts s to about n bytes, never inside of a character.
func bound(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}
