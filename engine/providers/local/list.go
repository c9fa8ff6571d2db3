package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/dsrun/dsrun/engine/store"
)

// List implements store.Driver. Pipes, sockets, devices, links to folders and links that lead nowhere or out of the
// folder are left out: no Get could give them. An empty folder is a prefix of a listing with a delimiter.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := d.usable(ctx); err != nil {
		return store.Page{}, err
	}
	return d.walker.List(ctx, q)
}

// ListDir implements store.DirLister.
func (d *Driver) ListDir(ctx context.Context, dir, after string, max int) ([]store.DirEntry, error) {
	if after != "" {
		after += "\x00"
	}
	c, err := d.OpenDir(ctx, dir, after)
	if err != nil {
		return nil, err
	}
	list, err := c.Next(ctx, max)
	if err == io.EOF {
		err = nil
	}
	return list, err
}

// OpenDir implements store.DirOpener.
func (d *Driver) OpenDir(_ context.Context, dir, from string) (store.DirCursor, error) {
	path, err := folder(dir)
	if err != nil {
		return nil, err
	}
	return &dirCursor{d: d, dir: dir, path: path, from: from}, nil
}

// dirCursor reads a folder in passes: each holds the smallest names that fit into its memory, beyond those of the pass
// before. Only names that are asked for are looked at more closely.
type dirCursor struct {
	d         *Driver
	dir, path string // as a key, as a path
	from      string // where the next pass begins
	names     *names // of this pass
	end       bool   // this pass is the last
	whole     []byte // for key
}

// Next implements store.DirCursor.
func (c *dirCursor) Next(ctx context.Context, max int) ([]store.DirEntry, error) {
	if c.end && c.names.len() == 0 {
		return nil, io.EOF
	}
	h, err := c.d.folder(c.path)
	if err != nil {
		return nil, c.gone(err)
	}
	defer h.close()
	out := make([]store.DirEntry, 0, min(max, 1024))
	for {
		if c.names == nil || c.names.len() == 0 {
			if c.end {
				break
			}
			if err := c.pass(ctx, h); err != nil {
				return nil, err
			}
			continue
		}
		if len(out) == max {
			break
		}
		name, isDir := c.names.pop()
		if isDir {
			out = append(out, store.DirEntry{Name: string(name), Dir: true})
			continue
		}
		key := c.key(name)
		x, ok, err := c.describe(h, key[len(c.dir):])
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, store.DirEntry{Name: key[len(c.dir):], Entry: x.entry(key)})
		}
	}
	if len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

// key returns the key of a name in one step, as large folders have many.
func (c *dirCursor) key(name []byte) string {
	c.whole = append(append(c.whole[:0], c.dir...), name...)
	return string(c.whole)
}

// gone tells a folder that is not there from a top folder that was removed, which holds no folder either.
func (c *dirCursor) gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if e := c.d.alive(); e != nil {
			return e
		}
	}
	return err
}

// pass reads the next names of h.
func (c *dirCursor) pass(ctx context.Context, h *handle) error {
	if c.path == "." {
		if err := c.d.alive(); err != nil {
			return err
		}
	}
	if c.names == nil {
		c.names = &names{limit: passBytes}
	}
	c.names.reset()
	var failed error
	n := 0
	err := h.names(func(name []byte, k kind) bool {
		if n++; n&0xfff == 0 {
			if failed = context.Cause(ctx); failed != nil {
				return false
			}
		}
		if k == kindUnknown {
			x, err := h.stat(string(name))
			if errors.Is(err, fs.ErrNotExist) {
				return true
			}
			if failed = err; err != nil {
				return false
			}
			k = x.kind
		}
		if len(name) > len(tempStart) && hidden(string(name)) {
			return true
		}
		switch k {
		case kindFolder:
			c.names.add(piece(name, false), true, c.from)
		case kindFile, kindLink:
			c.names.add(piece(name, c.dir == ""), false, c.from)
		}
		return true
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	c.end = !c.names.finish()
	if !c.end {
		c.from = c.names.last() + "\x00"
	}
	return nil
}

// piece is decode without making a string for names that stand for themselves.
func piece(name []byte, lone bool) []byte {
	if name[0] != mark[0] {
		return name
	}
	return []byte(decode(string(name), lone))
}

// describe looks at the file that a listing has found. ok is false when it is gone or is no object.
func (c *dirCursor) describe(h *handle, name string) (x facts, ok bool, err error) {
	base := encode(name, c.dir == "")
	x, err = h.stat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return x, false, nil
	}
	if err == nil && x.kind == kindLink {
		if c.path != "." {
			base = c.path + "/" + base
		}
		x, err = c.d.target(base)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) || err != nil && leaves(err) {
			return x, false, nil
		}
	}
	return x, err == nil && x.kind == kindFile, err
}
