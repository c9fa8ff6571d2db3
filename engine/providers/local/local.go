// Package local keeps objects as plain files below one folder.
//
// A key is a path below the folder: users look at their files, and files that they put there are objects (see keys.go
// for the few names that differ). The driver never leaves the folder: it goes down one name at a time and follows no
// link to a folder; a link to a file is followed where it stays within the folder. Pipes, sockets and devices are never
// opened. Files are made with mode 0600 and folders with 0700, less the umask; owner, mode and links are not made from
// objects.
//
// A file is written under a hidden name, synced, renamed and its folder synced: whatever happens, the old or the new
// content is there, and after Put has returned it is the new one even when the power fails. What a killed process left
// is removed when the folder is opened next.
//
// On a file system that takes different names for one (Case and case, or two forms of an accent) a key that would reach
// another key's file is refused. That is found out from the names at the top and by each first write into a folder.
//
// Conditions (IfAbsent, IfMatch) hold among all processes that write through this driver: each takes the folder's lock
// (flock) for its last step. IfAbsent holds against every other program too. A foreign program that changes a file
// between the check and the rename of a Put with IfMatch, microseconds, is not noticed.
package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

// Options of `datastore "local"`.
type Options struct {
	Path   string // the folder
	Create bool   // make it when it is missing
}

// Fields implements schema.Fielder.
func (o *Options) Fields(f *schema.Fields) {
	f.Path(&o.Path, "path", "Folder that holds the objects as files.").Required().Eg(`"./data"`)
	f.Bool(&o.Create, "create", "Make the folder, and those above it, when it is missing.").Default("false")
}

// Provider returns the datastore kind "local".
func Provider() provider.Provider {
	return provider.Store("local", "Objects are the files below a local folder.",
		func(_ context.Context, env provider.Env, o *Options) (store.Driver, error) {
			if path, err := filepath.Abs(o.Path); err == nil && env.DryRun && o.Create {
				if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
					return absent{path}, nil
				}
			}
			return Open(*o)
		})
}

// Driver is an open folder. It implements store.Driver, Copier, Locator, Checker and DirOpener.
type Driver struct {
	path   string
	create bool
	top    *handle
	root   *os.Root // the same folder, for links to files
	caps   store.Caps
	walker *store.Walker
	locks  [64]chan struct{} // by folder: one writer of this process at a time goes for the folder's lock
	folds  atomic.Bool       // names that differ only in case or composition are one file somewhere in here

	mu      sync.Mutex
	writer  *os.File        // the register, once this process has written
	wrote   int64           // bytes in it
	folders map[string]bool // prepared to write below; true: in the register too
	accents bool            // foldsAccents has been asked

	step func(what, name string) error // tests watch and break the steps of a write
}

// Open opens a folder, or makes it.
func Open(o Options) (*Driver, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, os.ErrNotExist) && o.Create {
		if err = makeTop(path); err == nil {
			root, err = os.OpenRoot(path)
		}
	}
	if err != nil {
		return nil, openError(path, err)
	}
	top, err := openTop(root)
	if err != nil {
		root.Close()
		return nil, openError(path, err)
	}
	d := &Driver{path: path, create: o.Create, root: root, top: top, folders: map[string]bool{}}
	d.walker = store.NewWalker(d, 1000)
	for i := range d.locks {
		d.locks[i] = make(chan struct{}, 1)
	}
	d.caps = capsOf(top)
	d.folds.Store(foldsCase(top))
	d.sweep()
	return d, nil
}

func openError(path string, err error) error {
	info, e := os.Stat(path)
	switch {
	case e == nil && !info.IsDir(), errors.Is(e, syscall.ENOTDIR):
		return fault.New(fault.InvalidArgument, "the path %q is not a folder", path)
	case errors.Is(err, os.ErrNotExist):
		return &fault.Error{Class: fault.Class{Code: fault.NotFound,
			Hint: fmt.Sprintf("Set `create = true`, or make the folder with: mkdir -p %s", shellQuote(path))},
			Err: fmt.Errorf("the folder %q does not exist", path)}
	}
	return err
}

func capsOf(top *handle) store.Caps {
	c := store.Caps{Order: store.OrderByKey, IfAbsent: true, IfMatch: canLock(top), Pin: true, Modified: true,
		Why: maps.Clone(lacks)}
	if !c.IfMatch {
		c.Why["IfMatch"] = "the file system has no locks (flock) on folders"
	}
	return c
}

// lacks says why files cannot do what they cannot do.
var lacks = map[string]string{
	"Metadata": "a file holds its bytes and its time; content types follow from the names",
	"Part":     "a file is written in one go at the speed of the disk",
	"Sums":     "a file system keeps no checksums",
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps { return d.caps }

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	if err := d.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	name, err := file(key)
	if err != nil {
		return store.Entry{}, err
	}
	h, base, err := d.parent(name)
	if err != nil {
		return store.Entry{}, err
	}
	defer h.close()
	x, err := d.look(h, base, name)
	if err == nil {
		err = x.object(name)
	}
	if err == nil {
		err = x.meets(c)
	}
	if err != nil {
		return store.Entry{}, err
	}
	return x.whole(key), nil
}

// Close implements store.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.retire(), d.top.close(), d.root.Close())
}

// URI implements store.Locator. It names the file, so that other programs find it.
func (d *Driver) URI(key string) string { return uri(d.path, key) }

func uri(path, key string) string {
	name, err := file(key)
	if err != nil {
		name = key
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path) + "/" + name}).String()
}

// Check implements store.Checker. A folder that is made when missing is meant to be written to, and must allow it.
func (d *Driver) Check(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if err := d.alive(); err != nil {
		return err
	}
	if err := d.top.names(func([]byte, kind) bool { return false }); err != nil || !d.create {
		return err
	}
	return d.top.mayWrite()
}

// alive reports whether the top folder still exists. An open folder that was removed looks empty.
func (d *Driver) alive() error {
	x, err := d.top.stat(".")
	if err == nil && x.links == 0 {
		err = fault.New(fault.NotFound, "the folder %q was removed", d.path)
	}
	return err
}

// usable is the first step of each call.
func (d *Driver) usable(ctx context.Context) error { return context.Cause(ctx) }
