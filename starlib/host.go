// Package starlib is what scripts can call. It knows stores, topics and rows; not HCL, and not providers.
package starlib

import (
	"context"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/store"
)

// Host is all that a script may reach. No method takes or returns a function or a value of an SDK, so that a child
// process can be given a Host over a pipe.
type Host interface {
	// Store opens the named datastore, or returns the one that is open. An unknown name is NotFound with a hint.
	Store(ctx context.Context, name string) (*store.Store, error)
	Topic(ctx context.Context, name string) (*event.Topic, error)
	// Names lists the declared names of "datastore" or "topic" in the order of declaration.
	Names(kind string) []string
	// Default is the name of the default block of a kind, or "".
	Default(kind string) string
	// Module returns the source of a file that load() names, which is a path below the project's folder without the
	// leading "//", or an absolute one below RunOptions.Base where that is absolute. Anything else is refused.
	Module(path string) ([]byte, error)
	Info() RunInfo
	Log(ctx context.Context, level, msg string, fields []Field)
}

// RunInfo is what scripts see as `run`.
type RunInfo struct {
	ID      string
	Env     string
	Script  string
	Started time.Time
	DryRun  bool
}

// Field is one field of a log line, in the order given. Value is nil, bool, int64, float64, string, []any or map[string]any.
type Field struct {
	Name  string
	Value any
}
