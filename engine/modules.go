package engine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxScript bounds the source of one script.
const maxScript = 4 << 20

// scriptBase returns the folder that relative names of load() count from: below the project's folder, else absolute.
func (p *Project) scriptBase(dir string) string {
	if dir == "" || p.src.Dir == "" {
		return dir
	}
	if rel, err := filepath.Rel(p.src.Dir, dir); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return filepath.Clean(dir)
}

// Module reads a script below the project's folder, or below that of the entry script. os.Root refuses what leads out of
// them, through links too.
func (h *host) Module(name string) ([]byte, error) {
	if filepath.IsAbs(name) && h.beside != "" {
		rel, err := filepath.Rel(h.beside, filepath.FromSlash(name))
		if err != nil || !filepath.IsLocal(rel) {
			return nil, outside(name, "the script's folder")
		}
		root, err := h.p.e.o.OpenRoot(h.beside)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return readModule(root, filepath.ToSlash(rel), h.beside)
	}
	if name != path.Clean(name) || path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return nil, outside(name, "the project's folder")
	}
	root, err := h.p.projectRoot()
	if err != nil {
		return nil, err
	}
	return readModule(root, name, h.p.src.Dir)
}

func readModule(root *os.Root, name, dir string) ([]byte, error) {
	b, err := readBounded(root, name, maxScript)
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Hinted(fault.NotFound, `load("x.star", ...) counts from the folder of the script, load("//x.star", ...) from that of the configuration.`,
			"there is no file %s in %s", name, dir)
	case errors.As(err, &pathErr) && strings.Contains(pathErr.Err.Error(), "escapes"):
		return nil, outside(name, dir)
	case errors.As(err, &pathErr):
		return nil, fault.New(fault.CodeOf(err), "%s in %s: %w", name, dir, pathErr.Err)
	}
	return b, err
}

func outside(name, dir string) error {
	return fault.Hinted(fault.InvalidArgument, `Name a file below the project's folder: load("//lib/x.star", "f").`,
		"%s leads out of %s", name, dir)
}
