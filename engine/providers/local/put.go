package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	name, h, err := d.writable(ctx, key, o)
	if err != nil {
		return store.Entry{}, err
	}
	defer h.drop()
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	// A source that hangs must not hold the call once ctx has ended.
	stop := context.AfterFunc(ctx, func() { src.Close() })
	t, err := d.newTemp(ctx, name, h.take())
	if err == nil {
		defer t.drop()
		err = t.fill(ctx, src, body.Size())
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
		return store.Entry{}, err
	}
	return t.commit(ctx, key, o)
}

// writable returns the file of a key that is to be written, and its open folder where that exists. It refuses early what
// commit would refuse: no source is read in vain.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) (string, *spare, error) {
	if err := d.usable(ctx); err != nil {
		return "", nil, err
	}
	if o.IfAbsent && o.IfMatch != "" {
		return "", nil, fault.New(fault.InvalidArgument, "the key cannot both be absent and match")
	}
	if o.IfMatch != "" && !d.caps.IfMatch {
		return "", nil, fault.New(fault.Unimplemented, "no condition on the ETag: %s", d.caps.Why["IfMatch"])
	}
	name, err := file(key)
	if err != nil {
		return "", nil, err
	}
	dir, base := split(name)
	h, err := d.folder(dir)
	if err == nil {
		if err = d.replaceable(h, base, name, o); err != nil {
			h.close()
		}
	} else if errors.Is(err, fs.ErrNotExist) && o.IfMatch == "" {
		h, err = nil, nil
	}
	if err != nil {
		return "", nil, refusal(err)
	}
	return name, &spare{h}, nil
}

// spare is an open folder, or none, that nobody uses yet.
type spare struct{ h *handle }

// take returns the folder, which the caller closes.
func (s *spare) take() *handle {
	h := s.h
	s.h = nil
	return h
}

func (s *spare) drop() {
	if s.h != nil {
		s.h.close()
	}
}

// replaceable checks that the file base in h may be written as o asks.
func (d *Driver) replaceable(h *handle, base, name string, o store.PutOptions) error {
	x, err := h.stat(base)
	if err == nil {
		err = d.spelled(h, base)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.IfMatch == "":
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.FailedPrecondition, "there is no file with ETag %s any more", o.IfMatch)
	case err != nil:
		return err
	case x.kind == kindFolder:
		return fault.New(fault.InvalidArgument, "%q is a folder, so that no file can have its name", name)
	case x.kind == kindOther:
		return fault.New(fault.InvalidArgument, "%q is a pipe, a socket or a device, which are not replaced", name)
	case o.IfAbsent:
		return fault.New(fault.AlreadyExists, "there is a file of this name")
	case o.IfMatch == "":
		return nil
	}
	if x.kind == kindLink {
		if x, err = d.target(name); err != nil {
			return err
		}
	}
	return x.meets(store.Cond{IfMatch: o.IfMatch})
}

// refusal gives an error its meaning for a writer.
func refusal(err error) error {
	var other *spelling
	if errors.As(err, &other) {
		return fault.New(fault.InvalidArgument, "%w: it would become the same file", err)
	}
	if errors.Is(err, syscall.ENOTDIR) && !errors.As(err, new(*fault.Error)) {
		return fault.New(fault.InvalidArgument, "a part of the key before its last / is a file, so that no file can be below it: %w", err)
	}
	return err
}

// temp is a file under a hidden name on its way to become name.
type temp struct {
	d         *Driver
	h         *handle // its folder
	dir, base string  // of name
	name      string
	f         *os.File // nil before it is made
	hidden    string   // "" once renamed
	made      []string // folders that were made for it
}

func newTemp() string {
	var id [8]byte
	rand.Read(id[:])
	return tempStart + hex.EncodeToString(id[:]) + tempEnd
}

// newTemp makes a temp in the folder of name, which h is unless it is nil. A Delete may remove the folder, empty as it
// is, just before.
func (d *Driver) newTemp(ctx context.Context, name string, h *handle) (*temp, error) {
	t := &temp{d: d, name: name, hidden: newTemp(), h: h}
	t.dir, t.base = split(name)
	for try := 0; ; try++ {
		err := t.create(try == 0 && h != nil)
		if err == nil {
			return t, nil
		}
		if t.f != nil || !errors.Is(err, fs.ErrNotExist) || try == 100 || ctx.Err() != nil {
			t.drop()
			return nil, refusal(err)
		}
	}
}

// create makes the file. opened says that t.h is already the folder.
func (t *temp) create(opened bool) (err error) {
	if !opened || t.dir != "." && !t.d.prepared(t.dir) {
		if t.h != nil {
			t.h.close()
		}
		h, made, err := t.d.prepare(t.dir)
		t.h, t.made = h, append(t.made, made...)
		if err != nil {
			return err
		}
	}
	first, err := t.d.enlist(t.dir)
	if err != nil {
		return err
	}
	if t.f, err = t.h.create(t.hidden); err != nil {
		return err
	}
	tryLock(t.f, false) // says that we live
	if first || !isASCII(t.base) {
		t.d.learnFolds(t.h, t.hidden, t.base)
		if t.d.folds.Load() { // the folders on the way were opened before that was known
			way, err := t.d.folder(t.dir)
			if err != nil {
				return err
			}
			way.close()
		}
	}
	return t.d.did("create", t.hidden)
}

// drop removes what is left of a temp, and the folders that were made for it if nothing else is in them.
func (t *temp) drop() {
	if t.f != nil {
		t.f.Close()
		if t.hidden != "" {
			t.h.unlink(t.hidden)
		}
	}
	if t.h != nil {
		t.h.close()
	}
	for i := len(t.made) - 1; i >= 0; i-- {
		t.d.removeFolder(t.made[i])
	}
	*t = temp{d: t.d}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

// fill copies src, which must have size bytes, or any number when size is -1.
func (t *temp) fill(ctx context.Context, src io.Reader, size int64) error {
	var buf []byte
	if size >= 0 && size < 256<<10 { // many small files may be written at once
		buf = make([]byte, size+1)
	} else {
		buf = *buffers.Get().(*[]byte)
		defer buffers.Put(&buf)
	}
	var n int64
	for idle := 0; ; idle++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		got, err := src.Read(buf)
		if got > 0 {
			idle = 0
			n += int64(got)
			if size >= 0 && n > size {
				return fault.New(fault.DataLoss, "the source is longer than its %d bytes", size)
			}
			if _, err := t.f.Write(buf[:got]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && n < size:
			return fault.New(fault.DataLoss, "the source ended after %d of %d bytes", n, size)
		case err == io.EOF:
			return t.d.did("write", t.hidden)
		case err != nil:
			return err
		case idle > 100:
			return io.ErrNoProgress
		}
	}
}

// commit gives the temp its name, durably.
func (t *temp) commit(ctx context.Context, key string, o store.PutOptions) (store.Entry, error) {
	// The clock of file systems is coarse. Our own gives each state of a file a time of its own.
	modified := o.Attrs.Modified
	if modified.IsZero() {
		modified = time.Now()
	}
	if err := t.h.setTime(t.hidden, modified); err != nil {
		return store.Entry{}, err
	}
	if err := errors.Join(t.f.Sync(), t.d.did("sync file", t.hidden)); err != nil {
		return store.Entry{}, err
	}
	x, err := t.rename(ctx, o)
	if err != nil {
		return store.Entry{}, refusal(err)
	}
	if err := errors.Join(t.h.sync(), t.d.did("sync folder", t.dir)); err != nil {
		return store.Entry{}, &fault.Error{Class: fault.Class{Code: t.d.Classify(err).Code, MaybeApplied: true}, Err: err}
	}
	return x.whole(key), nil
}

// rename gives the temp its name. A name that nothing may have is taken by the kernel, at once and from everybody; else
// the conditions are checked under the folder's lock.
func (t *temp) rename(ctx context.Context, o store.PutOptions) (facts, error) {
	if o.IfAbsent && !t.d.folds.Load() {
		if err := t.d.did("rename", t.base); err != nil {
			return facts{}, err
		}
		err := t.h.renameNew(t.hidden, t.base)
		if errors.Is(err, fs.ErrExist) {
			if err = t.d.replaceable(t.h, t.base, t.name, o); err == nil { // it went away since
				err = fault.New(fault.AlreadyExists, "there is a file of this name")
			}
		}
		return t.named(err)
	}
	free, err := t.d.lock(ctx, t.h, t.dir)
	if err != nil {
		return facts{}, err
	}
	defer free()
	if err := t.d.replaceable(t.h, t.base, t.name, o); err != nil {
		return facts{}, err
	}
	if err := t.d.did("rename", t.base); err != nil {
		return facts{}, err
	}
	if o.IfAbsent {
		err = t.h.renameNew(t.hidden, t.base)
	} else {
		err = t.h.rename(t.hidden, t.base)
	}
	if errors.Is(err, fs.ErrExist) { // a program that knows nothing of our lock was faster
		err = fault.New(fault.AlreadyExists, "there is a file of this name")
	}
	return t.named(err)
}

// named notes that a rename is done, unless err says otherwise, and describes the file.
func (t *temp) named(err error) (facts, error) {
	if err != nil {
		return facts{}, err
	}
	t.hidden, t.made = "", nil
	return fileFacts(t.f)
}

// did tells a test that a step is done or, for a rename, due.
func (d *Driver) did(what, name string) error {
	if d.step == nil {
		return nil
	}
	return d.step(what, name)
}
