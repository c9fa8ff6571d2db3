package starlib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

var fnCatch = Declare(Func{
	Name:    "catch",
	Doc:     "Calls fn and returns its result and None, or None and the error when it fails. Interrupts and limits of the run are not caught.",
	Returns: "(value, error)",
	Example: `
value, err = catch(json.decode, "[1, 2")
err.code  # -> "invalid_argument"
`}, func(p *Params) Impl {
	fn := p.Callable("fn", "What to call.").Positional()
	args := p.Rest("args", "Its positional arguments.")
	kwargs := p.KwRest("kwargs", "Its named arguments.")
	return func(c *Call) (starlark.Value, error) {
		v, err := starlark.Call(c.Thread, fn.Get(c), args.Get(c), kwargs.Get(c))
		err = c.Run.settle(c.Thread, err)
		if err == nil {
			return starlark.Tuple{v, starlark.None}, nil
		}
		if uncatchable(err) {
			return nil, err
		}
		if c.Run.Ctx.Err() != nil {
			return nil, context.Cause(c.Run.Ctx)
		}
		return starlark.Tuple{starlark.None, newErrorValue(err)}, nil
	}
})

// settle ends a call of the script's code whose failure is about to be caught: a failure that cancelled the scope's
// threads is taken as its error, and they can go on; besides the one that catches these are those that wait for it, as
// when the function of a stream's step catches. An interrupt that arrives at any moment is not lost: the context is
// looked at after the threads were freed, and it cancels them itself when it ends later.
func (r *Run) settle(thread *starlark.Thread, err error) error {
	r.mu.Lock()
	cause, threads := r.cause, append(slices.Clone(r.threads), thread)
	r.cause = nil
	r.failed.Store(false)
	r.mu.Unlock()
	if cause != nil {
		for _, t := range threads {
			t.Uncancel()
		}
		err = cause
	}
	if r.Ctx.Err() != nil {
		why := context.Cause(r.Ctx)
		for _, t := range threads {
			t.Cancel(cancelText(why))
		}
		return why
	}
	return err
}

// uncatchable reports whether err ends the run whatever the script does.
func uncatchable(err error) bool {
	var stop *stopError
	return errors.As(err, &stop)
}

// ErrorValue is an error as scripts see it: what catch returns, and what a failed item of parallel.map is.
type ErrorValue struct {
	err   error
	class fault.Class
	attrs starlark.StringDict
}

func newErrorValue(err error) *ErrorValue {
	err = coded(err)
	class := fault.ClassOf(err)
	op, resource, key := about(err)
	opt := func(s string) starlark.Value {
		if s == "" {
			return starlark.None
		}
		return starlark.String(s)
	}
	return &ErrorValue{err: err, class: class, attrs: starlark.StringDict{
		"code":      starlark.String(class.Code),
		"message":   starlark.String(failText(err)),
		"retryable": starlark.Bool(class.Retryable()),
		"op":        opt(op),
		"store":     opt(resource),
		"path":      opt(key),
		"hint":      opt(class.Hint),
	}}
}

var errorType = NewMethods("error", "What catch returns for a failure.", []AttrDoc{
	{"code", "string", "The class of the failure, such as \"not_found\"."},
	{"message", "string", "What happened."},
	{"retryable", "bool", "Whether the same call can succeed later."},
	{"op", "string", "The operation that failed, or None."},
	{"store", "string", "The datastore or topic that it failed on, or None."},
	{"path", "string", "The object that it failed on, or None."},
	{"hint", "string", "What can be done about it, or None."},
})

// Attr implements starlark.HasAttrs.
func (e *ErrorValue) Attr(name string) (starlark.Value, error) { return e.attrs[name], nil }

// AttrNames implements starlark.HasAttrs.
func (e *ErrorValue) AttrNames() []string { return errorType.Names() }

func (e *ErrorValue) String() string {
	return fmt.Sprintf("error(%s, %s)", e.attrs["code"], e.attrs["message"])
}
func (e *ErrorValue) Type() string          { return "error" }
func (e *ErrorValue) Freeze()               {}
func (e *ErrorValue) Truth() starlark.Bool  { return true }
func (e *ErrorValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: error") }

// TextSize implements Sized.
func (e *ErrorValue) TextSize() int64 { return 64 + 4*int64(len(e.err.Error())) }

// Err returns the error that the value stands for.
func (e *ErrorValue) Err() error { return e.err }

// failError is the error of fail(): its text begins with "fail: " as in Starlark, its message is what was said.
type failError struct {
	said  string
	cause *fault.Error
}

func (e *failError) Error() string { return "fail: " + e.said }
func (e *failError) Unwrap() error { return e.cause }

// failText returns the message of an error for scripts.
func failText(err error) string {
	var f *failError
	if errors.As(err, &f) {
		return f.said
	}
	return err.Error()
}

var fnFail = Declare(Func{
	Name:    "fail",
	Doc:     "Ends the script with a message, or the innermost catch with an error of code \"fail\". An error that catch returned is passed on as it is when it is the only argument.",
	Returns: "None",
	Example: `
_, err = catch(fail, "no rows in", "a.csv")
err.message  # -> "no rows in a.csv"
err.code  # -> "fail"
`}, func(p *Params) Impl {
	args := p.Rest("args", "What to say; the parts are joined by sep.")
	sep := p.String("sep", "What stands between the parts.").Default(" ")
	return func(c *Call) (starlark.Value, error) {
		parts := args.Get(c)
		if len(parts) == 1 {
			if e, ok := parts[0].(*ErrorValue); ok {
				return nil, &codedError{text: e.err.Error(), cause: &fault.Error{Class: e.class, Err: e.err}}
			}
		}
		said, err := joinText(c.Run, parts, sep.Get(c))
		if err != nil {
			return nil, err
		}
		return nil, &failError{said: said, cause: fault.New(fault.Fail, "%s", said)}
	}
})
