package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store/record"
)

// newRecording begins a recording in a folder, which is made where it is missing.
func (a *app) newRecording(dir string) (*record.Recording, error) {
	abs := a.abs(dir)
	parent, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(abs), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	root, err := a.w.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return record.New(root, a.redactor)
}

// recorded writes what was recorded, of a run that failed too, and returns the error to report: the run's own first.
func (a *app) recorded(rec *record.Recording, script, dir string, err error) error {
	if cerr := rec.Close(script, a.w.Clock.Now()); cerr != nil {
		if err == nil {
			return cerr
		}
		a.report(cerr)
		return err
	}
	if !a.g.json {
		fmt.Fprintf(a.w.Stderr, "recorded; to test with it: dsrun test --replay %s\n", fault.Printable(shellWord(dir)))
	}
	return err
}

func (a *app) openRecording(dir string) (*record.Replay, error) {
	root, err := a.w.OpenRoot(a.abs(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Hinted(fault.InvalidArgument, "Make one: dsrun run SCRIPT --record DIR.", "recording %s does not exist", dir)
	}
	if err != nil {
		return nil, err
	}
	return record.Open(root)
}
