package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/file"
	"github.com/dsrun/dsrun/engine/providers/local"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
)

// faulty is a store whose keys say what goes wrong: "bad" fails, "denied" is denied, "late" takes too long, "wait"
// interrupts the program and waits for its end, and listing "half/" fails on its second page.
type faulty struct {
	store.Driver
	interrupt func()
}

func (d *faulty) touch(ctx context.Context, key string) error {
	switch strings.TrimSuffix(filepath.Base(key), ".txt") {
	case "bad":
		return fault.New(fault.DataLoss, "broken on purpose")
	case "pipe": // as a connection that the other side closed
		return &fault.Error{Class: fault.Class{Code: fault.DataLoss}, Err: syscall.EPIPE}
	case "denied":
		return fault.New(fault.PermissionDenied, "denied on purpose")
	case "late":
		return &fault.Error{Class: fault.Class{Code: fault.DeadlineExceeded, NoRetry: true}, Err: context.DeadlineExceeded}
	case "wait":
		d.interrupt()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (d *faulty) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	if err := d.touch(ctx, key); err != nil {
		return store.Object{}, err
	}
	return d.Driver.Get(ctx, key, o)
}

func (d *faulty) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := d.touch(ctx, key); err != nil {
		return store.Entry{}, err
	}
	return d.Driver.Stat(ctx, key, c)
}

func (d *faulty) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.touch(ctx, key); err != nil {
		return err
	}
	return d.Driver.Delete(ctx, key, c)
}

func (d *faulty) List(ctx context.Context, q store.Query) (store.Page, error) {
	if !strings.HasPrefix(q.Prefix, "half/") {
		return d.Driver.List(ctx, q)
	}
	if q.Token != "" || q.After != "" {
		return store.Page{}, fault.New(fault.DataLoss, "the second page is broken on purpose")
	}
	q.Max = 1
	return d.Driver.List(ctx, q)
}

type faultyOptions struct{}

func (*faultyOptions) Fields(*schema.Fields) {}

// deaf is a topic that accepts nothing of type "bad", is denied "denied" and waits for "wait".
type deaf struct{ d *faulty }

func (t deaf) Publish(ctx context.Context, ms []event.Message) error {
	for _, m := range ms {
		if err := t.d.touch(ctx, m.Type); err != nil {
			return err
		}
	}
	return nil
}
func (deaf) Limits() event.Limits           { return event.Limits{} }
func (deaf) Check(context.Context) error    { return nil }
func (deaf) Classify(err error) fault.Class { return fault.ClassOf(err) }
func (deaf) Close() error                   { return nil }

// faultyWorld runs one command line against faulty stores "a" and "b", a good one "good", and a faulty topic "t".
func faultyWorld(t *testing.T, args []string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"dsrun.hcl":     "datastore \"faulty\" \"a\" {}\ndatastore \"faulty\" \"b\" {}\ndatastore \"memory\" \"ro\" { mode = \"read\" }\ntopic \"deaf\" \"t\" {}\n",
		"invalid.hcl":   "datastore \"nope\" \"a\" {}\n",
		"limits.hcl":    "settings { max_steps = 100000 }\n",
		"ok.star":       "print(ds.a.read_text('ok'))\n",
		"bad.star":      "ds.a.read_text('bad')\n",
		"pipe.star":     "ds.a.read_text('pipe')\n",
		"some.star":     "ds.a.copy('many/*', ds.b, on_error = 'fail')\n",
		"half.star":     "print(ds.a.list('half/**').count())\n",
		"none.star":     "print(ds.a.list('none/**').count())\n",
		"skip.star":     "ds.a.write_text('ok', 'x', overwrite = True)\nds.a.copy('ok', ds.a, prefix = 'copied/')\nprint(ds.a.copy('ok', ds.a, prefix = 'copied/').skipped)\n",
		"wait.star":     "ds.a.read_text('wait')\n",
		"limit.star":    "for i in range(1000000000):\n    pass\n",
		"late.star":     "ds.a.read_text('late')\n",
		"denied.star":   "ds.a.read_text('denied')\n",
		"usage.star":    "def main(n):\n    pass\n",
		"syntax.star":   "def main(:\n",
		"unformed.star": "x   =  1\n",
		"events.jsonl":  "{\"n\": 1}\nnot json\n",
		"empty.jsonl":   "",
	} {
		write(t, dir, name, text)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	interrupt := func() { signals <- os.Interrupt }
	open := func(ctx context.Context, env provider.Env, _ *faultyOptions) (store.Driver, error) {
		d := memory.New(env.Name, 1<<20, env.Clock)
		if env.Name == "a" {
			for _, key := range []string{"ok", "ok.txt", "many/1.txt", "many/bad.txt", "many/3.txt", "half/1.txt", "half/2.txt", "wait", "bad", "slow/wait", "slow/x"} {
				if _, err := d.Put(ctx, key, store.BytesBody([]byte("hello")), store.PutOptions{}); err != nil {
					return nil, err
				}
			}
		}
		return &faulty{d, interrupt}, nil
	}
	w := testWorld(dir, args)
	var out, errs bytes.Buffer
	w.Stdout, w.Stderr, w.Signals, w.StateDir, w.Clock = &out, &errs, signals, filepath.Join(dir, ".state"), clock.Real
	w.Providers = func() *provider.Registry {
		return provider.NewRegistry(local.Provider(), memory.Provider(), file.Provider(),
			provider.Store("faulty", "Fails on purpose.", open),
			provider.Topic("deaf", "Fails on purpose.", func(context.Context, provider.Env, *faultyOptions) (event.Driver, error) {
				return deaf{&faulty{interrupt: interrupt}}, nil
			}))
	}
	done := make(chan int, 1)
	go func() { done <- Main(w) }()
	select {
	case code = <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("dsrun %s: does not end", strings.Join(args, " "))
	}
	return code, out.String(), errs.String()
}

// TestExitCodes holds the table of the README for every command: done 0, failed 1, wrong input 2, limits 3, denied 4,
// interrupted 130. With --json errors are one JSON object a line on standard error, and standard output holds data only.
func TestExitCodes(t *testing.T) {
	cases := []struct {
		code int
		line string
	}{
		{0, "run ok.star"}, {1, "run bad.star"}, {1, "run some.star"}, {1, "run half.star"}, {0, "run none.star"},
		{0, "run skip.star"}, {130, "run wait.star"}, {3, "run limit.star -c limits.hcl"}, {3, "run late.star"},
		{4, "run denied.star"}, {2, "run usage.star"}, {2, "run usage.star --n 1 --m 2"}, {2, "run syntax.star"},
		{2, "run ok.star -c invalid.hcl"}, {2, "run nothere.star"}, {2, "run folder"}, {2, "run"}, {2, "run ok.star -c nothere"},
		{1, "run pipe.star"}, {2, "run ok.star --untrusted"}, {0, "run ok.star --dry-run"}, {2, "run ok.star --var"},

		{0, "cp a:ok b:ok"}, {1, "cp -r a:many/ b:"}, {1, "cp -r a:many/ b: --keep-going"}, {1, "cp -r a:half/ b:"},
		{1, "cp -r a:half/ b: --keep-going"}, {0, "cp -r a:none/ b:"}, {1, "cp -r a:none/ b: --fail-empty"},
		{0, "cp a:none/** b:"}, {1, "cp a:none b:"}, {0, "cp a:ok a:many/1.txt"}, {130, "cp -r a:slow/ b:"},
		{130, "cp -r a:slow/ b: --keep-going"}, {3, "cp a:late b:"}, {4, "cp a:denied b:"}, {4, "cp a:ok ro:ok"},
		{1, "cp a:pipe b:"}, {2, "cp a:ok"}, {2, "cp a:ok b: --workers -1"}, {2, "cp a:ok b: --bogus"}, {2, "cp a:ok b: -c invalid.hcl"},
		{2, "cp a b:"}, {1, "cp a:ok nope:"}, {0, "cp a:ok b:x --dry-run"}, {4, "cp a:ok ro:ok --dry-run"},

		{0, "rm a:ok"}, {1, "rm -r a:many/"}, {1, "rm -r a:half/"}, {0, "rm -r a:none/"}, {1, "rm -r a:none/ --fail-empty"},
		{0, "rm -r a:none/**"}, {1, "rm a:none"}, {0, "rm a:none --missing-ok"}, {130, "rm -r a:slow/"}, {3, "rm a:late"},
		{4, "rm a:denied"}, {4, "rm ro:x"}, {2, "rm"}, {2, "rm a:many/"}, {2, "rm a:ok -c invalid.hcl"}, {1, "rm a:ok a:none"},

		{0, "ls"}, {0, "ls a:"}, {0, "ls -r a:many/"}, {1, "ls -r a:half/"}, {1, "ls a:half/"}, {0, "ls a:none/"},
		{1, "ls a:none/ --fail-empty"}, {130, "ls a:wait"}, {3, "ls a:late"}, {4, "ls a:denied"}, {2, "ls a: b:"},
		{2, "ls a: --bogus"}, {2, "ls -c invalid.hcl"}, {1, "ls nope:"}, {2, "ls a"}, {1, "ls s3://bucket/x"},

		{0, "cat a:ok.txt"}, {1, "cat a:ok.txt a:bad.txt"}, {1, "cat a:many/*"}, {1, "cat a:half/*"}, {0, "cat a:none/*"}, {1, "cat a:none"},
		{1, "cat a:none/* --fail-empty"}, {130, "cat a:wait"}, {3, "cat a:late"}, {4, "cat a:denied"}, {1, "cat a:pipe"},
		{2, "cat"}, {2, "cat a:many/"}, {2, "cat a:ok -c invalid.hcl"},

		{0, "stat a:ok"}, {1, "stat a:ok a:bad"}, {1, "stat a:none"}, {130, "stat a:wait"}, {3, "stat a:late"},
		{4, "stat a:denied"}, {2, "stat"}, {2, "stat a:ok -c invalid.hcl"},

		{0, "publish t --type ok"}, {1, "publish t --type bad"}, {1, "publish t --type ok --file events.jsonl"},
		{0, "publish t --type ok --file empty.jsonl"}, {130, "publish t --type wait"}, {3, "publish t --type late"},
		{4, "publish t --type denied"}, {2, "publish t"}, {2, "publish"}, {1, "publish nope --type x"}, {2, "publish t --type x --data {"},
		{2, "publish t --type x -c invalid.hcl"}, {0, "publish t --type bad --dry-run"}, {1, "publish t --type pipe"},

		{0, "validate"}, {0, "validate ok.star"}, {2, "validate ok.star syntax.star"}, {2, "validate nothere.star"},
		{2, "validate -c invalid.hcl"}, {2, "validate -c nothere"}, {2, "validate --bogus"}, {2, "validate -c folder"},

		{0, "fmt none.star"}, {0, "fmt unformed.star"}, {1, "fmt --check unformed.star"}, {2, "fmt syntax.star"},
		{2, "fmt --check ok.star syntax.star"}, {2, "fmt nothere.star"}, {2, "fmt events.jsonl"}, {0, "fmt folder"}, {2, "fmt --bogus"},

		{0, "version"}, {0, "schema"}, {2, "schema datastore nope"}, {2, "nope"}, {0, "--help"}, {0, "cp --help"},
		{2, "--log-level loud ls"}, {2, "run ok.star --run-id \x1b[2J"}, {2, "publish t --type x --run-id \x07"}, {2, "ls --var x"}, {2, "ls --var x=1"},
	}
	for _, c := range cases {
		for _, asJSON := range []bool{false, true} {
			args := strings.Fields(c.line)
			if asJSON {
				args = append(args, "--json")
			}
			t.Run(strings.ReplaceAll(strings.Join(args, " "), "/", "|"), func(t *testing.T) {
				t.Parallel()
				code, stdout, stderr := faultyWorld(t, args)
				if code != c.code {
					t.Errorf("exit code %d, want %d\n%s", code, c.code, stderr)
				}
				if code != 0 && stderr == "" {
					t.Error("nothing is said")
				}
				if code == 0 && strings.Contains(stderr, "error") {
					t.Errorf("done, yet %s", stderr)
				}
				if !asJSON {
					if strings.Contains(stdout, "error:") {
						t.Errorf("an error among the data: %s", stdout)
					}
					return
				}
				errs := jsonLines(t, "stderr", stderr)
				if code != 0 && (len(errs) == 0 || errs[len(errs)-1]["error"] == nil) {
					t.Errorf("the last line is no error: %s", stderr)
				}
				if !strings.Contains(c.line, "--help") && args[0] != "run" && args[0] != "cat" && args[0] != "schema" {
					jsonLines(t, "stdout", stdout)
				}
			})
		}
	}
}

// jsonLines checks that every line is one JSON object.
func jsonLines(t *testing.T, what, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%s: %v: %s", what, err, line)
		}
		all = append(all, v)
	}
	return all
}

// fullWriter fails like a full disk behind a redirection.
type fullWriter struct{ err error }

func (w fullWriter) Write([]byte) (int, error) { return 0, w.err }

// TestUnprintedIsAnError: what could not be printed is not done; a reader that has seen enough is no error.
func TestUnprintedIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL)
	write(t, dir, "p.star", "catch(print, 'x')\n")
	write(t, dir, "a.csv", "a\n1\n")
	for _, line := range []string{"ls ./", "cat ./a.csv", "cat --json ./a.csv", "stat ./a.csv", "stat --json ./a.csv", "ls",
		"cp ./a.csv out:b --json", "run p.star", "version", "schema", "validate", "--help", "run p.star --help"} {
		for want, err := range map[int]error{1: syscall.ENOSPC, 0: syscall.EPIPE} {
			w := testWorld(dir, strings.Fields(line))
			var stderr bytes.Buffer
			w.Stdout, w.Stderr = fullWriter{err}, &stderr
			if got := Main(w); got != want {
				t.Errorf("%s with %v: exit code %d, want %d: %s", line, err, got, want, fmt.Sprint(&stderr))
			}
		}
	}
}
