//go:build linux || darwin || freebsd

package local

import (
	"io/fs"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// handle is an open folder. Its methods take the name of one entry, so that no ".." and no link on the way can lead
// elsewhere, and work on this very folder even when it is renamed.
//
// It is a bare descriptor, since a write or a read opens several for a moment each, and an os.File costs as much as
// opening it. Whoever opened one closes it, once, and no other goroutine uses it then.
type handle struct {
	n    int
	name string   // for errors
	f    *os.File // of the top folder, instead of n: a call that outlives Close must not reach another file
	// alias, in tests, tells which existing entry a name stands for, as a file system that ignores case does.
	alias func(h *handle, name string) string
}

// as returns the name of the entry that the file system takes name for.
func (h *handle) as(name string) string {
	if h.alias == nil {
		return name
	}
	return h.alias(h, name)
}

func (h *handle) fd() int {
	if h.f != nil {
		return int(h.f.Fd())
	}
	return h.n
}

func (h *handle) close() error {
	if h.f != nil {
		return h.f.Close()
	}
	return pathError("close", h.name, unix.Close(h.n))
}

// pathError gives an error the form of the os package's errors.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// again repeats fn while a signal interrupts it.
func again(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

func (h *handle) openFD(name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(h.fd(), h.as(name), flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, pathError("open", name, err)
		}
	}
}

func (h *handle) openAs(name string, flags int, perm uint32) (*os.File, error) {
	fd, err := h.openFD(name, flags, perm)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// dup opens the same folder once more: a lock belongs to the open folder that took it.
func (h *handle) dup() (*handle, error) { return h.sub(".") }

// sub opens a folder in h. A link to one is not followed.
func (h *handle) sub(name string) (*handle, error) {
	fd, err := h.openFD(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &handle{n: fd, name: name, alias: h.alias}, nil
}

// open opens a file for reading; a pipe or a device without waiting for its other end. A link is not followed.
func (h *handle) open(name string) (*os.File, error) {
	return h.openAs(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
}

// openSource is open without an os.File.
func (h *handle) openSource(name string) (*sourceFile, error) {
	fd, err := h.openFD(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return &sourceFile{n: fd, name: name}, nil
}

// sourceFile is a file open for reading. It is a bare descriptor until file is called.
type sourceFile struct {
	n    int
	name string
	f    *os.File
}

// file returns the source as a file, which from then on owns the descriptor.
func (s *sourceFile) file() *os.File {
	if s.f == nil {
		s.f = os.NewFile(uintptr(s.n), s.name)
	}
	return s.f
}

func (s *sourceFile) close() error {
	if s.f != nil {
		return s.f.Close()
	}
	return unix.Close(s.n)
}

// facts describes the source as it is now.
func (s *sourceFile) facts() (facts, error) {
	if s.f != nil {
		return fileFacts(s.f)
	}
	return fdFacts(s.n, s.name)
}

// create makes a new file that only its owner may read and write.
func (h *handle) create(name string) (*os.File, error) {
	return h.openAs(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
}

// appendTo opens a file to add to it, and makes it where it is missing.
func (h *handle) appendTo(name string) (*os.File, error) {
	return h.openAs(name, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND|unix.O_NONBLOCK, 0o600)
}

// stat describes an entry, a link itself.
func (h *handle) stat(name string) (facts, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(h.fd(), h.as(name), &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return statFacts(&st), nil
		}
		if err != unix.EINTR {
			return facts{}, pathError("stat", name, err)
		}
	}
}

// fileFacts describes an open file.
func fileFacts(f *os.File) (facts, error) {
	x, err := fdFacts(int(f.Fd()), f.Name())
	runtime.KeepAlive(f)
	return x, err
}

func fdFacts(fd int, name string) (facts, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return facts{}, pathError("stat", name, err)
	}
	return statFacts(&st), nil
}

func statFacts(st *unix.Stat_t) facts {
	x := facts{dev: uint64(st.Dev), ino: uint64(st.Ino), links: uint64(st.Nlink), size: st.Size,
		mtime: time.Unix(st.Mtim.Unix()), ctime: time.Unix(st.Ctim.Unix())}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		x.kind = kindFile
	case unix.S_IFDIR:
		x.kind = kindFolder
	case unix.S_IFLNK:
		x.kind = kindLink
	default:
		x.kind = kindOther
	}
	return x
}

// rename gives an entry another name in h and replaces what has that name.
func (h *handle) rename(from, to string) error {
	return pathError("rename", to, again(func() error { return unix.Renameat(h.fd(), from, h.fd(), h.as(to)) }))
}

// renameByLink is renameNew for file systems that have hard links.
func (h *handle) renameByLink(from, to string) error {
	if err := again(func() error { return unix.Linkat(h.fd(), from, h.fd(), h.as(to), 0) }); err != nil {
		return pathError("link", to, err)
	}
	return h.unlink(from)
}

// unlink removes an entry that is no folder.
func (h *handle) unlink(name string) error {
	return pathError("remove", name, again(func() error { return unix.Unlinkat(h.fd(), h.as(name), 0) }))
}

// rmdir removes an empty folder and nothing else.
func (h *handle) rmdir(name string) error {
	return pathError("remove", name, again(func() error { return unix.Unlinkat(h.fd(), h.as(name), unix.AT_REMOVEDIR) }))
}

// mkdir makes a folder that only its owner may enter.
func (h *handle) mkdir(name string) error {
	return pathError("mkdir", name, again(func() error { return unix.Mkdirat(h.fd(), h.as(name), 0o700) }))
}

// setTime sets the time of modification of a file in h.
func (h *handle) setTime(name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return pathError("set time", name, unix.EINVAL)
	}
	return pathError("set time", name, again(func() error {
		return unix.UtimesNanoAt(h.fd(), name, []unix.Timespec{{Nsec: utimeOmit}, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

// sync makes the names in h durable. Some file systems have no such call for folders: they write names at once.
func (h *handle) sync() error {
	err := again(func() error { return unix.Fsync(h.fd()) })
	if err == unix.EINVAL || err == unix.ENOTSUP {
		return nil
	}
	return pathError("sync", h.name, err)
}

// tryLock takes the lock of an open file or folder, alone or with others, unless somebody holds it.
func tryLock(f *os.File, shared bool) (bool, error) {
	ok, err := lockFD(int(f.Fd()), f.Name(), shared)
	runtime.KeepAlive(f)
	return ok, err
}

func (h *handle) tryLock(shared bool) (bool, error) { return lockFD(h.fd(), h.name, shared) }

func lockFD(fd int, name string, shared bool) (bool, error) {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err := again(func() error { return unix.Flock(fd, how|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, pathError("lock", name, err)
}

// unlock gives the lock back.
func (h *handle) unlock() error {
	return pathError("unlock", h.name, again(func() error { return unix.Flock(h.fd(), unix.LOCK_UN) }))
}

// mayWrite reports whether this process may make and remove entries in h.
func (h *handle) mayWrite() error {
	return pathError("write to", h.name, unix.Faccessat(h.fd(), ".", unix.W_OK|unix.X_OK, 0))
}
