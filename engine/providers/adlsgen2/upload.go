package adlsgen2

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	partAppends = 4       // appends of one part that are on their way at once
	maxState    = 1 << 20 // bytes of a state file that are read at most
)

// upload is an object that goes up in parts. They go up one after another, since the service does not say what it holds
// of what was appended and not flushed: each part is flushed into the hidden file, whose length then tells which parts
// are there. A second hidden file holds the state, for who finds the upload later.
type upload struct {
	d *Driver
	saved

	mu     sync.Mutex
	t      *temp
	at     int64        // bytes that the hidden file has; -1 unknown
	dirty  bool         // there may be appends that were not flushed
	parts  []store.Part // that went up here, or that PartSize tells
	sum    hash.Hash    // of the first hashed bytes, which went up here
	hashed int64
	last   struct { // the part that was sent last, whose reply may be lost
		store.Part
		sum string
	}
	ready bool // all is flushed: only the rename is left
	done  bool // committed or aborted
}

// saved is the form of Upload.State and of the state file.
type saved struct {
	Filesystem string           `json:"filesystem"`
	Key        string           `json:"key"`
	ID         string           `json:"id"`
	Size       int64            `json:"size"`                // -1 unknown
	PartSize   int64            `json:"part_size,omitempty"` // known once the first part is up
	Put        store.PutOptions `json:"put"`
}

// Begin implements store.Multiparter. The service is told nothing before the first part.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", size, int64(maxSize))
	}
	u := &upload{d: d, saved: saved{Filesystem: d.o.Filesystem, Key: key, ID: azurerest.NewID(), Size: max(size, -1), Put: o}, sum: md5.New()}
	return u, nil
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	u := &upload{d: d, at: -1}
	if err := json.Unmarshal(state, &u.saved); err != nil || u.Filesystem != d.o.Filesystem || !azurerest.ValidID(u.ID) || checkKey(u.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the state is not of an upload to the file system %q", d.o.Filesystem)
	}
	u.t = &temp{d: d, key: u.Key, path: azurerest.TempName(u.Key, azurerest.TempUpload, u.ID)}
	return u, context.Cause(ctx)
}

// State implements store.Upload.
func (u *upload) State() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	b, _ := json.Marshal(u.saved)
	return b
}

func (u *upload) etag(n int) string { return fmt.Sprintf("%s-%d", u.ID, n) }

func (u *upload) stateFile() string { return azurerest.TempName(u.Key, azurerest.TempState, u.ID) }

var errEnded = fault.New(fault.FailedPrecondition, "the upload has ended")

// look asks the service what it has.
func (u *upload) look(ctx context.Context) error {
	if u.done {
		return errEnded
	}
	if u.at >= 0 {
		return nil
	}
	e, err := u.d.Client.Stat(ctx, getter, u.t.path, store.Cond{})
	if err != nil {
		return err
	}
	if u.PartSize == 0 {
		s, err := u.d.readState(ctx, u.stateFile())
		switch {
		case err == nil && s.ID == u.ID:
			u.PartSize = s.PartSize
		case e.Size > 0 && err == nil:
			return fault.New(fault.DataLoss, "the state file is of another upload")
		case e.Size > 0:
			return err
		}
	}
	if k := len(u.parts); u.Size < 0 && e.Size > 0 {
		switch {
		case e.Size == u.last.Off+u.last.Size && u.last.N == k+1:
			u.parts = append(u.parts, u.last.Part)
		case k == 0 || e.Size != u.parts[k-1].Off+u.parts[k-1].Size:
			return fault.New(fault.Unimplemented, "an upload of unknown size cannot be taken up again, only dropped")
		}
	}
	u.at, u.dirty, u.t.etag = e.Size, true, e.ETag
	if u.Size >= 0 {
		u.parts = u.parts[:0]
		for off := int64(0); off < u.at && u.PartSize > 0; off += u.PartSize {
			n := len(u.parts) + 1
			u.parts = append(u.parts, store.Part{N: n, Off: off, Size: min(u.PartSize, u.at-off), ETag: u.etag(n)})
		}
	}
	return nil
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return store.Part{}, errEnded
	}
	if n < 1 || n > maxParts || off < 0 || body.Size() > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d and have at most %d bytes", n, off, maxParts, int64(maxPart))
	}
	if u.t == nil {
		if n != 1 || off != 0 {
			return store.Part{}, fault.New(fault.FailedPrecondition, "part %d cannot be the first: parts go up in order", n)
		}
		t, err := u.d.newTemp(ctx, u.Key, azurerest.TempUpload, u.ID, u.Put)
		if err != nil {
			return store.Part{}, err
		}
		u.t = t
	}
	if err := u.look(ctx); err != nil {
		return store.Part{}, u.lost(err)
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Part{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size(), Hash: u.hash(off)}
	if k := len(u.parts); n == k && n == u.last.N && off == u.parts[k-1].Off { // the reply to its flush was lost
		return u.again(s, src)
	}
	if off != u.at || n != len(u.parts)+1 || u.Size >= 0 && n > 1 && off != int64(n-1)*u.PartSize {
		return store.Part{}, fault.New(fault.FailedPrecondition, "part %d at offset %d does not follow: the upload has %d parts of %d bytes in all, and they go up in order", n, off, len(u.parts), u.at)
	}
	return u.send(ctx, n, off, s, src)
}

// hash returns one that goes on from the parts before, where they went up here. It must tell a part by its bytes in any
// case.
func (u *upload) hash(off int64) hash.Hash {
	if c, ok := u.sum.(hash.Cloner); ok && u.hashed == off {
		if h, err := c.Clone(); err == nil {
			return h
		}
	}
	return md5.New()
}

// lost gives an error of an upload that is gone its meaning.
func (u *upload) lost(err error) error {
	if u.d.Classify(err).Code == fault.NotFound {
		return &fault.Error{Class: fault.Class{Code: fault.NotFound, Hint: "Upload it anew."}, Err: fmt.Errorf("the upload was aborted, or nobody went on with it for %d days: %w", azurerest.StaleDays, err)}
	}
	return err
}

// again answers for a part that the service turned out to have, if these are its bytes.
func (u *upload) again(s *azurerest.Source, src io.Closer) (store.Part, error) {
	_, err := io.Copy(io.Discard, reader{s})
	if err == nil {
		err = src.Close()
	}
	if err != nil {
		return store.Part{}, err
	}
	if string(s.Hash.Sum(nil)) != u.last.sum {
		return store.Part{}, fault.New(fault.FailedPrecondition, "part %d is stored with other bytes and cannot be replaced", u.last.N)
	}
	u.extend(s)
	return u.parts[len(u.parts)-1], nil
}

// extend takes over the hash of the part that went up last.
func (u *upload) extend(s *azurerest.Source) {
	if u.sum != nil && u.hashed == u.last.Off {
		u.sum, u.hashed = s.Hash, u.last.Off+u.last.Size
	}
}

// reader reads a source as an io.Reader.
type reader struct{ s *azurerest.Source }

func (r reader) Read(p []byte) (int, error) {
	n, err := r.s.Fill(p)
	if err == nil && n == 0 && r.s.Ended {
		err = io.EOF
	}
	return n, err
}

func (u *upload) send(ctx context.Context, n int, off int64, s *azurerest.Source, src io.Closer) (store.Part, error) {
	if u.dirty { // what is left of a part that failed is dropped
		if err := u.t.flush(ctx, u.at, nil, false); err != nil {
			return store.Part{}, u.lost(err)
		}
		u.dirty = false
	}
	block := blockOf(u.Size)
	if u.Size < 0 {
		block = blockOf(off)
	}
	u.dirty = true
	err := u.t.fill(ctx, s, nil, off, partAppends, block)
	if err == nil {
		err = src.Close()
	}
	if err == nil && u.Size >= 0 && off+s.N > u.Size {
		err = fault.New(fault.InvalidArgument, "the parts have %d bytes, the object %d", off+s.N, u.Size)
	}
	if err == nil && n > 1 && u.Size >= 0 && s.N != u.PartSize && off+s.N != u.Size {
		err = fault.New(fault.InvalidArgument, "part %d has %d bytes, all but the last have %d", n, s.N, u.PartSize)
	}
	if err == nil && n == 1 {
		u.PartSize = s.N
		err = u.writeState(ctx)
	}
	if err != nil {
		return store.Part{}, u.lost(err)
	}
	p := store.Part{N: n, Off: off, Size: s.N, ETag: u.etag(n)}
	u.last.Part, u.last.sum = p, string(s.Hash.Sum(nil))
	if s.N > 0 {
		if err := u.t.flush(ctx, off+s.N, nil, false); err != nil {
			if azurerest.Unsure(err) || ctx.Err() != nil {
				u.at = -1
			}
			return store.Part{}, u.lost(err)
		}
	}
	u.dirty, u.at = false, off+s.N
	u.extend(s)
	u.parts = append(u.parts, p)
	return p, nil
}

// writeState makes the state file.
func (u *upload) writeState(ctx context.Context) error {
	b, err := json.Marshal(u.saved)
	if err != nil {
		return err
	}
	t, err := u.d.newTemp(ctx, u.Key, azurerest.TempState, u.ID, store.PutOptions{})
	if err != nil {
		return err
	}
	if err := t.append(ctx, 0, b); err != nil {
		return err
	}
	return t.flush(ctx, int64(len(b)), nil, true)
}

func (d *Driver) readState(ctx context.Context, path string) (s saved, err error) {
	x, err := d.Client.Get(ctx, getter, path, store.GetOptions{})
	if err != nil {
		return s, err
	}
	defer x.Body.Close()
	b, err := io.ReadAll(io.LimitReader(x.Body, maxState))
	if err != nil {
		return s, err
	}
	if json.Unmarshal(bytes.TrimSpace(b), &s) != nil {
		err = fault.New(fault.DataLoss, "the state file of an upload cannot be read")
	}
	return s, err
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.t == nil && !u.done {
		return nil, context.Cause(ctx)
	}
	if err := u.look(ctx); err != nil {
		return nil, u.lost(err)
	}
	return append([]store.Part(nil), u.parts...), nil
}

// Commit implements store.Upload.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	size := int64(0)
	for i, p := range parts {
		if p.Off != size || p.N != i+1 || p.ETag != u.etag(p.N) {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is not the one that follows, or not of this upload", p.N)
		}
		size += p.Size
	}
	if u.Size >= 0 && size != u.Size || len(parts) == 0 || u.t == nil {
		return store.Entry{}, fault.New(fault.InvalidArgument, "the parts have %d bytes, the object %d", size, u.Size)
	}
	if u.done {
		return store.Entry{}, errEnded
	}
	if err := u.settle(ctx, size, len(parts)); err != nil {
		return store.Entry{}, u.lost(err)
	}
	e, err := u.t.rename(ctx, u.Put)
	if err != nil {
		return store.Entry{}, err
	}
	e.Size, u.done = size, true
	u.forget(ctx)
	u.d.sweep(ctx, parent(u.Key))
	return e, nil
}

// settle flushes for the last time, unless an earlier commit did: the hidden file may be renamed since.
func (u *upload) settle(ctx context.Context, size int64, parts int) error {
	if u.ready {
		return nil
	}
	if err := u.look(ctx); err != nil {
		return err
	}
	if u.at != size || len(u.parts) != parts {
		return fault.New(fault.FailedPrecondition, "the service holds %d bytes in %d parts, not %d in %d", u.at, len(u.parts), size, parts)
	}
	if size > 0 {
		var sum []byte
		if u.sum != nil && u.hashed == size {
			sum = u.sum.Sum(nil)
		}
		if err := u.t.flush(ctx, size, sum, true); err != nil {
			return err
		}
	}
	u.ready, u.dirty = true, false
	return nil
}

// forget removes the state file. Without its upload it says nothing, so that failing to is no matter.
func (u *upload) forget(ctx context.Context) {
	t := &temp{d: u.d, path: u.stateFile()}
	t.drop(ctx)
}

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return nil
	}
	if u.t != nil {
		if _, err := u.d.remove(ctx, u.t.path, ""); err != nil {
			return err
		}
		if _, err := u.d.remove(ctx, u.stateFile(), ""); err != nil {
			return err
		}
		u.d.prune(ctx, parent(u.Key))
	}
	u.done = true
	return context.Cause(ctx)
}

// Uploads implements store.UploadLister: the state files below the directory of prefix, page by page of the listing.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	dir := parent(prefix)
	if dir != "" {
		dir += "/"
	}
	found, next, err := d.hiddenPage(ctx, dir, true, token)
	if err != nil {
		if d.Classify(err).Code == fault.NotFound && (dir != "" || d.missing(err) == nil) {
			err = nil
		}
		return store.UploadPage{}, err
	}
	page := store.UploadPage{Next: next}
	for _, f := range found {
		if f.kind != azurerest.TempState {
			continue
		}
		s, err := d.readState(ctx, f.path)
		if err == nil && (s.ID != f.id || s.Filesystem != d.o.Filesystem || azurerest.TempName(s.Key, azurerest.TempState, s.ID) != f.path) {
			continue // not ours
		}
		var e store.Entry
		if err == nil {
			e, err = d.Client.Stat(ctx, getter, azurerest.TempName(s.Key, azurerest.TempUpload, s.ID), store.Cond{})
		}
		if d.Classify(err).Code == fault.NotFound { // it ended meanwhile
			continue
		}
		if err != nil {
			return store.UploadPage{}, err
		}
		if len(s.Key) < len(prefix) || s.Key[:len(prefix)] != prefix {
			continue
		}
		state, err := json.Marshal(s)
		if err != nil {
			return store.UploadPage{}, err
		}
		page.Uploads = append(page.Uploads, store.PendingUpload{Key: s.Key, ID: s.ID, Started: f.modified, Size: e.Size, State: state})
	}
	return page, nil
}
