package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
)

// load finds, reads and loads the configuration. script is the entry script's path, or "".
func (a *app) load(script string) (*engine.Engine, *engine.Project, error) {
	src, err := a.source(script)
	if err != nil {
		return nil, nil, err
	}
	eng := a.engine()
	project, diags := eng.Load(src)
	if err := a.warnOrFail(project, diags); err != nil {
		return nil, nil, err
	}
	a.closers = append(a.closers, project.Close)
	return eng, project, nil
}

// warnOrFail prints warnings; errors become one error.
func (a *app) warnOrFail(project *engine.Project, diags hcl.Diagnostics) error {
	if len(diags) == 0 {
		return nil
	}
	shown := project.Config().Diags(diags)
	if diags.HasErrors() {
		return &engine.DiagnosticsError{Diags: shown}
	}
	a.renderDiags(shown)
	return nil
}

// source reads the configuration files: those of -c, else SCRIPT.hcl beside the script, else dsrun.hcl in the working
// folder or the nearest one above. Without any of them the configuration is empty.
func (a *app) source(script string) (engine.Source, error) {
	src := engine.Source{DryRun: a.dryRun, Env: a.g.env, Vars: map[string]string{}, Dir: a.w.Dir}
	if script != "" {
		src.Dir = filepath.Dir(a.abs(script))
	}
	for _, kv := range a.g.vars {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return src, fault.Hinted(fault.InvalidArgument, "Write --var NAME=VALUE.", "--var %s has no value", kv)
		}
		src.Vars[name] = value
	}
	places := a.g.configs
	if len(places) == 0 {
		p, err := a.defaultConfig(script)
		if err != nil {
			return src, err
		}
		if p != "" {
			places = []string{p}
		}
	}
	for i, p := range places {
		if a.seenBefore(p, places[:i]) {
			continue
		}
		dir, err := a.readConfig(&src, a.abs(p), p)
		if err != nil {
			return src, err
		}
		if i == 0 {
			src.Dir = dir
		}
	}
	for _, f := range a.g.varFiles {
		file, err := a.readFile(a.abs(f), f)
		if err != nil {
			return src, err
		}
		src.VarFiles = append(src.VarFiles, file)
	}
	return src, nil
}

// seenBefore reports whether a place is one of others, by the same path or through links.
func (a *app) seenBefore(p string, others []string) bool {
	real := func(p string) string {
		if r, err := a.w.RealPath(a.abs(p)); err == nil {
			return r
		}
		return a.abs(p)
	}
	return slices.ContainsFunc(others, func(o string) bool { return real(o) == real(p) })
}

// defaultConfig returns the path of the configuration to use without -c, or "".
func (a *app) defaultConfig(script string) (string, error) {
	if script != "" {
		beside := strings.TrimSuffix(a.abs(script), filepath.Ext(script)) + ".hcl"
		if ok, err := a.isFile(beside); ok || err != nil {
			return beside, err
		}
	}
	for dir := a.w.Dir; ; dir = filepath.Dir(dir) {
		if ok, err := a.isFile(filepath.Join(dir, "dsrun.hcl")); err != nil {
			return "", err
		} else if ok {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

// readConfig adds the file, or the configuration files of the folder, and returns the folder.
func (a *app) readConfig(src *engine.Source, abs, shown string) (string, error) {
	root, err := a.w.OpenRoot(abs)
	if err != nil {
		if file, ferr := a.readFile(abs, shown); ferr == nil {
			src.Files = append(src.Files, file)
			return file.Dir, a.readVars(src, file.Dir)
		} else if !errors.Is(ferr, fs.ErrNotExist) {
			return "", ferr
		}
		return "", fault.Hinted(fault.InvalidArgument, "Give an existing file or folder with -c.", "configuration %s does not exist", shown)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	main, overrides, _ := config.Select(names)
	for _, n := range append(main, overrides...) {
		file, err := a.readFile(filepath.Join(abs, n), a.shown(filepath.Join(abs, n)))
		if err != nil {
			return "", err
		}
		src.Files = append(src.Files, file)
	}
	if len(main) == 0 {
		return "", fault.Hinted(fault.InvalidArgument, "dsrun reads dsrun.hcl, *.dsrun.hcl and *.dsrun.hcl.json.", "folder %s holds no configuration", shown)
	}
	return abs, a.readVars(src, abs)
}

// readVars adds the folder's *.auto.dsvars.hcl and env/NAME.dsvars.hcl, in the order of precedence.
func (a *app) readVars(src *engine.Source, dir string) error {
	root, err := a.w.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	_, _, auto := config.Select(names)
	for _, n := range auto {
		file, err := a.readFile(filepath.Join(dir, n), a.shown(filepath.Join(dir, n)))
		if err != nil {
			return err
		}
		src.VarFiles = append(src.VarFiles, file)
	}
	if src.Env == "" {
		return nil
	}
	name := filepath.Join(dir, "env", src.Env+".dsvars.hcl")
	file, err := a.readFile(name, a.shown(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.Hinted(fault.InvalidArgument, "Make the file, or leave --env out.", "environment %q has no file %s", src.Env, a.shown(name))
		}
		return err
	}
	src.VarFiles = append(src.VarFiles, file)
	return nil
}

// maxConfigRead bounds what is read of one configuration file; the loader's own cap is lower and says so with a place.
const maxConfigRead = 32 << 20

func (a *app) readFile(abs, shown string) (config.File, error) {
	b, err := a.readBytes(abs, maxConfigRead)
	return config.File{Name: shown, Dir: filepath.Dir(abs), Bytes: b}, err
}

// openFile opens a file of this machine that the person named.
func (a *app) openFile(abs string) (*os.File, error) {
	if real, err := a.w.RealPath(abs); err == nil {
		abs = real // the person named this path, so its links may lead anywhere
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(filepath.Base(abs))
}

// writeNew writes a file that must not exist yet.
func (a *app) writeNew(abs string, data []byte) error {
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Base(abs), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.Hinted(fault.AlreadyExists, "Give another name.", "%s exists already", a.shown(abs))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (a *app) readBytes(abs string, max int64) ([]byte, error) {
	f, err := a.openFile(abs)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, fault.New(fault.InvalidArgument, "%s is a folder", a.shown(abs))
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fault.New(fault.Limit, "%s is larger than %d MiB", a.shown(abs), max>>20)
	}
	return b, err
}

func (a *app) isFile(abs string) (bool, error) {
	if real, err := a.w.RealPath(abs); err == nil {
		abs = real
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return false, nil
		}
		return false, err
	}
	defer root.Close()
	st, err := root.Stat(filepath.Base(abs))
	return err == nil && st.Mode().IsRegular(), nil
}

func (a *app) abs(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(a.w.Dir, p)
}

// shown returns the path as a person in the working folder would write it.
func (a *app) shown(abs string) string {
	rel, err := filepath.Rel(a.w.Dir, abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		return abs
	}
	return rel
}
