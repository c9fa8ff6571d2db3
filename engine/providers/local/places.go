package local

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// openTop returns the folder of root as a handle.
func openTop(root *os.Root) (*handle, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	return &handle{f: f, name: root.Name()}, nil
}

// makeTop makes the folder path and those above it, durably.
func makeTop(path string) error {
	var missing []string
	above := path
	for {
		missing = append(missing, filepath.Base(above))
		above = filepath.Dir(above)
		if _, err := os.Stat(above); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(above) == above {
			return err
		}
	}
	root, err := os.OpenRoot(above)
	if err != nil {
		return err
	}
	defer root.Close()
	h, err := openTop(root)
	if err != nil {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		next, err := h.make(missing[i])
		h.close()
		if err != nil {
			return err
		}
		h = next
	}
	return h.close()
}

// make opens a folder in h, or makes it durably.
func (h *handle) make(name string) (*handle, error) {
	if err := h.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := h.sync(); err != nil {
		return nil, err
	}
	return h.sub(name)
}

// folder opens the folder dir, "." or a path of names.
func (d *Driver) folder(dir string) (*handle, error) {
	if dir == "." {
		return d.top.dup()
	}
	h := d.top
	for name := range strings.SplitSeq(dir, "/") {
		next, err := d.down(h, name, dir)
		d.leave(h)
		if err != nil {
			return nil, err
		}
		h = next
	}
	return h, nil
}

// leave closes a folder on the way down.
func (d *Driver) leave(h *handle) {
	if h != d.top {
		h.close()
	}
}

// down opens the folder name in h, on the way to dir.
func (d *Driver) down(h *handle, name, dir string) (*handle, error) {
	next, err := h.sub(name)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		if x, e := h.stat(name); e == nil && x.kind == kindLink {
			return nil, pathError("open", dir, errLink)
		}
		return nil, pathError("open", dir, syscall.ENOTDIR)
	}
	if err != nil {
		return nil, err
	}
	if err := d.spelled(h, name); err != nil {
		next.close()
		return nil, err
	}
	return next, nil
}

// parent opens the folder of a file and returns the file's name in it.
func (d *Driver) parent(name string) (*handle, string, error) {
	dir, base := split(name)
	h, err := d.folder(dir)
	return h, base, err
}

func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ".", name
	}
	return name[:i], name[i+1:]
}

// look describes the file base in h, the target of a link. name is its whole path.
func (d *Driver) look(h *handle, base, name string) (facts, error) {
	x, err := h.stat(base)
	if err != nil {
		return x, err
	}
	if err := d.spelled(h, base); err != nil {
		return x, err
	}
	if x.kind != kindLink {
		return x, nil
	}
	return d.target(name)
}

// target describes what the link name leads to. Only os.Root can follow it safely.
func (d *Driver) target(name string) (facts, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return facts{}, err
	}
	return infoFacts(info), nil
}

// prepare opens the folder dir for writing. It makes the folders that are missing and returns their paths. At the first
// write of this process below a folder it makes the names on the way durable, whoever made them.
func (d *Driver) prepare(dir string) (h *handle, made []string, err error) {
	if dir == "." {
		h, err = d.top.dup()
		return h, nil, err
	}
	h = d.top
	at := ""
	for name := range strings.SplitSeq(dir, "/") {
		at = strings.TrimPrefix(at+"/"+name, "/")
		next, err := d.down(h, name, at)
		switch {
		case err == nil && !d.prepared(at):
			if err = errors.Join(h.sync(), d.did("sync above", at)); err != nil {
				next.close()
			}
		case errors.Is(err, fs.ErrNotExist):
			made = append(made, at)
			if next, err = h.make(name); err == nil {
				if err = d.did("make", at); err != nil {
					next.close()
				}
			}
		}
		d.leave(h)
		if err != nil {
			return nil, made, err
		}
		h = next
		d.note(at)
	}
	return h, made, nil
}

// maxFolders bounds the folders that a driver remembers. Forgetting them costs a sync each, no more.
const maxFolders = 1 << 14

// prepared reports whether the names on the way to dir are known to be durable.
func (d *Driver) prepared(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.folders[dir]
	return ok
}

// note remembers that dir is prepared.
func (d *Driver) note(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.folders) >= maxFolders {
		clear(d.folders)
	}
	d.folders[dir] = d.folders[dir]
}

// forget is called when dir is removed.
func (d *Driver) forget(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.folders, dir)
}

var lockSeed = maphash.MakeSeed()

// lock takes the lock of the open folder h, whose path is dir, among all processes. It is held for microseconds, so
// that waiting is asking again.
func (d *Driver) lock(ctx context.Context, h *handle, dir string) (free func(), err error) {
	mine := d.locks[maphash.String(lockSeed, dir)%uint64(len(d.locks))]
	select {
	case mine <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !d.caps.IfMatch {
		return func() { <-mine }, nil
	}
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		ok, err := h.tryLock(false)
		if ok {
			return func() { h.unlock(); <-mine }, nil
		}
		if err == nil {
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		<-mine
		return nil, err
	}
}

// canLock reports whether folders here have locks.
func canLock(top *handle) bool {
	h, err := top.dup()
	if err != nil {
		return false
	}
	defer h.close()
	_, err = h.tryLock(true)
	return err == nil
}
