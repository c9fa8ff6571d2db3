package azurefiles

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	partRanges = 4 // ranges of one part that are on their way at once

	// The state file has the state in JSON and then a record of 64 bytes for each part that is whole: offset, size and tag.
	recordsAt  = 64 << 10
	recordSize = 64
	stateSize  = recordsAt + maxParts*recordSize
)

// upload is an object that goes up in parts, in any order, each in its place in the hidden file. A second hidden file tells
// which are whole: the ranges that the service lists would not tell a part from a piece of one.
type upload struct {
	d *Driver
	saved

	t    *temp
	mu   sync.Mutex
	tags map[int]bool // parts that have a record, or may have one
	done bool         // committed or aborted
}

// saved is the form of Upload.State and of the state file.
type saved struct {
	Share  string           `json:"share"`
	Key    string           `json:"key"`
	ID     string           `json:"id"`
	FileID string           `json:"file_id"` // that the service gave the hidden file
	Size   int64            `json:"size"`
	Put    store.PutOptions `json:"put"`
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size < 0 || size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "an object of %d bytes: the size must be known, and at most %d", size, int64(maxSize))
	}
	u := &upload{d: d, saved: saved{Share: d.o.Share, Key: key, ID: azurerest.NewID(), Size: size, Put: o}, tags: map[int]bool{}}
	t, err := d.newTemp(ctx, key, azurerest.TempUpload, u.ID, o, size, "")
	if err != nil {
		return nil, err
	}
	u.t, u.FileID = t, t.id
	state := u.State()
	if len(state) > recordsAt {
		t.drop(ctx)
		return nil, fault.New(fault.InvalidArgument, "the attributes have more than %d bytes", recordsAt)
	}
	s, err := d.newTemp(ctx, key, azurerest.TempState, u.ID, store.PutOptions{}, stateSize, "")
	if err == nil {
		if err = s.write(ctx, 0, state); err != nil {
			s.drop(ctx)
		}
	}
	if err != nil {
		t.drop(ctx)
		return nil, err
	}
	return u, nil
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	u := &upload{d: d}
	if err := json.Unmarshal(state, &u.saved); err != nil || u.Share != d.o.Share || !azurerest.ValidID(u.ID) || checkKey(u.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the state is not of an upload to the share %q", d.o.Share)
	}
	u.t = &temp{d: d, key: u.Key, path: azurerest.TempName(u.Key, azurerest.TempUpload, u.ID), attrs: u.Put.Attrs, id: u.FileID, size: u.Size}
	return u, context.Cause(ctx)
}

// State implements store.Upload.
func (u *upload) State() []byte {
	b, _ := json.Marshal(u.saved)
	return b
}

func (u *upload) stateFile() *temp {
	return &temp{d: u.d, key: u.Key, path: azurerest.TempName(u.Key, azurerest.TempState, u.ID)}
}

// open refuses an upload that has ended.
func (u *upload) open() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return fault.New(fault.FailedPrecondition, "the upload has ended")
	}
	return nil
}

// lost gives an error of an upload that is gone its meaning.
func (u *upload) lost(err error) error {
	if u.d.Classify(err).Code == fault.NotFound {
		return &fault.Error{Class: fault.Class{Code: fault.NotFound, Hint: "Upload it anew."}, Err: fmt.Errorf("the upload was aborted, or nobody went on with it for %d days: %w", azurerest.StaleDays, err)}
	}
	return err
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if err := u.open(); err != nil {
		return store.Part{}, err
	}
	if size := body.Size(); n < 1 || n > maxParts || off < 0 || size > maxPart || off+max(size, 0) > u.Size {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d, have at most %d bytes and lie within the %d of the object", n, off, maxParts, int64(maxPart), u.Size)
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Part{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	if err := u.clear(ctx, n); err != nil {
		return store.Part{}, u.lost(err)
	}
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size()}
	t := *u.t // its size stays
	err = t.fill(ctx, s, nil, off, partRanges)
	if err == nil {
		err = src.Close()
	}
	if err == nil && off+s.N > u.Size {
		err = fault.New(fault.InvalidArgument, "part %d runs over the %d bytes of the object", n, u.Size)
	}
	if err != nil {
		return store.Part{}, u.lost(err)
	}
	p := store.Part{N: n, Off: off, Size: s.N, ETag: rand.Text()[:16]}
	record := fmt.Appendf(nil, "%020d %020d %s", p.Off, p.Size, p.ETag)
	u.mark(n)
	if err := u.stateFile().write(ctx, at(n), append(record, bytes.Repeat([]byte{' '}, recordSize-len(record))...)); err != nil {
		return store.Part{}, u.lost(err)
	}
	return p, nil
}

func at(n int) int64 { return recordsAt + int64(n-1)*recordSize }

func (u *upload) mark(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tags[n] = true
}

// clear takes back the record of a part before its bytes are written again.
func (u *upload) clear(ctx context.Context, n int) error {
	u.mu.Lock()
	known := u.tags != nil
	marked := u.tags[n]
	u.mu.Unlock()
	if !known {
		parts, err := u.Parts(ctx)
		if err != nil {
			return err
		}
		for _, p := range parts {
			marked = marked || p.N == n
		}
	}
	if !marked {
		return nil
	}
	return u.stateFile().write(ctx, at(n), make([]byte, recordSize))
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	if err := u.open(); err != nil {
		return nil, err
	}
	_, parts, err := u.d.readState(ctx, u.stateFile().path)
	if err != nil {
		return nil, u.lost(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tags == nil {
		u.tags = map[int]bool{}
	}
	for _, p := range parts {
		u.tags[p.N] = true
	}
	return parts, nil
}

// errNotBegun is of a state file that its upload has made and not written yet.
var errNotBegun = fault.New(fault.NotFound, "the upload has not begun")

func (d *Driver) readState(ctx context.Context, path string) (s saved, parts []store.Part, err error) {
	bad := fault.New(fault.DataLoss, "the state file of an upload cannot be read")
	x, err := d.Client.Get(ctx, getter, path, store.GetOptions{})
	if err != nil {
		return s, nil, err
	}
	defer x.Body.Close()
	b, err := io.ReadAll(x.Body)
	if err != nil {
		return s, nil, err
	}
	if len(bytes.TrimRight(b, "\x00")) == 0 {
		return s, nil, errNotBegun
	}
	if len(b) != stateSize || json.Unmarshal(bytes.TrimRight(b[:recordsAt], "\x00"), &s) != nil {
		return s, nil, bad
	}
	for n := 1; n <= maxParts; n++ {
		record := string(b[at(n):][:recordSize])
		if record[0] == 0 {
			continue
		}
		f := strings.Fields(record)
		if len(f) != 3 {
			return s, nil, bad
		}
		off, err1 := strconv.ParseInt(f[0], 10, 64)
		size, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil {
			return s, nil, bad
		}
		parts = append(parts, store.Part{N: n, Off: off, Size: size, ETag: f[2]})
	}
	return s, parts, nil
}

// Commit implements store.Upload.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	have, err := u.Parts(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	tags := map[int]store.Part{}
	for _, p := range have {
		tags[p.N] = p
	}
	size := int64(0)
	for i, p := range parts {
		if h := tags[p.N]; p.Off != size || i > 0 && p.N <= parts[i-1].N || h.ETag == "" || h.ETag != p.ETag || h.Off != p.Off || h.Size != p.Size {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is not the one that follows, or not of this upload", p.N)
		}
		size += p.Size
	}
	if size != u.Size || len(parts) == 0 {
		return store.Entry{}, fault.New(fault.InvalidArgument, "the parts have %d bytes, the object %d", size, u.Size)
	}
	e, err := u.t.rename(ctx, u.Put)
	if err != nil {
		return store.Entry{}, err
	}
	u.mu.Lock()
	u.done = true
	u.mu.Unlock()
	u.stateFile().drop(ctx) // without its upload it says nothing, so that failing to is no matter
	u.d.sweep(ctx, parent(u.Key))
	e.Size = size
	return e, nil
}

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.open() != nil {
		return nil
	}
	for _, path := range []string{u.t.path, u.stateFile().path} {
		if _, err := u.d.remove(ctx, path); err != nil {
			return err
		}
	}
	u.d.prune(ctx, parent(u.Key))
	u.mu.Lock()
	u.done = true
	u.mu.Unlock()
	return context.Cause(ctx)
}

// Uploads implements store.UploadLister: the state files below the directory of prefix.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	dir := parent(prefix)
	if dir != "" {
		dir += "/"
	}
	list, err := d.states.List(ctx, store.Query{Prefix: dir, Token: token})
	if err != nil {
		return store.UploadPage{}, d.missing(err)
	}
	page := store.UploadPage{Next: list.Next}
	for _, f := range list.Entries {
		s, parts, err := d.readState(ctx, f.Key)
		if d.Classify(err).Code == fault.NotFound { // it ended meanwhile
			continue
		}
		if err != nil {
			return store.UploadPage{}, err
		}
		if s.Share != d.o.Share || azurerest.TempName(s.Key, azurerest.TempState, s.ID) != f.Key || !strings.HasPrefix(s.Key, prefix) {
			continue
		}
		size := int64(0)
		for _, p := range parts {
			size += p.Size
		}
		state, err := json.Marshal(s)
		if err != nil {
			return store.UploadPage{}, err
		}
		page.Uploads = append(page.Uploads, store.PendingUpload{Key: s.Key, ID: s.ID, Started: f.Modified, Size: size, State: state})
	}
	return page, nil
}
