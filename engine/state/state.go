// Package state keeps small durable facts below state_dir: prompt history, resume journals, rotated tokens, the outbox.
package state

import "context"

// State is one corner of state_dir. Files in it are 0600 and folders 0700; a folder that others can read or write is
// refused. Writes are atomic and durable. It is safe for concurrent use by many processes.
type State struct{}

// Open opens or makes the folder dir.
func Open(dir string) (*State, error) { panic("to be built") }

// Sub returns the corner of the given name below s.
func (s *State) Sub(name string) *State { panic("to be built") }

// Get returns the value of a key; an absent one is fs.ErrNotExist.
func (s *State) Get(key string) ([]byte, error) { panic("to be built") }

// Put stores a value; old or new is there after a crash, never a mixture.
func (s *State) Put(key string, value []byte) error { panic("to be built") }

// Delete removes a key; an absent one is no error.
func (s *State) Delete(key string) error { panic("to be built") }

// Keys lists the keys with the given prefix in ascending order.
func (s *State) Keys(prefix string) ([]string, error) { panic("to be built") }

// Lock takes the named lock among all processes, waiting until ctx ends. It is released by unlock, or when the process ends.
func (s *State) Lock(ctx context.Context, name string) (unlock func() error, err error) {
	panic("to be built")
}

// Close frees the folder.
func (s *State) Close() error { panic("to be built") }
