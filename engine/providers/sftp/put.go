package sftp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
	"github.com/dsrun/dsrun/engine/store"
)

// The extensions of OpenSSH that writes rest on (its file PROTOCOL, section 4).
const (
	extRename = "posix-rename@openssh.com"
	extFsync  = "fsync@openssh.com"
	extLink   = "hardlink@openssh.com"
)

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Entry{}, err
	}
	if o.IfMatch != "" {
		return store.Entry{}, fault.New(fault.Unimplemented, "no condition on the ETag: %s", lacks["IfMatch"])
	}
	if s := o.Attrs.Modified.Unix(); !o.Attrs.Modified.IsZero() && (s < 0 || s > math.MaxUint32) {
		return store.Entry{}, fault.New(fault.InvalidArgument, "the time %v cannot be kept: SFTP has the years 1970 to 2106", o.Attrs.Modified)
	}
	name, err := filekeys.File(key)
	if err != nil {
		return store.Entry{}, err
	}
	return use(ctx, d.pool, func(c *conn) (store.Entry, error) {
		t := &temp{d: d, c: c, name: name}
		x, err := t.put(ctx, body, o)
		if err != nil {
			t.drop(ctx)
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return store.Entry{}, err
		}
		return x.whole(key), nil
	})
}

// temp is a file under a hidden name on its way to become name.
type temp struct {
	d       *Driver
	c       *conn
	name    string
	dir     string // its folder, as a full path
	full    string // of the file; "" before it is made and once it is renamed
	f       *sftp.File
	missing string // the uppermost folder that was made for it, below the root
}

func (t *temp) put(ctx context.Context, body store.Body, o store.PutOptions) (facts, error) {
	if err := t.replaceable(ctx, o); err != nil {
		return facts{}, err
	}
	src, err := body.Open(ctx)
	if err != nil {
		return facts{}, err
	}
	// A source that hangs must not hold the call once ctx has ended.
	stop := context.AfterFunc(ctx, func() { src.Close() })
	var n int64
	if err = t.create(ctx); err == nil {
		n, err = t.fill(ctx, src, body.Size())
	}
	if stop() { // a source may find only at its end that it was damaged
		if e := src.Close(); err == nil {
			err = e
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return facts{}, t.diskFull(ctx, err)
	}
	x, err := t.finish(ctx, n, o.Attrs.Modified)
	if err != nil {
		return facts{}, t.diskFull(ctx, err)
	}
	return x, t.rename(ctx, o)
}

// replaceable refuses early what rename would refuse: no source is read in vain.
func (t *temp) replaceable(ctx context.Context, o store.PutOptions) error {
	dir, err := t.d.folder(ctx, t.c, path.Dir(t.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // create makes it
	}
	if err != nil {
		return err
	}
	x, err := lstat(ctx, t.c, path.Join(dir, path.Base(t.name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case x.mode.IsDir():
		return fault.New(fault.InvalidArgument, "%q is a folder, so that no file can have its name", t.name)
	case !x.mode.IsRegular() && x.mode&fs.ModeSymlink == 0:
		return fault.New(fault.InvalidArgument, "%q is a pipe, a socket or a device, which are not replaced", t.name)
	case o.IfAbsent:
		return fault.New(fault.AlreadyExists, "there is a file of this name")
	}
	if _, ok := t.c.sftp.HasExtension(extRename); !ok {
		return fault.Hinted(fault.Unimplemented, "Delete the object first, or write to another key.", "the server cannot replace a file in one step: it lacks %s", extRename)
	}
	return nil
}

// create makes the file, and the folders above it. A Delete may remove a folder, empty as it is, just before.
func (t *temp) create(ctx context.Context) error {
	var id [8]byte
	rand.Read(id[:])
	hidden := filekeys.TempStart + hex.EncodeToString(id[:]) + filekeys.TempEnd
	for try := 0; ; try++ {
		dir, err := t.d.folder(ctx, t.c, path.Dir(t.name))
		if err == nil {
			t.dir = dir
			full := path.Join(dir, hidden)
			t.f, err = do(ctx, t.c, false, func() (*sftp.File, error) {
				return t.c.sftp.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
			}, func(f *sftp.File) { f.Close(); t.c.sftp.Remove(full) })
			if err == nil {
				t.full = full
				return run(ctx, t.c, func() error { return t.f.Chmod(fs.FileMode(t.d.mode)) })
			}
			t.f = nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			return err
		}
		if err := t.mkdirs(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// mkdirs makes the folders on the way to name.
func (t *temp) mkdirs(ctx context.Context) error {
	top, err := t.d.top(ctx, t.c)
	if err != nil {
		return err
	}
	at := ""
	for piece := range strings.SplitSeq(path.Dir(t.name), "/") {
		at = strings.TrimPrefix(at+"/"+piece, "/")
		full := top + "/" + at
		x, err := lstat(ctx, t.c, full)
		if errors.Is(err, fs.ErrNotExist) {
			err = run(ctx, t.c, func() error { return t.c.sftp.Mkdir(full) })
			if err == nil {
				if t.missing == "" {
					t.missing = at
				}
				// Folders get the right to enter where files have the right to read.
				mode := t.d.mode | t.d.mode&0o444>>2
				if err := run(ctx, t.c, func() error { return t.c.sftp.Chmod(full, fs.FileMode(mode)) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				continue
			}
			if !failed(err) {
				return err
			}
			if x, err = lstat(ctx, t.c, full); err != nil { // somebody was faster, or it cannot be
				return err
			}
		}
		switch {
		case err != nil:
			return err
		case x.mode&fs.ModeSymlink != 0:
			return fault.Hinted(fault.PermissionDenied, linkHint, "%s: a link is on the way", at)
		case !x.mode.IsDir():
			return fault.New(fault.InvalidArgument, "the part %q of the key before its last / is a file, so that no file can be below it", at)
		}
	}
	return nil
}

// fill copies src, which must have size bytes, or any number when size is -1, with several pieces under way.
func (t *temp) fill(ctx context.Context, src io.Reader, size int64) (int64, error) {
	done := make(chan error, ahead)
	free := ahead
	var off int64
	var first error
	take := func() {
		if err := <-done; err != nil && first == nil {
			first = err
		}
		free++
	}
	for eof := false; !eof && first == nil; {
		if free == 0 {
			take()
			continue
		}
		buf := make([]byte, pieceSize) // a write that is cancelled may use it for a while
		n, err := fillBuffer(src, buf)
		eof = err == io.EOF
		if cause := context.Cause(ctx); cause != nil {
			err, eof = cause, false
		}
		switch {
		case err != nil && !eof:
			first = err
		case size >= 0 && off+int64(n) > size:
			first = fault.New(fault.DataLoss, "the source is longer than its %d bytes", size)
		case eof && off+int64(n) < size:
			first = fault.New(fault.DataLoss, "the source ended after %d of %d bytes", off+int64(n), size)
		}
		if first != nil || n == 0 {
			break
		}
		at := off
		off += int64(n)
		free--
		go func() {
			_, err := do(ctx, t.c, true, func() (int, error) { return t.f.WriteAt(buf[:n], at) }, nil)
			done <- err
		}()
	}
	for free < ahead {
		take()
	}
	return off, first
}

// fillBuffer reads until buf is full or src ends, with the error of src as it is: io.ReadFull has one of its own that a
// source may give too.
func fillBuffer(src io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf) && err == nil; {
		var got int
		got, err = src.Read(buf[n:])
		n += got
		if idle++; got > 0 {
			idle = 0
		}
		if err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// finish makes the file durable and makes sure that the server holds its n bytes.
func (t *temp) finish(ctx context.Context, n int64, modified time.Time) (facts, error) {
	if !modified.IsZero() {
		if err := run(ctx, t.c, func() error { return t.c.sftp.Chtimes(t.full, modified, modified) }); err != nil {
			return facts{}, err
		}
	}
	if _, ok := t.c.sftp.HasExtension(extFsync); ok {
		if err := run(ctx, t.c, t.f.Sync); err != nil {
			return facts{}, err
		}
	}
	i, err := do(ctx, t.c, false, func() (os.FileInfo, error) { return t.f.Stat() }, nil)
	if err != nil {
		return facts{}, err
	}
	f := t.f
	t.f = nil
	if err := run(ctx, t.c, f.Close); err != nil {
		return facts{}, err
	}
	if i.Size() != n {
		return facts{}, fault.New(fault.DataLoss, "the server holds %d of %d bytes", i.Size(), n)
	}
	return factsOf(i), nil
}

// rename gives the file its name. With IfAbsent a second name is made for it, which the server refuses when it is taken,
// and the first one removed.
func (t *temp) rename(ctx context.Context, o store.PutOptions) error {
	target := path.Join(t.dir, path.Base(t.name))
	step := t.c.sftp.PosixRename
	_, replaces := t.c.sftp.HasExtension(extRename)
	_, links := t.c.sftp.HasExtension(extLink)
	switch {
	case o.IfAbsent && !links:
		return fault.New(fault.Unimplemented, "the server cannot make sure that a key is new: it lacks %s", extLink)
	case o.IfAbsent:
		step = t.c.sftp.Link
	case !replaces:
		step = t.c.sftp.Rename // it must not replace, says the protocol
	}
	err := run(ctx, t.c, func() error { return step(t.full, target) })
	if err == nil {
		if o.IfAbsent {
			// The object is there. A hidden name that stays is not listed.
			run(ctx, t.c, func() error { return t.c.sftp.Remove(t.full) })
		}
		t.full, t.missing = "", ""
		return nil
	}
	if failed(err) {
		if e := t.replaceable(ctx, o); e != nil {
			return e
		}
	}
	if class := t.d.Classify(err); ctx.Err() != nil || class.Code == fault.Unavailable || class.Code == fault.DeadlineExceeded {
		class.MaybeApplied = true
		return &fault.Error{Class: class, Err: err}
	}
	return err
}

// diskFull looks whether the disk is full when the server said only that it failed.
func (t *temp) diskFull(ctx context.Context, err error) error {
	if !failed(err) {
		return err
	}
	v, e := do(ctx, t.c, false, func() (*sftp.StatVFS, error) { return t.c.sftp.StatVFS(t.dir) }, nil)
	if e == nil && (v.Bavail*v.Frsize < pieceSize*ahead || v.Files > 0 && v.Favail == 0) {
		return &fault.Error{Err: err, Class: fault.Class{Code: fault.ResourceExhausted, NoRetry: true, Hint: "The server's disk is full: free some space and run again."}}
	}
	return err
}

// drop removes what is left of a file, and the folders that were made for it if nothing else is in them. On a connection
// that broke another one is used.
func (t *temp) drop(ctx context.Context) {
	if t.full == "" && t.missing == "" {
		return
	}
	limit := closing(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	tidy := func(c *conn) (struct{}, error) {
		if t.full != "" {
			run(ctx, c, func() error { return c.sftp.Remove(t.full) })
		}
		if t.missing != "" {
			t.d.prune(ctx, c, path.Dir(t.name), path.Dir(t.missing))
		}
		return struct{}{}, nil
	}
	if t.c.dead() {
		use(ctx, t.d.pool, tidy)
		return
	}
	if t.f != nil {
		run(ctx, t.c, t.f.Close)
	}
	tidy(t.c)
}
