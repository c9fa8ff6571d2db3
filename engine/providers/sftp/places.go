package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// facts are what the server tells of a file.
type facts struct {
	mode  fs.FileMode
	size  int64
	mtime time.Time
}

func factsOf(i os.FileInfo) facts { return facts{i.Mode(), i.Size(), i.ModTime()} }

func (x facts) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: x.size, Modified: x.mtime}
}

// whole is entry with the attributes.
func (x facts) whole(key string) store.Entry {
	e := x.entry(key)
	e.Attrs = &store.Attributes{ContentType: "application/octet-stream"}
	return e
}

// object refuses what is no file.
func (x facts) object(name string) error {
	switch {
	case x.mode.IsDir():
		return fmt.Errorf("%s is a folder: %w", name, fs.ErrNotExist)
	case !x.mode.IsRegular():
		return fault.New(fault.InvalidArgument, "%s is a pipe, a socket or a device, which are not read", name)
	}
	return nil
}

const linkHint = "Links that lead out of the folder and links to folders are not followed: declare a datastore for the place that they lead to."

// top returns the real path of the root without a "/" at its end. It asks once for each connection.
func (d *Driver) top(ctx context.Context, c *conn) (string, error) {
	c.mu.Lock()
	top := c.top
	c.mu.Unlock()
	if top != "" {
		return strings.TrimSuffix(top, "/"), nil
	}
	top, err := do(ctx, c, false, func() (string, error) { return c.sftp.RealPath(d.root + "/") }, nil)
	if err == nil {
		var x facts
		if x, err = stat(ctx, c, top); err == nil && !x.mode.IsDir() {
			err = fault.New(fault.InvalidArgument, "the root %q is not a folder", d.o.Root)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Hinted(fault.NotFound, "Make the folder on the server, or name another with root.", "the root %q does not exist on %s", d.o.Root, d.o.Host)
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.top = top
	c.mu.Unlock()
	return strings.TrimSuffix(top, "/"), nil
}

func stat(ctx context.Context, c *conn, name string) (facts, error) {
	i, err := do(ctx, c, false, func() (os.FileInfo, error) { return c.sftp.Stat(name) }, nil)
	if err != nil {
		return facts{}, err
	}
	return factsOf(i), nil
}

func lstat(ctx context.Context, c *conn, name string) (facts, error) {
	i, err := do(ctx, c, false, func() (os.FileInfo, error) { return c.sftp.Lstat(name) }, nil)
	if err != nil {
		return facts{}, err
	}
	return factsOf(i), nil
}

// dirs remembers for a moment which folders are reached without a link.
type dirs struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const (
	dirsTime = 2 * time.Second
	dirsMax  = 4096
)

func (s *dirs) fresh(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.seen[dir]) < dirsTime
}

func (s *dirs) note(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= dirsMax {
		s.seen = map[string]time.Time{}
	}
	s.seen[dir] = time.Now()
}

// folder returns the full path of the folder dir, "." or a path of names, after a look whether a link is on the way.
func (d *Driver) folder(ctx context.Context, c *conn, dir string) (string, error) {
	top, err := d.top(ctx, c)
	if err != nil {
		return "", err
	}
	if dir == "." {
		return orTop(top), nil
	}
	full := top + "/" + dir
	if d.dirs.fresh(full) {
		return full, nil
	}
	real, err := do(ctx, c, false, func() (string, error) { return c.sftp.RealPath(full) }, nil)
	if err != nil {
		return "", err
	}
	if real != full {
		return "", fault.Hinted(fault.PermissionDenied, linkHint, "%s: a link is on the way", dir)
	}
	d.dirs.note(full)
	return full, nil
}

// orTop gives the server's top folder its name.
func orTop(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// find describes the file name and returns the full path to open, with a link to a file followed.
func (d *Driver) find(ctx context.Context, c *conn, name string) (facts, string, error) {
	dir, err := d.folder(ctx, c, path.Dir(name))
	if err != nil {
		return facts{}, "", err
	}
	full := path.Join(dir, path.Base(name))
	x, err := lstat(ctx, c, full)
	if err == nil && x.mode&fs.ModeSymlink != 0 {
		x, full, err = d.follow(ctx, c, full)
	}
	if err == nil {
		err = x.object(name)
	}
	return x, full, err
}

// follow describes what the link full leads to, which must lie within the root.
func (d *Driver) follow(ctx context.Context, c *conn, full string) (facts, string, error) {
	top, err := d.top(ctx, c)
	if err != nil {
		return facts{}, "", err
	}
	real, err := do(ctx, c, false, func() (string, error) { return c.sftp.RealPath(full) }, nil)
	if err != nil {
		return facts{}, "", err
	}
	if !strings.HasPrefix(real, top+"/") {
		return facts{}, "", fault.Hinted(fault.PermissionDenied, linkHint, "%s is a link that leads out of the folder", path.Base(full))
	}
	x, err := lstat(ctx, c, real)
	return x, real, err
}
