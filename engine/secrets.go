package engine

import (
	"context"
	"path/filepath"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// secrets is what late evaluation of a block may ask of the world.
type secrets struct{ e *Engine }

var _ config.Secrets = secrets{}

func (s secrets) Env(name string) (string, bool) { return s.e.o.LookupEnv(name) }

// File reads a secret wherever it is mounted: unlike file(), secret::file() is not bound to the project's folder.
func (s secrets) File(_ context.Context, dir, path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		if dir == "" {
			return nil, fault.New(fault.NotFound, "the configuration has no folder to read from")
		}
		path = filepath.Join(dir, path)
	}
	real, err := filepath.EvalSymlinks(path) // mounted secrets are links
	if err != nil {
		return nil, err
	}
	root, err := s.e.o.OpenRoot(filepath.Dir(real))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	v, exposed, err := secret.File(root, filepath.Base(real))
	if err != nil {
		return nil, err
	}
	if exposed {
		s.e.o.Log.Warn("other users of this machine can read a secret's file", "file", path)
	}
	return []byte(v.Reveal()), nil
}

// Exec gives the command the whole environment, as git and the AWS tools do for their helpers: what it asks (a password
// manager, an agent) is found through it. It runs only because the configuration says so.
func (s secrets) Exec(ctx context.Context, dir string, args []string) ([]byte, error) {
	v, err := secret.Exec(ctx, args, secret.ExecOptions{Dir: dir, Env: s.e.o.Environ(), Redactor: s.e.o.Redactor})
	return []byte(v.Reveal()), err
}

func (s secrets) Seen(values ...string) { s.e.o.Redactor.Add(values...) }

// readAbsolute reads a file that the configuration names by an absolute path. Links are followed: mounted secrets are.
func (e *Engine) readAbsolute(path string, max int64) ([]byte, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	root, err := e.o.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return readBounded(root, filepath.Base(path), max)
}

// DiagnosticsError is an error made of the mistakes of a configuration.
type DiagnosticsError struct{ Diags []config.Diag }

// Error is the first mistake, with its place.
func (e *DiagnosticsError) Error() string {
	if len(e.Diags) == 0 {
		return "invalid configuration"
	}
	d := e.Diags[0]
	return d.Summary + ": " + d.Detail
}
