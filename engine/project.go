package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/record"
)

// Project is a loaded configuration. Stores and topics are opened when they are first asked for, once, and stay open
// until Close. It is safe for concurrent use.
type Project struct {
	e      *Engine
	cfg    *config.Config
	src    Source
	stats  *store.Stats
	events atomic.Int64 // accepted

	stores      lazy[*store.Store]
	topics      lazy[*event.Topic]
	credentials lazy[credential.Source]

	budget *store.Budget
	record *record.Recording // nil: nothing is recorded

	stateOnce sync.Once
	state     *state.State
	stateErr  error

	rootOnce sync.Once
	root     *os.Root
	rootErr  error
}

func newProject(e *Engine, cfg *config.Config, src Source) *Project {
	return &Project{e: e, cfg: cfg, src: src, stats: &store.Stats{}, budget: store.NewBudget(transferMemory)}
}

// transferMemory bounds what the transfers of a project hold in memory together.
const transferMemory = 256 << 20

// Config returns the declarations.
func (p *Project) Config() *config.Config { return p.cfg }

// Stats counts what the project's stores did so far.
func (p *Project) Stats() *store.Stats { return p.stats }

// Events is how many events the project's topics have accepted so far.
func (p *Project) Events() int64 { return p.events.Load() }

// Store returns the named datastore, opening it if needed.
func (p *Project) Store(ctx context.Context, name string) (*store.Store, error) {
	d, err := p.find(provider.KindStore, name)
	if err != nil {
		return nil, err
	}
	return p.stores.get(ctx, name, func(ctx context.Context) (*store.Store, error) {
		driver, common, err := p.openStore(ctx, d)
		if err != nil {
			return nil, err
		}
		if p.record != nil {
			driver = p.record.Wrap(name, d.Type, driver)
		}
		return p.newStore(d, driver, common), nil
	})
}

// Record lets a recording keep what datastores answer from here on. Call it before the first of them is opened.
func (p *Project) Record(r *record.Recording) { p.record = r }

// Topic returns the named topic, opening it if needed.
func (p *Project) Topic(ctx context.Context, name string) (*event.Topic, error) {
	return p.topic(ctx, name, "", watch{})
}

func (p *Project) topic(ctx context.Context, name, runID string, w watch) (*event.Topic, error) {
	d, err := p.find(provider.KindTopic, name)
	if err != nil {
		return nil, err
	}
	return p.topics.get(ctx, runID+"\x00"+name, func(ctx context.Context) (*event.Topic, error) {
		driver, common, err := p.openTopic(ctx, d)
		if err != nil {
			return nil, err
		}
		return p.newTopic(d, driver, common, runID, nil, w)
	})
}

// find returns the declaration of a name, or NotFound with the nearest name as a hint.
func (p *Project) find(kind, name string) (*config.Decl, error) {
	if d, ok := p.cfg.Lookup(kind, name); ok {
		return d, nil
	}
	hint := fmt.Sprintf("Declare it: %s \"KIND\" %q { ... }.", kind, name)
	if s := config.Suggest(name, p.cfg.Names(kind)); s != "" {
		hint = fmt.Sprintf("Did you mean %q?", s)
	} else if len(p.cfg.Names(kind)) == 0 {
		hint = fmt.Sprintf("No %s is declared. Give the configuration with -c, or declare one: %s \"KIND\" %q { ... }.", kind, kind, name)
	}
	return nil, &fault.Error{Op: "open", Resource: name,
		Class: fault.Class{Code: fault.NotFound, Hint: hint}, Err: fmt.Errorf("no %s of that name is declared", kind)}
}

// State returns the project's durable facts, opening the folder if needed.
func (p *Project) State() (*state.State, error) {
	p.stateOnce.Do(func() {
		dir := p.cfg.Settings.StateDir
		if dir == "" {
			dir = p.e.o.StateDir
		}
		if dir == "" {
			p.stateErr = fault.Hinted(fault.FailedPrecondition, "Set settings { state_dir = ... }.", "no folder for durable facts is known")
			return
		}
		p.state, p.stateErr = state.Open(dir)
	})
	return p.state, p.stateErr
}

// projectRoot opens the project's folder, for load().
func (p *Project) projectRoot() (*os.Root, error) {
	p.rootOnce.Do(func() {
		if p.src.Dir == "" {
			p.rootErr = fault.New(fault.NotFound, "the script has no folder to load from")
			return
		}
		p.root, p.rootErr = p.e.o.OpenRoot(p.src.Dir)
	})
	return p.root, p.rootErr
}

// Close closes every store and topic. What topics still hold is sent first.
func (p *Project) Close() error {
	var errs []error
	for _, t := range p.topics.take() {
		errs = append(errs, t.Close())
	}
	for _, s := range p.stores.take() {
		errs = append(errs, s.Close())
	}
	if p.root != nil {
		errs = append(errs, p.root.Close())
	}
	if p.state != nil {
		errs = append(errs, p.state.Close())
	}
	return errors.Join(errs...)
}

// readFile reads a file for the configuration's file() function, below the folder of the file that calls it.
func (e *Engine) readFile(dir, path string) ([]byte, error) {
	if dir == "" {
		return nil, fault.New(fault.NotFound, "the configuration has no folder to read from")
	}
	if filepath.IsAbs(path) {
		return nil, fault.Hinted(fault.InvalidArgument, "Give a path below the configuration's folder.", "%s is absolute", path)
	}
	root, err := e.o.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return readBounded(root, path, maxFile)
}

// maxFile bounds what file() reads.
const maxFile = 1 << 20

// resolveRef returns the source of a credential that another block refers to.
func (p *Project) resolveRef(ctx context.Context, ref schema.Ref) (credential.Source, error) {
	d, ok := p.cfg.Find(ref)
	if !ok {
		return nil, fault.New(fault.NotFound, "%s is not declared", ref)
	}
	return p.credential(ctx, d)
}
