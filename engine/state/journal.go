package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Journal keeps the records of one job that a later run of the same job goes on with. While it is open no other process
// has it. Each change is durable when the method returns; a crash leaves the old record or the new one.
type Journal struct {
	s      *State
	prefix string
	unlock func() error

	mu    sync.Mutex
	names map[string]struct{}
}

// journalWait is how long OpenJournal waits for another process that has the journal.
const journalWait = 200 * time.Millisecond

// OpenJournal opens the journal of the job that the given texts name together. A journal that another process has open is
// FailedPrecondition.
func (s *State) OpenJournal(ctx context.Context, job ...string) (*Journal, error) {
	h := sha256.Sum256([]byte(strings.Join(job, "\x00")))
	prefix := hex.EncodeToString(h[:16]) + "-"
	short, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	unlock, err := s.Lock(short, prefix+"lock")
	if err != nil {
		if short.Err() != nil && ctx.Err() == nil {
			err = fault.Hinted(fault.FailedPrecondition, "Wait for it to end, or run without going on with earlier uploads.",
				"another process runs the same job")
		}
		return nil, err
	}
	keys, err := s.Keys(prefix)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	j := &Journal{s: s, prefix: prefix, unlock: unlock, names: make(map[string]struct{}, len(keys))}
	for _, k := range keys {
		j.names[strings.TrimPrefix(k, prefix)] = struct{}{}
	}
	return j, nil
}

// Names returns the names of all records, in no order.
func (j *Journal) Names() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]string, 0, len(j.names))
	for n := range j.names {
		out = append(out, n)
	}
	return out, nil
}

// Get returns a record; nil when there is none.
func (j *Journal) Get(name string) ([]byte, error) {
	j.mu.Lock()
	_, ok := j.names[name]
	j.mu.Unlock()
	if !ok {
		return nil, nil
	}
	b, err := j.s.Get(j.prefix + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Put stores a record.
func (j *Journal) Put(name string, record []byte) error {
	if err := j.s.Put(j.prefix+name, record); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.names[name] = struct{}{}
	return nil
}

// Delete removes a record; an absent one is no error.
func (j *Journal) Delete(name string) error {
	if err := j.s.Delete(j.prefix + name); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.names, name)
	return nil
}

// Close lets another process have the journal.
func (j *Journal) Close() error { return j.unlock() }
