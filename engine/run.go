package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/telemetry"
	"github.com/dsrun/dsrun/starlib"
)

// Script is one run of one script.
type Script struct {
	Name   string            // as shown in messages and in run.script
	Dir    string            // its folder, absolute, which load() of relative names counts from; "" is that of Name below the project's
	Source []byte            // the text
	Args   map[string]string // main()'s parameters, as text
	RunID  string            // "" makes one
	DryRun bool              // nothing is written or sent; what would be is recorded in Plan
	Plan   *Plan             // receives what a dry run would have done; may be nil
	// Manifest receives what the run reads, writes and publishes; may be nil. Its digest of the script is that of Source.
	Manifest *Manifest
	// Telemetry reports the run to a collector; may be nil. See Project.Telemetry.
	Telemetry *telemetry.Telemetry
}

// Run runs a script to its end. Its error is a *starlib.ScriptError, whose chain holds the fault.
func (p *Project) Run(ctx context.Context, s Script) error {
	program, err := starlib.Parse(s.Name, s.Source, p.e.o.Functions...)
	if err != nil {
		return err
	}
	return p.RunProgram(ctx, program, s)
}

// RunProgram runs a script that was parsed before.
func (p *Project) RunProgram(ctx context.Context, program *starlib.Program, s Script) (err error) {
	session := p.Session(s)
	if m := s.Manifest; m != nil {
		m.begin(p, s, runInfo{session.host.info.ID, session.host.info.Started})
		session.host.watch.manifest = m
		defer func() { m.end(p.e.o.Clock.Now(), err) }()
	}
	base := p.scriptBase(s.Dir)
	if filepath.IsAbs(base) {
		session.host.beside = base
	}
	if t := s.Telemetry; t != nil {
		session.host.watch.telemetry = t
		if err := t.Count(p.stats, p.Events); err != nil {
			return err
		}
		var end func(error)
		ctx, end = t.Run(ctx, s.Name, session.host.info.ID, p.src.Env, s.DryRun)
		defer func() { end(err) }()
	}
	out := p.e.o.Redactor.Writer(p.e.o.Stdout)
	err = p.validateStores(ctx, session)
	if err == nil && !s.DryRun {
		err = p.flushOutboxes(ctx, session.host.info.ID, session.host.watch)
	}
	if err == nil {
		err = program.Run(ctx, starlib.RunOptions{
			Host: session.host, Base: filepath.ToSlash(base), Args: s.Args, Stdout: out, TTY: p.e.o.TTY, Limits: p.Limits(s.Name), Clock: p.e.o.Clock,
		})
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if cerr := session.host.close(ctx, s.Plan); err == nil {
		err = cerr
	}
	return err
}

// Session is the scope of one run: its id, and in a dry run what would have been done. Use Run for scripts; a Session
// serves Go code that acts as one.
type Session struct{ host *host }

// Session begins a run that the caller carries out itself. Only s.Name, s.RunID and s.DryRun matter.
func (p *Project) Session(s Script) *Session {
	if s.RunID == "" {
		s.RunID = NewRunID(p.e.o.Clock.Now())
	}
	return &Session{&host{p: p, dry: s.DryRun, info: starlib.RunInfo{
		ID: s.RunID, Env: p.src.Env, Script: s.Name, Started: p.e.o.Clock.Now(), DryRun: s.DryRun}}}
}

// Store returns the named datastore; in a dry run, one that keeps changes to itself.
func (s *Session) Store(ctx context.Context, name string) (*store.Store, error) {
	return s.host.Store(ctx, name)
}

// Topic returns the named topic, whose events get their ids from the run's; in a dry run, one that sends nothing.
func (s *Session) Topic(ctx context.Context, name string) (*event.Topic, error) {
	return s.host.Topic(ctx, name)
}

// Close ends the run and fills plan, which may be nil, with what a dry run would have done.
func (s *Session) Close(plan *Plan) error { return s.host.close(context.Background(), plan) }

// validateStores looks at the datastores that ask for it before a script starts.
func (p *Project) validateStores(ctx context.Context, s *Session) error {
	for _, d := range p.cfg.Decls {
		if d.Kind != provider.KindStore || !d.Common.Validate {
			continue
		}
		st, err := s.Store(ctx, d.Name)
		if err != nil {
			return err
		}
		if err := st.Check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Limits are what bounds a script of the given name: the engine's, then those of the settings, then those of the script's own block, the later ones winning.
func (p *Project) Limits(script string) starlib.Limits {
	l := p.e.o.Limits
	s := p.cfg.Settings
	if s.MaxSteps > 0 {
		l.Steps = uint64(s.MaxSteps)
	}
	if s.MemoryLimit > 0 {
		l.Memory = s.MemoryLimit
	}
	if s.Timeout > 0 {
		l.Timeout = s.Timeout
	}
	for _, b := range p.cfg.Scripts {
		if ok, _ := doublestar.Match(b.Glob, script); !ok {
			continue
		}
		if b.Limits.Steps > 0 {
			l.Steps = uint64(b.Limits.Steps)
		}
		if b.Limits.Memory > 0 {
			l.Memory = b.Limits.Memory
		}
		if b.Limits.Timeout > 0 {
			l.Timeout = b.Limits.Timeout
		}
	}
	return l
}

// NewRunID makes the id of a run: its start in UTC and 32 random bits, so that ids sort by time.
func NewRunID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// host is what one run sees of its project.
type host struct {
	p    *Project
	dry  bool
	info starlib.RunInfo
	// beside is the folder of an entry script that stands outside of the project's folder, absolute, or "".
	beside string

	overlays lazy[*overlaid]
	recorded recorder
	watch    watch
	watched  lazy[*store.Store]
}

type overlaid struct {
	*store.Store
	overlay *store.OverlayDriver
}

// watch is who is told of what a run does.
type watch struct {
	manifest  *Manifest
	telemetry *telemetry.Telemetry
}

// store returns s with what watches it.
func (w watch) store(s *store.Store) *store.Store {
	var witness func(store.Act)
	if w.manifest != nil {
		witness = w.manifest.witness
	}
	var layers []store.Interceptor
	if w.telemetry != nil {
		layers = append(layers, w.telemetry.Layer(s.Kind()))
	}
	return s.Watched(witness, layers...)
}

var _ starlib.Host = (*host)(nil)

func (h *host) Store(ctx context.Context, name string) (*store.Store, error) {
	if !h.dry && h.watch != (watch{}) {
		return h.watched.get(ctx, name, func(ctx context.Context) (*store.Store, error) {
			s, err := h.p.Store(ctx, name)
			if err != nil {
				return nil, err
			}
			return h.watch.store(s), nil
		})
	}
	if !h.dry {
		return h.p.Store(ctx, name)
	}
	o, err := h.overlays.get(ctx, name, func(ctx context.Context) (*overlaid, error) {
		base, err := h.p.Store(ctx, name)
		if err != nil {
			return nil, err
		}
		overlay := store.Overlay(base.Driver())
		if h.watch != (watch{}) {
			base = h.watch.store(base)
		}
		return &overlaid{Store: base.WithDriver(overlay), overlay: overlay}, nil
	})
	if err != nil {
		return nil, err
	}
	return o.Store, nil
}

func (h *host) Topic(ctx context.Context, name string) (*event.Topic, error) {
	if h.dry {
		return h.dryTopic(ctx, name)
	}
	return h.p.topic(ctx, name, h.info.ID, h.watch)
}

func (h *host) Names(kind string) []string { return h.p.cfg.Names(kind) }
func (h *host) Default(kind string) string {
	if d, ok := h.p.cfg.Default(kind, ""); ok {
		return d.Name
	}
	return ""
}
func (h *host) Info() starlib.RunInfo { return h.info }

func (h *host) Log(ctx context.Context, level, msg string, fields []starlib.Field) {
	logTo(ctx, h.p.e.o.Log, level, msg, fields)
}

func logTo(ctx context.Context, log *slog.Logger, level, msg string, fields []starlib.Field) {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		attrs = append(attrs, slog.Any(f.Name, f.Value))
	}
	log.LogAttrs(ctx, levels[level], msg, attrs...)
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
