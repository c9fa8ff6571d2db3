// Package floors checks the import law of this module: which package may import which, which libraries belong where, and
// where the process and the file system may be touched. It parses the files itself: what `go list` says would be
// answered from the test cache after a file has changed.
package floors

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/dsrun/dsrun"

// Violation is one breach of the law.
type Violation struct {
	File string // relative to the module, with slashes
	Line int
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Text) }

// Root returns the folder of the go.mod at or above dir.
func Root(dir string) (string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fs.ErrNotExist
		}
		dir = up
	}
}

// Check parses every .go file of the module at root, without its testdata and nested modules, and returns what breaks the
// law, and how many files it looked at.
func Check(root string) (found []Violation, files int, err error) {
	err = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, full)
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if name == "." {
				return nil
			}
			_, nested := os.Stat(filepath.Join(full, "go.mod"))
			if base := d.Name(); nested == nil || base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		files++
		more, err := checkFile(name, src)
		found = append(found, more...)
		return err
	})
	return found, files, err
}

// file is one file under examination.
type file struct {
	name  string // "engine/event/topic.go"
	pkg   string // "engine/event"
	test  bool   // a _test.go file, or part of a suite
	set   *token.FileSet
	ast   *ast.File
	names map[string]string // imported packages by the name that the file calls them
	found []Violation
}

func checkFile(name string, src []byte) ([]Violation, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, pkg: path.Dir(name), set: set, ast: tree, names: map[string]string{}}
	f.test = strings.HasSuffix(name, "_test.go")
	f.imports()
	f.uses()
	return f.found, nil
}

func (f *file) report(at token.Pos, format string, args ...any) {
	f.found = append(f.found, Violation{f.name, f.set.Position(at).Line, fmt.Sprintf(format, args...)})
}

// imports checks what the file imports.
func (f *file) imports() {
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		switch {
		case name == "_" && p != "embed" && !f.test:
			f.report(spec.Pos(), "blank import of %s: registration is explicit", p)
		case name == ".":
			f.report(spec.Pos(), "dot import of %s", p)
		case p == "C":
			f.report(spec.Pos(), "cgo")
		}
		f.names[name] = p
		if own, ok := strings.CutPrefix(p, Module+"/"); ok {
			f.own(spec, own)
		} else if strings.Contains(strings.SplitN(p, "/", 2)[0], ".") {
			f.library(spec, p)
		} else {
			f.standard(spec, p)
		}
	}
}

// own checks the import of a package of this module.
func (f *file) own(spec *ast.ImportSpec, to string) {
	if f.test || isTool(f.pkg) {
		return
	}
	from, ok := floorOf(f.pkg)
	if !ok {
		return // reported by the package clause
	}
	if isTool(to) {
		if !(to == "internal/testbed" && isSuite(f.pkg)) {
			f.report(spec.Pos(), "%s imports %s, which is for tests and tools", f.pkg, to)
		}
		return
	}
	at, ok := floorOf(to)
	switch {
	case !ok:
		f.report(spec.Pos(), "%s is on no floor: add it to the table", to)
	case f.pkg == "engine" && within(to, "engine/providers"):
		f.report(spec.Pos(), "engine imports %s: the caller hands providers in", to)
	case at > from:
		f.report(spec.Pos(), "%s (floor %d) imports %s (floor %d): imports run downward", f.pkg, from, to, at)
	case at == from && !sameFloor(f.pkg, to):
		f.report(spec.Pos(), "%s imports %s of the same floor", f.pkg, to)
	}
}

// library checks the import of another module.
func (f *file) library(spec *ast.ImportSpec, p string) {
	if isTool(f.pkg) {
		return
	}
	for _, l := range libraries {
		if !within(p, l.path) {
			continue
		}
		if f.test && l.tests {
			return
		}
		if !slices.ContainsFunc(l.places, func(place string) bool { return in(f.pkg, place) }) {
			f.report(spec.Pos(), "%s imports %s, whose place is %s", f.pkg, p, strings.Join(l.places, ", "))
		}
		return
	}
	f.report(spec.Pos(), "%s is not in the table of libraries: say where it may be used", p)
}

// standard checks the import of a package of the standard library.
func (f *file) standard(spec *ast.ImportSpec, p string) {
	if f.test {
		return
	}
	switch p {
	case "text/template", "html/template":
		f.report(spec.Pos(), "%s: it turns off the linker's removal of unused methods", p)
	case "os/exec":
		f.place(spec.Pos(), p, execPlaces)
	case "io/ioutil", "plugin":
		f.report(spec.Pos(), "%s", p)
	case "os/user", "flag", "log":
		f.place(spec.Pos(), p, processPlaces)
	}
}

// place reports a use outside of its places.
func (f *file) place(at token.Pos, what string, places []string) {
	if !isTool(f.pkg) && !slices.ContainsFunc(places, func(p string) bool { return f.name == p || within(f.pkg, p) }) {
		f.report(at, "%s outside of %s", what, strings.Join(places, ", "))
	}
}

// uses checks what the file does with the standard library.
func (f *file) uses() {
	if _, ok := floorOf(f.pkg); !ok && !isTool(f.pkg) && !f.test {
		f.report(f.ast.Name.Pos(), "%s is on no floor: add it to the table", f.pkg)
	}
	if f.test {
		return
	}
	reflects := slices.Contains(slices.Collect(mapValues(f.names)), "reflect")
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				f.report(n.Pos(), "init function: registration is explicit")
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "println" || id.Name == "print") {
				f.place(n.Pos(), id.Name, processPlaces)
			}
		case *ast.SelectorExpr:
			f.selector(n, reflects)
		}
		return true
	})
}

func (f *file) selector(n *ast.SelectorExpr, reflects bool) {
	name := n.Sel.Name
	if reflects && (name == "MethodByName" || name == "Method") {
		f.report(n.Pos(), "reflection by method: it turns off the linker's removal of unused methods")
	}
	id, ok := n.X.(*ast.Ident)
	if !ok || id.Obj != nil { // a local name that hides the package
		return
	}
	full := path.Base(f.names[id.Name]) + "." + name
	switch {
	case full == "os.Exit":
		f.place(n.Pos(), full, append([]string{"cmd/dsrun/main.go"}, processPlaces...))
	case slices.Contains(processNames, full):
		f.place(n.Pos(), full, processPlaces)
	case slices.Contains(fileNames, full) && !isSuite(f.pkg):
		f.place(n.Pos(), full, filePlaces)
	case full == "os.StartProcess" || full == "syscall.ForkExec" || full == "syscall.Exec" || full == "syscall.StartProcess":
		f.place(n.Pos(), full, execPlaces)
	}
}

func mapValues(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// within reports whether p is root or below it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// in is within, where "=engine" stands for the package alone.
func in(p, place string) bool {
	if exact, ok := strings.CutPrefix(place, "="); ok {
		return p == exact
	}
	return within(p, place)
}
