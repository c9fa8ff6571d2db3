package starlib

import (
	"fmt"
	"path"
	"strings"
	"sync"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// loader evaluates the modules of one run, each once. Modules are loaded by top-level code only, which one thread
// executes; the lock is for readers of the files.
type loader struct {
	run         *Run
	known       []string
	predeclared starlark.StringDict
	base        string // the entry script's folder

	mu    sync.Mutex
	files map[string]*SourceFile // by path, the entry script too
	done  map[string]starlark.StringDict
	stack []string // the modules that are being loaded, outermost first
}

// load implements Thread.Load.
func (l *loader) load(thread *starlark.Thread, name string) (starlark.StringDict, error) {
	from := thread.CallFrame(0).Pos.Filename()
	dir := path.Dir(from)
	if from == l.run.execution.program.file.Path {
		dir = l.base
	}
	key, err := modulePath(dir, name)
	if err != nil {
		return nil, err
	}
	if g, ok := l.done[key]; ok {
		return g, nil
	}
	for i, open := range l.stack {
		if open == key {
			return nil, fault.Hinted(fault.InvalidArgument, "Move what both need into a third module.",
				"load cycle: %s", strings.Join(append(l.stack[i:len(l.stack):len(l.stack)], key), " -> "))
		}
	}
	if l.run.Host == nil {
		return nil, fault.New(fault.NotFound, "there is no folder to load from")
	}
	src, err := l.run.Host.Module(key) // its error is printed behind "cannot load NAME: "
	if err != nil {
		return nil, err
	}
	f, err := parseSource(key, src, moduleOptions, l.known, l.run.execution.cover)
	if err != nil {
		return nil, err
	}
	l.add(f)
	l.stack = append(l.stack, key)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	g, err := f.program.Init(thread, l.predeclared)
	if err != nil {
		return nil, err
	}
	if err := freeze(l.run, stringDictValues(g)...); err != nil {
		return nil, err
	}
	l.done[key] = g
	return g, nil
}

func (l *loader) add(f *SourceFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[f.Path] = f
}

func (l *loader) file(path string) *SourceFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[path]
}

// modulePath returns the path that load(name) means in a file of the folder dir: "//lib/x.star" counts from the project's
// folder, "x.star" from dir. It is relative to the project's folder; below an absolute dir, which is that of an entry
// script outside of the project's folder, it is absolute.
func modulePath(dir, name string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fault.Hinted(fault.InvalidArgument, `Name a file below the project's folder: load("//lib/x.star", "f").`, "%s", why)
	}
	switch {
	case name == "":
		return refuse("the module's name is empty")
	case len(name) > 1024:
		return refuse("the module's name is too long")
	case fault.Printable(name) != name:
		return refuse("the module's name holds a control character")
	case strings.Contains(name, `\`):
		return refuse("a module's name is written with / only")
	case strings.Contains(name, ":"):
		return refuse("modules are loaded from the project's folder only, not from a URL or a store")
	}
	rel, rooted := strings.CutPrefix(name, "//")
	if !rooted {
		if strings.HasPrefix(name, "/") {
			return refuse("the module's path is absolute")
		}
		rel = path.Join(dir, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return refuse("the module's path contains ..")
		}
	}
	rel = path.Clean(rel)
	if rel == "." || strings.HasPrefix(rel, "../") || path.IsAbs(rel) && (rooted || !path.IsAbs(dir)) {
		return refuse("the module's path leaves the project's folder")
	}
	if !strings.HasSuffix(rel, ".star") {
		return refuse(fmt.Sprintf("the module %s does not end in .star", rel))
	}
	return rel, nil
}

func stringDictValues(d starlark.StringDict) []starlark.Value {
	vs := make([]starlark.Value, 0, len(d))
	for _, k := range d.Keys() {
		vs = append(vs, d[k])
	}
	return vs
}
