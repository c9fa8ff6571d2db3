package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/record"
	"github.com/dsrun/dsrun/starlib"
)

// TestRunID is the id of every run of a test, so that its events have the same ids each time.
const TestRunID = "test"

// Test is one run of one function of a test file. Nothing outside of the process is reached: each declared datastore is
// an empty one in memory, or what was recorded of it, and topics keep what is published. No secret is evaluated. Golden
// files and fixtures are read below Dir.
type Test struct {
	Name   string // of the file, as messages show it
	Dir    string // the file's folder, absolute
	Func   string
	Update bool           // golden files are written instead of compared
	Replay *record.Replay // what datastores answer with; nil: they are empty
	Stdout io.Writer      // print(); nil discards
	Log    *slog.Logger   // log.info and its like; nil discards
}

// RunTest runs a function of a test file that ParseTest made. Its error is a *starlib.ScriptError.
func (p *Project) RunTest(ctx context.Context, program *starlib.Program, t Test) error {
	h := &testHost{t: t, host: &host{p: p, info: starlib.RunInfo{ID: TestRunID, Env: p.src.Env, Script: t.Name, Started: p.e.o.Clock.Now()}}}
	h.clock.Clock = p.e.o.Clock
	base := p.scriptBase(t.Dir)
	if filepath.IsAbs(base) {
		h.beside = base
	}
	if t.Stdout == nil {
		t.Stdout = io.Discard
	}
	out := p.e.o.Redactor.Writer(t.Stdout)
	err := program.Run(ctx, starlib.RunOptions{Host: h, Base: filepath.ToSlash(base), Func: t.Func, Stdout: out, Limits: p.Limits(t.Name), Clock: &h.clock})
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if cerr := h.close(); err == nil {
		err = cerr
	}
	return err
}

// testHost is what a test sees of its project.
type testHost struct {
	*host
	t      Test
	stores lazy[*store.Store]
	events lazy[*event.Topic]
	sent   recorder
	clock  testClock
}

// testClock is the engine's clock until a test sets the time. Waits take none from then on.
type testClock struct {
	clock.Clock
	set atomic.Pointer[clock.Fake]
}

func (c *testClock) Now() time.Time {
	if f := c.set.Load(); f != nil {
		return f.Now()
	}
	return c.Clock.Now()
}

func (c *testClock) After(d time.Duration) <-chan time.Time {
	if f := c.set.Load(); f != nil {
		return f.After(d)
	}
	return c.Clock.After(d)
}

// SetNow implements starlib.TestHost.
func (h *testHost) SetNow(now time.Time) { h.clock.set.Store(clock.NewFake(now)) }

var _ starlib.TestHost = (*testHost)(nil)

// Store returns the stand-in of a datastore. Prefix, mode and limits are as declared, as far as they are known without
// secrets.
func (h *testHost) Store(ctx context.Context, name string) (*store.Store, error) {
	d, err := h.p.find(provider.KindStore, name)
	if err != nil {
		return nil, err
	}
	return h.stores.get(ctx, name, func(ctx context.Context) (*store.Store, error) {
		if h.t.Replay != nil {
			driver, err := h.t.Replay.Driver(name)
			if err != nil {
				return nil, h.p.opened(d, err)
			}
			return h.p.newStore(d, store.Overlay(driver), d.Common), nil
		}
		pr, options, err := h.standIn(d)
		if err != nil {
			return nil, err
		}
		driver, err := pr.OpenStore(ctx, h.env(d), options)
		if err != nil {
			return nil, h.p.opened(d, err)
		}
		return h.p.newStore(d, driver, d.Common), nil
	})
}

// standIn returns the kind "memory", with the options of a block that is of this kind.
func (h *testHost) standIn(d *config.Decl) (provider.Provider, schema.Fielder, error) {
	pr, ok := h.p.e.o.Providers.Get(d.Kind, "memory")
	if !ok {
		return pr, nil, fault.New(fault.Unimplemented, "this build has no %s \"memory\" for tests", d.Kind)
	}
	if d.Type == "memory" {
		return pr, d.Options, nil
	}
	options, _ := pr.Body.Declare()
	return pr, options, nil
}

func (h *testHost) env(d *config.Decl) provider.Env {
	o := h.p.e.o
	return provider.Env{Name: d.Name, Clock: &h.clock, Budget: h.p.budget, Log: o.Log, Redactor: o.Redactor}
}

// Topic returns a topic that keeps what is published. Its schema and source are as declared.
func (h *testHost) Topic(ctx context.Context, name string) (*event.Topic, error) {
	d, err := h.p.find(provider.KindTopic, name)
	if err != nil {
		return nil, err
	}
	return h.events.get(ctx, name, func(ctx context.Context) (*event.Topic, error) {
		pr, options, err := h.standIn(d)
		if err != nil {
			return nil, err
		}
		driver, err := pr.OpenTopic(ctx, h.env(d), options)
		if err != nil {
			return nil, h.p.opened(d, err)
		}
		o := event.Options{Source: d.Common.Source, RunID: h.info.ID, Description: d.Common.Description, Clock: &h.clock,
			Redactor: h.p.e.o.Redactor, DryRun: func(m event.Message) { h.sent.add(name, m, nil) }}
		if d.Common.Schema != "" {
			if o.Check, err = event.Schema([]byte(d.Common.Schema)); err != nil {
				return nil, h.p.opened(d, errorsJoinClose(err, driver))
			}
		}
		return event.New(d.Name, d.Type, driver, o), nil
	})
}

// Events implements starlib.TestHost.
func (h *testHost) Events(topic string) ([]event.Message, error) {
	if _, err := h.p.find(provider.KindTopic, topic); err != nil {
		return nil, err
	}
	var out []event.Message
	for _, e := range h.sent.taken() {
		if e.Topic == topic {
			out = append(out, e.Message)
		}
	}
	return out, nil
}

// Log implements starlib.Host.
func (h *testHost) Log(ctx context.Context, level, msg string, fields []starlib.Field) {
	if h.t.Log != nil {
		logTo(ctx, h.t.Log, level, msg, fields)
	}
}

// Place implements starlib.TestHost.
func (h *testHost) Place(ctx context.Context, name, key string, content []byte) error {
	return h.place(ctx, name, key, store.BytesBody(content), store.Attributes{})
}

// place puts an object into the stand-in itself, since the datastore's mode binds scripts only.
func (h *testHost) place(ctx context.Context, name, key string, body store.Body, attrs store.Attributes) error {
	s, err := h.Store(ctx, name)
	if err != nil {
		return err
	}
	d := s.Driver()
	if _, err = d.Put(ctx, s.Prefix()+key, body, store.PutOptions{Attrs: attrs}); err != nil {
		return fault.Wrap("put", name, key, d.Classify(err), err)
	}
	return nil
}

// Fixture implements starlib.TestHost. A link to a folder is an error: a fixture that is silently missing would make a
// test lie.
func (h *testHost) Fixture(ctx context.Context, name, from, prefix string) (int, error) {
	root, err := h.files(from)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	info, err := root.Stat(from)
	if err != nil {
		return 0, noFile(h.shown(from), err)
	}
	if info.Mode().IsRegular() {
		return 1, h.place(ctx, name, prefix+path.Base(filepath.ToSlash(from)), fileBody{root, from, info.Size()}, store.Attributes{Modified: info.ModTime()})
	}
	sub, err := root.OpenRoot(from)
	if err != nil {
		return 0, noFile(h.shown(from), err)
	}
	defer sub.Close()
	n := 0
	err = fs.WalkDir(sub.FS(), ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := sub.Stat(file)
		switch {
		case err != nil:
			return err
		case info.IsDir() && e.Type()&fs.ModeSymlink != 0:
			return fault.New(fault.InvalidArgument, "%s in %s is a link to a folder", file, from)
		case !info.Mode().IsRegular():
			return nil
		}
		n++
		return h.place(ctx, name, prefix+file, fileBody{sub, file, info.Size()}, store.Attributes{Modified: info.ModTime()})
	})
	return n, err
}

// fileBody is a file as a body.
type fileBody struct {
	root *os.Root
	name string
	size int64
}

func (f fileBody) Size() int64                                 { return f.size }
func (f fileBody) Replayable() bool                            { return true }
func (f fileBody) Open(context.Context) (io.ReadCloser, error) { return f.root.Open(f.name) }

// maxGolden bounds a golden file, in bytes.
const maxGolden = 16 << 20

// Golden implements starlib.TestHost.
func (h *testHost) Golden(name string, got []byte) ([]byte, error) {
	root, err := h.files(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if !h.t.Update {
		b, err := readBounded(root, name, maxGolden)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Hinted(fault.NotFound, "dsrun test --update makes it.", "there is no golden file %s", h.shown(name))
		}
		return b, err
	}
	if len(got) > maxGolden {
		return nil, fault.New(fault.Limit, "the value has %d bytes, a golden file at most %d", len(got), maxGolden)
	}
	if old, err := readBounded(root, name, maxGolden); err == nil && string(old) == string(got) {
		return got, nil
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	temp := name + ".new"
	if err := root.WriteFile(temp, got, 0o644); err != nil {
		return nil, err
	}
	return got, root.Rename(temp, name)
}

// files opens the folder of the test file for a path below it.
func (h *testHost) files(name string) (*os.Root, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fault.Hinted(fault.InvalidArgument, "Give a path below the folder of the test file.", "%s leads out of the folder of %s", name, h.t.Name)
	}
	return h.p.e.o.OpenRoot(h.t.Dir)
}

// shown is a path below the folder of the test file as messages show it.
func (h *testHost) shown(name string) string {
	return filepath.ToSlash(filepath.Join(filepath.Dir(h.t.Name), name))
}

func noFile(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Hinted(fault.NotFound, "Fixtures count from the folder of the test file.", "there is no %s", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (h *testHost) close() error {
	var errs []error
	for _, s := range h.stores.take() {
		errs = append(errs, s.Close())
	}
	for _, t := range h.events.take() {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
