package starlib

import (
	"errors"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// cancelPrefix is what starlark-go puts before the reason of a cancelled thread.
const cancelPrefix = "Starlark computation cancelled: "

// scriptError makes of an error that left the interpreter the one that is reported: the failure behind a cancelled
// thread instead of the cancellation, frames with their source, no frames of hidden functions.
func (r *Run) scriptError(err error) *ScriptError {
	var done *ScriptError
	if errors.As(err, &done) { // a source that does not parse, met by load(), or a script that a test runs
		return r.loadError(err, done)
	}
	cause := r.behind(err)
	return &ScriptError{Message: message(cause), Frames: r.frames(err), Err: coded(cause)}
}

// behind returns the failure behind err: the cause when it is the cancellation of the thread, or what follows of an
// iterator that failed (it looks like one that ended); else err itself.
func (r *Run) behind(err error) error {
	if err == nil || uncatchable(err) {
		return err
	}
	r.mu.Lock()
	cause := r.cause
	r.mu.Unlock()
	if cause != nil && r.Ctx.Err() == nil {
		return cause
	}
	if why := r.Err(); why != nil && cancelled(err) {
		return why
	}
	return err
}

// cancelled reports whether err is what a cancelled thread, or a call that a done context ended, returns.
func cancelled(err error) bool {
	var eval *starlark.EvalError
	if errors.As(err, &eval) && strings.HasPrefix(deepest(eval).Msg, cancelPrefix) {
		return true
	}
	return fault.CodeOf(err) == fault.Cancelled || fault.CodeOf(err) == fault.DeadlineExceeded
}

// deepest returns the innermost EvalError of a chain: that of the place where it began.
func deepest(e *starlark.EvalError) *starlark.EvalError {
	for {
		var next *starlark.EvalError
		if !errors.As(e.Unwrap(), &next) {
			return e
		}
		e = next
	}
}

// message returns what is said of an error.
func message(err error) string { return err.Error() }

// coded gives the errors of the interpreter itself (a missing key, a wrong operand) the code invalid_argument: they
// are mistakes of the script. Everything else carries its code.
func coded(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || fault.Plain(err).Code != fault.Internal {
		return err
	}
	return &codedError{text: err.Error(), cause: fault.New(fault.InvalidArgument, "%w", err)}
}

// frames returns the places that the calls of err went through, outermost first: those of the thread, and below them
// those of the parallel item or module where it began.
func (r *Run) frames(err error) []Frame {
	var stack starlark.CallStack
	for {
		var e *starlark.EvalError
		if !errors.As(err, &e) {
			break
		}
		stack = extend(stack, e.CallStack)
		err = e.Unwrap()
		if _, ok := err.(*ScriptError); ok {
			break // its frames are in it
		}
	}
	var frames []Frame
	for _, c := range stack {
		file := c.Pos.Filename()
		if hidden[c.Name] != nil || file == hiddenFile {
			continue
		}
		if f := r.execution.loader.file(file); f != nil {
			frames = append(frames, f.frame(c.Name, c.Pos))
		} else {
			frames = append(frames, Frame{Func: c.Name})
		}
	}
	return frames
}

// extend appends the frames of an inner stack to those of the outer one; a stack of the same thread begins with the
// same frames.
func extend(outer, inner starlark.CallStack) starlark.CallStack {
	same := len(inner) >= len(outer)
	for i := 0; same && i < len(outer); i++ {
		same = inner[i] == outer[i]
	}
	if same {
		return inner
	}
	return append(outer[:len(outer):len(outer)], inner...)
}

// loadError puts the frames of the load() calls above those of the source that could not be parsed.
func (r *Run) loadError(err error, inner *ScriptError) *ScriptError {
	e := *inner
	e.Frames = append(r.frames(err), inner.Frames...)
	return &e
}

// Class returns the class of the failure: its code, hint and whether another try can succeed.
func (e *ScriptError) Class() fault.Class { return fault.ClassOf(e.Err) }

// About returns the operation that failed, the datastore or topic and the object, where the engine named them.
func (e *ScriptError) About() (op, resource, key string) { return about(e.Err) }

// about returns the operation, resource and key of the outermost fault of a chain that names any.
func about(err error) (op, resource, key string) {
	for {
		var f *fault.Error
		if !errors.As(err, &f) {
			return "", "", ""
		}
		if f.Op != "" || f.Resource != "" || f.Key != "" {
			return f.Op, f.Resource, f.Key
		}
		err = f.Err
	}
}
