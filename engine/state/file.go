package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// file returns the path of a key's file and the folders above it, below the corner's own.
func (s *State) file(key string) (file string, dirs []string, err error) {
	if s.err != nil {
		return "", nil, s.err
	}
	parts, err := encode(key)
	if err != nil {
		return "", nil, fault.New(fault.InvalidArgument, "state key %q: %w", key, err)
	}
	dir := s.dir
	for _, p := range parts[:len(parts)-1] {
		dir = path.Join(dir, p+moreSuffix)
		dirs = append(dirs, dir)
	}
	return path.Join(dir, parts[len(parts)-1]+valueSuffix), dirs, nil
}

// openFile opens a private regular file. A link in its place is refused, and a pipe is not waited for.
func (s *State) openFile(name string, flag int) (*os.File, error) {
	full := path.Join(s.root.Name(), name)
	if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.PermissionDenied, "%s is not a regular file", full)
	}
	f, err := s.root.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = private(full, info, os.Geteuid())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checked refuses a corner whose folders others can reach. An absent folder is fine: nothing is in it.
func (s *State) checked() error {
	if s.err != nil {
		return s.err
	}
	if s.dir == "." {
		return nil // by Open
	}
	dir := "."
	for _, p := range strings.Split(s.dir, "/") {
		dir = path.Join(dir, p)
		info, err := s.root.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := private(path.Join(s.root.Name(), dir), info, os.Geteuid()); err != nil {
			return err
		}
		if !info.IsDir() {
			return fault.New(fault.PermissionDenied, "%s is not a folder", path.Join(s.root.Name(), dir))
		}
	}
	return nil
}

// made makes the corner's folders where they are missing, and once clears what dead processes left.
func (s *State) made() error {
	if err := s.checked(); err != nil {
		return err
	}
	if s.dir == "." {
		return nil
	}
	dir := "."
	for _, p := range strings.Split(s.dir, "/") {
		dir = path.Join(dir, p)
		if err := s.mkdir(dir); err != nil {
			return err
		}
	}
	s.ready.Do(func() { s.found = s.sweep() })
	return s.found
}

// mkdir makes one folder and makes its name durable.
func (s *State) mkdir(dir string) error {
	err := s.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.syncDir(path.Dir(dir))
}

// replace writes a file beside its place and renames it: rename is atomic, and syncing the file before and the folder
// after makes the new state durable (POSIX rename and fsync).
func (s *State) replace(file string, value []byte) error {
	for range 10 {
		temp, f, err := s.temp()
		if err != nil {
			return err
		}
		_, err = f.Write(value)
		if err == nil {
			err = f.Sync()
		}
		if err == nil {
			err = s.root.Rename(temp, file)
		}
		if err != nil {
			_ = s.root.Remove(temp)
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process took the file for that of a dead one before it was locked
		}
		if err != nil {
			return err
		}
		return s.syncDir(path.Dir(file))
	}
	return fmt.Errorf("%s: its new content disappears", path.Join(s.root.Name(), file))
}

// temp makes a file for an unfinished write, and locks it to show that its process lives.
func (s *State) temp() (string, *os.File, error) {
	name := path.Join(s.dir, strings.ToLower(rand.Text())+tempSuffix)
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil && err != syscall.EWOULDBLOCK {
		f.Close()
		_ = s.root.Remove(name)
		return "", nil, err
	}
	return name, f, nil
}

// sweep removes unfinished writes of processes that are dead: nobody holds their lock.
func (s *State) sweep() error {
	list, err := s.list(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), tempSuffix) || !e.Type().IsRegular() {
			continue
		}
		name := path.Join(s.dir, e.Name())
		f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = s.root.Remove(name)
		}
		f.Close()
	}
	return err
}

func (s *State) list(dir string) ([]fs.DirEntry, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

func (s *State) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// LockFile takes the advisory lock of an open file (flock) among all processes, waiting until ctx ends. Closing the file,
// or the end of the process, lets go of it.
func LockFile(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	// There is no flock that ends with a context, so it is asked again and again.
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		var lockErr error
		if err := raw.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
			return err
		}
		switch {
		case lockErr == nil:
			return nil
		case lockErr != syscall.EWOULDBLOCK && lockErr != syscall.EINTR:
			return &os.PathError{Op: "lock", Path: f.Name(), Err: lockErr}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}
