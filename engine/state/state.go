// Package state keeps small durable facts below state_dir: prompt history, resume journals, rotated tokens, the outbox.
package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
)

// MaxValue is the largest value, in bytes.
const MaxValue = 64 << 20

// State is one corner of state_dir. Files in it are 0600 and folders 0700; a folder that others can read or write is
// refused. Writes are atomic and durable. It is safe for concurrent use by many processes.
type State struct {
	root  *os.Root // shared by all corners of one Open
	dir   string   // of this corner, relative to root
	err   error    // a wrong name given to Sub, reported on use
	ready *sync.Once
	found error // what ready found
}

// Open opens or makes the folder dir.
func Open(dir string) (*State, error) {
	if dir == "" {
		return nil, fault.New(fault.InvalidArgument, "the state folder has no name")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = private(dir, info, os.Geteuid())
	}
	s := &State{root: root, dir: ".", ready: new(sync.Once)}
	if err == nil {
		err = s.sweep()
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return s, nil
}

// private refuses what other users of the machine could read or change.
func private(name string, info fs.FileInfo, uid int) error {
	kind, want := "file", fs.FileMode(0o600)
	switch {
	case info.IsDir():
		kind, want = "folder", 0o700
	case !info.Mode().IsRegular():
		return fault.New(fault.PermissionDenied, "%s is not a regular file", name)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
		return fault.Hinted(fault.PermissionDenied, "Use a state_dir that belongs to the user who runs dsrun.",
			"the state %s %s belongs to another user (uid %d)", kind, name, st.Uid)
	}
	if p := info.Mode().Perm(); p&0o077 != 0 {
		return fault.Hinted(fault.PermissionDenied, fmt.Sprintf("Run: chmod %o %s", want, name),
			"other users can reach the state %s %s (mode %04o)", kind, name, p)
	}
	return nil
}

// Sub returns the corner of the given name below s. Its folder is made when something is written. Close the State that
// Open returned, not the corner.
func (s *State) Sub(name string) *State {
	sub := &State{root: s.root, err: s.err, ready: new(sync.Once)}
	parts, err := encode(name)
	if err == nil && len(parts) > 1 {
		err = errors.New("it is too long")
	}
	if err != nil {
		if sub.err == nil {
			sub.err = fault.New(fault.InvalidArgument, "state corner %q: %w", name, err)
		}
		return sub
	}
	sub.dir = path.Join(s.dir, parts[0]+subSuffix)
	return sub
}

// Get returns the value of a key; an absent one is fs.ErrNotExist.
func (s *State) Get(key string) ([]byte, error) {
	file, _, err := s.file(key)
	if err != nil {
		return nil, err
	}
	if err := s.checked(); err != nil {
		return nil, err
	}
	f, err := s.openFile(file, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxValue {
		return nil, fault.New(fault.Limit, "the state file %s has %d bytes, more than %d", f.Name(), info.Size(), MaxValue)
	}
	return io.ReadAll(f)
}

// Put stores a value; old or new is there after a crash, never a mixture.
func (s *State) Put(key string, value []byte) error {
	if len(value) > MaxValue {
		return fault.New(fault.Limit, "the state value has %d bytes, more than %d", len(value), MaxValue)
	}
	file, dirs, err := s.file(key)
	if err != nil {
		return err
	}
	if err := s.made(); err != nil {
		return err
	}
	for _, d := range dirs {
		if err := s.mkdir(d); err != nil {
			return err
		}
	}
	return s.replace(file, value)
}

// Delete removes a key; an absent one is no error.
func (s *State) Delete(key string) error {
	file, _, err := s.file(key)
	if err != nil {
		return err
	}
	if err := s.checked(); err != nil {
		return err
	}
	err = s.root.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.syncDir(path.Dir(file))
}

// Keys lists the keys with the given prefix in ascending order.
func (s *State) Keys(prefix string) ([]string, error) {
	if err := s.checked(); err != nil {
		return nil, err
	}
	var keys []string
	err := s.keys(s.dir, "", &keys)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return selectKeys(keys, prefix), nil
}

// keys adds the keys below folder dir, whose name parts so far are encoded in head.
func (s *State) keys(dir, head string, keys *[]string) error {
	list, err := s.list(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if name, ok := strings.CutSuffix(e.Name(), moreSuffix); ok && e.IsDir() {
			if err := s.keys(path.Join(dir, e.Name()), head+name, keys); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if name, ok := strings.CutSuffix(e.Name(), valueSuffix); ok && !e.IsDir() {
			if key, ok := decode(head + name); ok {
				*keys = append(*keys, key)
			}
		}
	}
	return nil
}

// Lock takes the named lock among all processes, waiting until ctx ends. It is released by unlock, or when the process
// ends. Goroutines exclude each other too; a lock is not reentrant.
func (s *State) Lock(ctx context.Context, name string) (unlock func() error, err error) {
	parts, err := encode(name)
	if err == nil && len(parts) > 1 {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "state lock %q: %w", name, err)
	}
	if err := s.made(); err != nil {
		return nil, err
	}
	// The file stays: removing it would let two processes hold locks on two files of one name.
	f, err := s.openFile(path.Join(s.dir, parts[0]+lockSuffix), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := LockFile(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	edge.Lock()
	edge.Unlock()
	return sync.OnceValue(func() error {
		edge.Lock()
		edge.Unlock()
		return f.Close() // lets go of the lock
	}), nil
}

// edge orders memory between goroutines that hold one lock after another: the Go memory model knows nothing of flock.
var edge sync.Mutex

// Close frees the folder.
func (s *State) Close() error { return s.root.Close() }
