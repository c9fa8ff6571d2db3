package local

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The register is a hidden file in the top folder that lists the folders in which processes write, one quoted path a
// line. Each process that writes holds a shared lock of it while it lives. Whoever can lock it alone knows that all
// writers are gone, looks through the folders for what they left, and removes it.

// maxRegister bounds what is read of a register.
const maxRegister = 64 << 20

// staleAge is how old a temp must be where files have no locks.
const staleAge = 24 * time.Hour

// enlist puts dir into the register before the first temp is made in it. first says that this was the first time.
func (d *Driver) enlist(dir string) (first bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.folders[dir] {
		return false, nil
	}
	if d.writer == nil {
		if err := d.openRegister(); err != nil {
			return true, err
		}
	}
	if d.writer != nil {
		n, err := d.writer.WriteString(strconv.Quote(dir) + "\n")
		if err == nil {
			err = d.writer.Sync()
		}
		if err != nil {
			return true, err
		}
		d.wrote += int64(n)
	}
	if len(d.folders) >= maxFolders {
		clear(d.folders)
	}
	d.folders[dir] = true
	return true, nil
}

// openRegister opens or makes the register. One that another user owns and does not share is left alone.
func (d *Driver) openRegister() error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		f, err := d.top.appendTo(register)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		ok, err := tryLock(f, true)
		if err != nil { // no locks here
			d.writer = f
			return nil
		}
		if ok && d.isRegister(f) {
			d.writer = f
			return nil
		}
		f.Close() // somebody is just sweeping
		time.Sleep(wait)
	}
}

// isRegister reports whether f is still the file of that name.
func (d *Driver) isRegister(f *os.File) bool {
	a, err := fileFacts(f)
	b, err2 := d.top.stat(register)
	return err == nil && err2 == nil && a.kind == kindFile && a.ino == b.ino && a.dev == b.dev
}

// sweep removes what killed writers left. It is best effort: who may only read leaves it to others.
func (d *Driver) sweep() {
	f, err := d.top.openAs(register, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if ok, err := tryLock(f, false); err == nil && !ok || !d.isRegister(f) {
		return
	}
	d.sweepAll(f)
}

// sweepAll sweeps the folders of the register f, which is locked, and removes it.
func (d *Driver) sweepAll(f *os.File) {
	list, err := io.ReadAll(io.NewSectionReader(f, 0, maxRegister))
	if err != nil {
		return
	}
	clean := true
	seen := map[string]bool{}
	for line := range bytes.Lines(list) {
		dir, err := strconv.Unquote(string(bytes.TrimSuffix(line, []byte("\n"))))
		if err != nil || seen[dir] || !fs.ValidPath(dir) { // a line may be cut by a crash
			continue
		}
		seen[dir] = true
		h, err := d.folder(dir)
		if err != nil {
			clean = clean && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, errLink))
			continue
		}
		clean = d.sweepFolder(h) && clean
		h.close()
	}
	if clean {
		d.top.unlink(register)
	}
}

// sweepFolder removes the stale temps in h and reports whether none is left.
func (d *Driver) sweepFolder(h *handle) bool {
	var found []string
	err := h.names(func(name []byte, _ kind) bool {
		if n := string(name); hidden(n) && n != register {
			found = append(found, n)
		}
		return true
	})
	clean := err == nil
	for _, name := range found {
		clean = d.stale(h, name) && h.unlink(name) == nil && clean
	}
	return clean
}

// stale reports whether no living process writes the temp name.
func (d *Driver) stale(h *handle, name string) bool {
	x, err := h.stat(name)
	if err != nil || x.kind != kindFile {
		return false
	}
	f, err := h.open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	ok, err := tryLock(f, false)
	if err != nil {
		return time.Since(x.mtime) > staleAge
	}
	return ok
}

// retire ends this process's writing. The last writer to leave removes the register, and sweeps if others wrote too:
// they may have been killed.
func (d *Driver) retire() error {
	f := d.writer
	if f == nil {
		return nil
	}
	d.writer = nil
	if ok, err := tryLock(f, false); ok && err == nil && d.isRegister(f) {
		if x, err := fileFacts(f); err == nil && x.size == d.wrote {
			d.top.unlink(register)
		} else {
			d.sweepAll(f)
		}
	}
	return f.Close()
}
