package engine

import (
	"crypto/rand"
	"encoding/hex"
	"os"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// spill makes a private file for bytes that memory has no room for. It has no name once it is open, so nothing is left
// of it however the process ends.
func (p *Project) spill() (store.SpillFile, error) {
	dir := p.cfg.Settings.SpillDir
	if dir == "" {
		dir = p.e.o.TempDir
	}
	if dir == "" {
		return nil, fault.Hinted(fault.ResourceExhausted, "Set settings { spill_dir = ... }.", "no folder for spilled data is known")
	}
	root, err := p.e.o.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var b [12]byte
	_, _ = rand.Read(b[:])
	name := "dsrun-spill-" + hex.EncodeToString(b[:])
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := root.Remove(name); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
