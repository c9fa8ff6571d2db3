package starlib

import (
	"context"
	"io"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/event"
)

// TestHost is what a test file may reach besides what every script does. Paths are relative to the folder of the test
// file and stay below it.
type TestHost interface {
	Host
	// Fixture puts the files below a folder, or one file, into a datastore, whatever its mode, each under prefix and its
	// own path in the folder. It returns how many there were.
	Fixture(ctx context.Context, store, path, prefix string) (int, error)
	// Place puts one object into a datastore, whatever its mode.
	Place(ctx context.Context, store, path string, content []byte) error
	// Events returns what was published to a topic so far, in order.
	Events(topic string) ([]event.Message, error)
	// Golden returns the content of a golden file. When golden files are being updated it stores got there and returns it.
	Golden(path string, got []byte) ([]byte, error)
	// SetNow sets the clock of the test; waits take no time from then on.
	SetNow(time.Time)
}

// testWords are the names that only test files have.
func testWords() []Word {
	return []Word{{Name: "assert", Module: assertModule}, {Name: "test", Module: testModule}}
}

// ParseTest parses a test file: an entry script with the words assert and test. With a coverage, the file and what it
// loads and runs count the lines that are executed.
func ParseTest(file string, src []byte, cover *Coverage, extra ...*Function) (*Program, error) {
	p := newProgram(append(append(words(), testWords()...), extraWords(extra)...), extra)
	p.cover = cover
	if err := p.parse(file, src); err != nil {
		return nil, err
	}
	return p, nil
}

// TestFunc is a function of a test file whose name begins with test_.
type TestFunc struct {
	Name   string
	Line   int // where its def stands
	Params int // it must have none
}

// Tests lists the test functions of the file in the order in which they are written.
func (p *Program) Tests() []TestFunc {
	var out []TestFunc
	for _, s := range p.file.Tree.Stmts {
		if def, ok := s.(*syntax.DefStmt); ok && strings.HasPrefix(def.Name.Name, "test_") {
			out = append(out, TestFunc{def.Name.Name, int(def.Def.Line), len(def.Params)})
		}
	}
	return out
}

// scriptHost is the host of a script that a test runs: only its name is another.
type scriptHost struct {
	Host
	info RunInfo
}

func (h *scriptHost) Info() RunInfo { return h.info }

// runScript runs another script within the scope: with the same host, limits and cancellation, and with names, modules
// and output of its own.
func (r *Run) runScript(p *Program, base string, given []starlark.Tuple, out io.Writer) error {
	own := r.execution
	child := &execution{cancel: own.cancel, meter: own.meter, out: &printer{w: out, tty: own.out.tty}, clock: own.clock, program: p}
	info := r.Host.Info()
	info.Script, info.Started = p.file.Path, r.Clock().Now()
	sub := &Run{Ctx: r.Ctx, Host: &scriptHost{r.Host, info}, Limits: r.Limits, Indices: r.Indices, execution: child}
	p.prepare(sub, base)
	thread := sub.NewThread(p.file.Path)
	err := sub.contained("script", func() error {
		return p.call(sub, thread, "main", func(main *starlark.Function) ([]starlark.Tuple, error) { return mainArgs(p, main, given) })
	})
	if err == nil {
		err = sub.Err()
	}
	if err != nil {
		failed := sub.scriptError(err)
		failed.Usage = false // the command line is not at fault
		err = failed
	}
	if cerr := sub.end(); err == nil && cerr != nil {
		err = cerr
	}
	return err
}

// mainArgs matches the arguments of test.run with the parameters of main(), which is nil when there is none. A text for
// a parameter of another type is read as the command line reads it.
func mainArgs(p *Program, main *starlark.Function, given []starlark.Tuple) ([]starlark.Tuple, error) {
	var params []mainParam
	if main != nil {
		params = evaluated(main)
	} else if len(given) > 0 {
		return nil, usageError("the script %s has no main() and takes no parameters", p.file.Path)
	}
	var names []string
	left := map[string]starlark.Value{}
	for _, kv := range given {
		left[string(kv[0].(starlark.String))] = kv[1]
	}
	var kwargs []starlark.Tuple
	for _, q := range params {
		names = append(names, q.name)
		v, ok := left[q.name]
		delete(left, q.name)
		if !ok {
			if q.def == nil {
				return nil, usageError("main() of %s needs the parameter %s", p.file.Path, q.name)
			}
			continue
		}
		if text, ok := v.(starlark.String); ok && q.def != nil && q.def != starlark.None {
			var err error
			if v, err = argument(string(text), q.def); err != nil {
				return nil, usageError("for parameter %s of %s: %w", q.name, p.file.Path, err)
			}
		}
		kwargs = append(kwargs, starlark.Tuple{starlark.String(q.name), v})
	}
	for _, kv := range given {
		name := string(kv[0].(starlark.String))
		if _, unknown := left[name]; unknown {
			return nil, usageError("main() of %s has no parameter %s%s", p.file.Path, name, didYouMean(name, names, ""))
		}
	}
	return kwargs, nil
}
