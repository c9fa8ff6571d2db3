package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store/record"
	"github.com/dsrun/dsrun/starlib"
)

// testSuffix is how the names of test files end.
const testSuffix = "_test.star"

type testFlags struct {
	run, junit, lcov, replay    string
	update, coverage, failEmpty bool
	match                       *regexp.Regexp
	recorded                    *record.Replay
	cover                       *starlib.Coverage
}

func (a *app) testCmd() *cobra.Command {
	var o testFlags
	cmd := &cobra.Command{
		Use: "test [PATH...]", Short: "Test scripts, with datastores in memory and events recorded",
		Long: `Run the functions test_* of *_test.star files: those named, those below the folders named, or those below the working
folder.

Each test runs its file anew, in a world of its own: every declared datastore is an empty one in memory, topics keep what
is published, and neither secrets nor the network are touched. A test puts data in with test.fixture("store", "folder") or
test.put, runs a script with test.run("script.star", param = value) or calls what it has loaded, and looks at datastores,
test.events("topic") and what was printed with the functions of assert. Golden files are compared with test.golden.

With --replay each datastore begins as "dsrun run SCRIPT --record DIR" has seen it: what that run has listed and read is
there, what the tests write is kept apart, and a call that was not recorded is an error that names it.

The configuration is FILE_test.hcl beside the test, else FILE.hcl, else dsrun.hcl in the working folder or the nearest one
above; -c names another. Limits of settings and script blocks hold for each test. What a test prints and logs is shown when
it fails.

A run with failed tests ends with exit code 1, one whose files or configuration are wrong with 2.`,
		Example: "  dsrun test\n  dsrun test examples/quickstart_test.star --run bad_rows\n  dsrun test --coverage --junit report.xml",
	}
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "run only tests whose name matches the regular expression `PATTERN`")
	f.BoolVar(&o.update, "update", false, "write golden files instead of comparing them")
	f.BoolVar(&o.coverage, "coverage", false, "print which lines of the scripts were executed")
	f.StringVar(&o.lcov, "lcov", "", "write the coverage of lines to `FILE` in the format of lcov")
	f.StringVar(&o.replay, "replay", "", "let datastores answer as they did to the run that was recorded in the folder `DIR`")
	f.StringVar(&o.junit, "junit", "", "write the results to `FILE` as JUnit XML")
	f.BoolVar(&o.failEmpty, "fail-empty", false, "exit with 1 when there are no tests")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if o.match, err = regexp.Compile(o.run); err != nil {
			return usagef(cmd, "--run is no regular expression: %v", err)
		}
		if o.coverage || o.lcov != "" {
			o.cover = starlib.NewCoverage()
		}
		if o.replay != "" {
			if o.recorded, err = a.openRecording(o.replay); err != nil {
				return err
			}
			defer o.recorded.Close()
		}
		return a.test(cmd.Context(), &o, args)
	}
	return cmd
}

// testResult is what happened to one test.
type testResult struct {
	File    string   `json:"file"`
	Test    string   `json:"test"`
	Line    int      `json:"line"`   // of its def
	Result  string   `json:"result"` // pass or fail
	Seconds float64  `json:"seconds"`
	Error   *problem `json:"error,omitempty"`
	Output  string   `json:"output,omitempty"` // of a failed test
}

func (r testResult) failed() bool { return r.Result != "pass" }

// errTestsFailed ends a run with failed tests; the tests themselves were reported.
type errTestsFailed struct{ failed, total int }

func (e *errTestsFailed) Error() string {
	return fmt.Sprintf("%d of %d tests failed", e.failed, e.total)
}

func (a *app) test(ctx context.Context, o *testFlags, paths []string) error {
	files, err := a.testFiles(paths)
	if err != nil {
		return err
	}
	begin := a.w.Clock.Now()
	var all []testResult
	var wrong error // the first file that could not be run
	for _, file := range files {
		results, err := a.testFile(ctx, o, file)
		all = append(all, results...)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if wrong != nil { // finish prints the last
				a.report(wrong)
			}
			wrong = err
		}
	}
	if len(all) == 0 && wrong == nil {
		return a.nothing("no tests: they are functions test_* in files *"+testSuffix, o.failEmpty)
	}
	return errors.Join(a.testReports(o, all, a.w.Clock.Now().Sub(begin)), testsError(all, wrong))
}

// testsError is the error of a whole run. Failed tests were reported already.
func testsError(all []testResult, wrong error) error {
	if wrong != nil {
		return wrong
	}
	failed := 0
	for _, r := range all {
		if r.failed() {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fault.New(fault.Fail, "%w", &errTestsFailed{failed, len(all)})
}

// report prints an error that is not the last one.
func (a *app) report(err error) {
	var b strings.Builder
	if p := explain(err); a.g.json {
		_ = newEncoder(&b).Encode(map[string]problem{"error": p})
	} else {
		a.renderProblem(&b, p)
	}
	_, _ = io.WriteString(a.w.Stderr, a.redactor.Redact(b.String()))
}

// testFiles finds the test files that paths name, each once, in the order of the arguments and of names. Folders whose
// names begin with a dot are not entered.
func (a *app) testFiles(paths []string) ([]string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var out []string
	add := func(abs string) {
		if !slices.Contains(out, abs) {
			out = append(out, abs)
		}
	}
	for _, p := range paths {
		abs := a.abs(p)
		root, err := a.w.OpenRoot(abs)
		if err != nil {
			if ok, ferr := a.isFile(abs); ferr != nil || !ok {
				return nil, fault.Hinted(fault.InvalidArgument, "Give a folder, or a file whose name ends in "+testSuffix+".", "%s does not exist", p)
			}
			if !strings.HasSuffix(abs, testSuffix) {
				return nil, fault.Hinted(fault.InvalidArgument, "Names of test files end in "+testSuffix+".", "%s is no test file", p)
			}
			add(abs)
			continue
		}
		err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case e.IsDir() && strings.HasPrefix(e.Name(), ".") && name != ".":
				return fs.SkipDir
			case !e.IsDir() && strings.HasSuffix(name, testSuffix):
				add(filepath.Join(abs, filepath.FromSlash(name)))
			}
			return nil
		})
		if cerr := root.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// testFile runs the tests of one file. Its error means that the file could not be run at all.
func (a *app) testFile(ctx context.Context, o *testFlags, abs string) ([]testResult, error) {
	shown := a.shown(abs)
	src, err := a.readBytes(abs, maxScript)
	if err != nil {
		return nil, err
	}
	program, err := starlib.ParseTest(shown, src, o.cover)
	if err != nil {
		return nil, &staticError{err}
	}
	var tests []starlib.TestFunc
	seen := map[string]bool{}
	for _, t := range program.Tests() {
		if seen[t.Name] {
			return nil, fault.Hinted(fault.InvalidArgument, "The first one would never run: give it another name.", "%s:%d: %s() is defined twice", shown, t.Line, t.Name)
		}
		seen[t.Name] = true
		if t.Params > 0 {
			return nil, fault.Hinted(fault.InvalidArgument, "Tests are called without arguments.", "%s:%d: %s() has parameters", shown, t.Line, t.Name)
		}
		if o.match.MatchString(t.Name) {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return nil, nil
	}
	project, err := a.testProject(abs)
	if err != nil {
		return nil, err
	}
	defer project.Close()
	var out []testResult
	for _, t := range tests {
		r := a.testOne(ctx, o, project, program, t, abs)
		if ctx.Err() != nil {
			break
		}
		if err := a.printTest(r); err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

// testProject loads the configuration of a test file: that of its own name, else that of the script it is named after.
func (a *app) testProject(abs string) (*engine.Project, error) {
	script := abs
	if own, err := a.isFile(strings.TrimSuffix(abs, ".star") + ".hcl"); err != nil {
		return nil, err
	} else if !own {
		script = strings.TrimSuffix(abs, testSuffix) + ".star"
	}
	src, err := a.source(script)
	if err != nil {
		return nil, err
	}
	project, diags := a.engine().Load(src)
	return project, a.warnOrFail(project, diags)
}

func (a *app) testOne(ctx context.Context, o *testFlags, project *engine.Project, program *starlib.Program, t starlib.TestFunc, abs string) testResult {
	shown := a.shown(abs)
	r := testResult{File: shown, Test: t.Name, Line: t.Line, Result: "pass"}
	var output boundedBuffer
	begin := time.Now() // the machine's: a test is work
	err := project.RunTest(ctx, program, engine.Test{Name: shown, Dir: filepath.Dir(abs), Func: t.Name, Update: o.update, Replay: o.recorded,
		Stdout: &output, Log: slog.New(newTextHandler(a.redactor.Writer(&output), slog.LevelDebug))})
	r.Seconds = time.Since(begin).Seconds()
	if err != nil {
		p := explain(err)
		r.Result, r.Error, r.Output = "fail", &p, output.String()
	}
	return r
}

// boundedBuffer keeps the first bytes of what a test prints.
type boundedBuffer struct {
	mu  sync.Mutex
	b   bytes.Buffer
	cut bool
}

const maxTestOutput = 256 << 10

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := maxTestOutput - b.b.Len(); len(p) > room {
		b.cut = true
		b.b.Write(p[:room])
	} else {
		b.b.Write(p)
	}
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return b.b.String() + "\n(what follows was not kept)\n"
	}
	return b.b.String()
}
