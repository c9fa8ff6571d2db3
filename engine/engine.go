// Package engine wires declarations to drivers and scripts to both. It is the package that embedders import.
//
//	eng := engine.New(engine.Options{Providers: providers.All(), Stdout: os.Stdout})
//	project, diags := eng.Load(engine.Source{Files: files})
//	err := project.Run(ctx, engine.Script{Name: "check.star", Source: src})
package engine

import (
	"io"
	"log/slog"
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/retry"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/starlib"
)

// Options are what an Engine knows of the world. The zero value of every field but Providers works.
type Options struct {
	Providers *provider.Registry
	Functions []*starlib.Function // more functions for scripts
	Stdout    io.Writer           // print(); nil discards
	TTY       bool                // Stdout is a terminal
	Log       *slog.Logger        // log.info and our own messages; nil discards
	Clock     clock.Clock
	LookupEnv func(string) (string, bool) // nil: an empty environment
	Environ   func() []string             // for commands of secret::exec(); nil: an empty environment
	Redactor  *secret.Redactor            // masks secrets in what is printed; nil makes one
	StateDir  string                      // unless settings say otherwise; "" means no state
	TempDir   string                      // for spilled parts, unless settings say otherwise
	Version   string                      // checked against required_version
	Limits    starlib.Limits              // of a run, unless settings say otherwise; the zero value is starlib.DefaultLimits
	Retry     retry.Policy
	OpenRoot  func(dir string) (*os.Root, error) // nil means os.OpenRoot
}

// Engine loads projects. It is safe for concurrent use.
type Engine struct{ o Options }

// New returns an engine.
func New(o Options) *Engine {
	if o.Providers == nil {
		o.Providers = provider.NewRegistry()
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.LookupEnv == nil {
		o.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if o.Environ == nil {
		o.Environ = func() []string { return nil }
	}
	if o.Redactor == nil {
		o.Redactor = secret.NewRedactor()
	}
	if o.OpenRoot == nil {
		o.OpenRoot = os.OpenRoot
	}
	if o.Limits == (starlib.Limits{}) {
		o.Limits = starlib.DefaultLimits
	}
	return &Engine{o: o}
}

// Redactor is what masks secrets in the engine's outputs; whoever prints on its behalf passes through it too.
func (e *Engine) Redactor() *secret.Redactor { return e.o.Redactor }

// Providers is the registry the engine was made with.
func (e *Engine) Providers() *provider.Registry { return e.o.Providers }

// Source is a configuration as read, and the values given from outside.
type Source struct {
	Files    []config.File     // the main files, then the overrides
	Dir      string            // the project's folder, absolute, for load(); "" means that scripts load nothing
	Env      string            // name of the environment, run.env in scripts
	Vars     map[string]string // highest
	VarFiles []config.File     // files of values, lowest first
	DryRun   bool              // opening a datastore makes nothing, not even its folder
}

// File returns a configuration file held in memory. Relative paths in it are relative to dir.
func File(name, dir, text string) config.File {
	return config.File{Name: name, Dir: dir, Bytes: []byte(text)}
}

// Load reads declarations. It is offline: nothing is opened, and no secret is read. With errors among the diagnostics
// the project serves only to show them (see Project.Diags).
func (e *Engine) Load(src Source) (*Project, hcl.Diagnostics) {
	cfg, diags := config.Load(src.Files, config.Options{
		Schemas: e.o.Providers, Env: src.Env, Vars: src.Vars, VarFiles: src.VarFiles,
		EnvVar: e.o.LookupEnv, ReadFile: e.readFile, Version: e.o.Version, Seen: e.o.Redactor.Add,
	})
	p := newProject(e, cfg, src)
	return p, append(diags, p.unsupported()...)
}
