package memory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/dsrun/dsrun/engine/store"
)

// load stores every file below the folder dir under its slash-separated path, with its time of modification. A link that
// leaves the folder is an error: a fixture that is silently missing would make a test of a script lie.
func (d *Driver) load(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("fixtures: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("fixtures: %w", err)
		}
		info, err := root.Stat(name) // follows links, but only within the root
		switch {
		case err != nil:
			return fmt.Errorf("fixtures: %w", err)
		case info.IsDir() && e.Type()&fs.ModeSymlink != 0:
			return fmt.Errorf("fixtures: %s is a link to a folder", name)
		case !info.Mode().IsRegular():
			return nil
		}
		attrs := store.Attributes{Modified: info.ModTime()}
		_, err = d.Put(ctx, name, fixture{root, name, info.Size()}, store.PutOptions{Attrs: attrs})
		if err != nil {
			return fmt.Errorf("fixtures: %s: %w", name, err)
		}
		return nil
	})
}

// fixture is a file as a body.
type fixture struct {
	root *os.Root
	name string
	size int64
}

func (f fixture) Size() int64      { return f.size }
func (f fixture) Replayable() bool { return true }

func (f fixture) Open(context.Context) (io.ReadCloser, error) { return f.root.Open(f.name) }
