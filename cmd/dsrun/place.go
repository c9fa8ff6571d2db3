package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// place is where something is: an open store and a path in it.
type place struct {
	store *store.Store
	path  string
	local bool // a path of this machine that no declared datastore stands for
}

// places opens what the command line names.
type places struct {
	a       *app
	project *engine.Project
}

func (a *app) places() (*places, error) {
	_, project, err := a.load("")
	if err != nil {
		return nil, err
	}
	return &places{a: a, project: project}, nil
}

// open resolves NAME:path, a URI of a declared datastore, or a path of this machine (./x, ../x, /x, ~ is the shell's).
func (p *places) open(ctx context.Context, arg string) (place, error) {
	if isLocal(arg) {
		return p.local(ctx, arg)
	}
	name, path, ok := strings.Cut(arg, ":")
	if !ok {
		return place{}, p.notAPlace(arg)
	}
	// Databricks's addresses have one slash.
	if strings.HasPrefix(path, "//") || name == "dbfs" && strings.HasPrefix(path, "/") && !slices.Contains(p.project.Config().Names(provider.KindStore), name) {
		return p.uri(ctx, arg)
	}
	s, err := p.project.Store(ctx, name)
	return place{store: s, path: path}, err
}

func isLocal(arg string) bool {
	return arg == "." || arg == ".." || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") || filepath.IsAbs(arg)
}

func (p *places) notAPlace(arg string) error {
	hint := "Write NAME:path, a URI, or ./path for a file of this machine."
	names := p.project.Config().Names(provider.KindStore)
	for _, n := range names {
		if n == arg {
			hint = "Write " + n + ": with a colon for the top of the datastore."
		}
	}
	return &usageError{text: arg + " names no place", hint: hint}
}

// local opens the folder of a path of this machine as a store; a folder itself is its own top.
func (p *places) local(ctx context.Context, arg string) (place, error) {
	abs := p.a.abs(arg)
	if dir, err := p.a.w.OpenRoot(abs); err == nil {
		dir.Close()
		s, err := p.project.OpenFolder(ctx, abs)
		return place{store: s, local: true}, err
	}
	s, err := p.project.OpenFolder(ctx, filepath.Dir(abs))
	path := filepath.Base(abs)
	if strings.HasSuffix(arg, "/") {
		path += "/"
	}
	return place{store: s, path: path, local: true}, err
}

// uri finds the declared datastore whose own address is the longest prefix of the URI.
func (p *places) uri(ctx context.Context, uri string) (place, error) {
	if path, ok := strings.CutPrefix(uri, "file://"); ok {
		return p.local(ctx, path)
	}
	s, path, err := p.project.StoreOfURI(ctx, uri)
	if err != nil {
		return place{}, err
	}
	if s == nil {
		scheme, rest, _ := strings.Cut(uri, ":")
		slashes := rest[:len(rest)-len(strings.TrimLeft(rest, "/"))]
		return place{}, fault.Hinted(fault.NotFound, "Declare a datastore that holds it, and give the configuration with -c.",
			"no declared datastore covers %s:%s addresses such as %s", scheme, slashes[:min(len(slashes), 2)], uri)
	}
	return place{store: s, path: path}, nil
}

// isPattern reports whether a path is a glob.
func isPattern(path string) bool { return strings.ContainsAny(path, "*?[{") }
