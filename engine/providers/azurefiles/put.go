package azurefiles

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver. A source that fails before its first 4 MiB are read leaves no trace of it.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return store.Entry{}, err
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Entry{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })() // a source that hangs must not hold the call
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size(), Hash: md5.New()}
	if s.Size > maxSize {
		return store.Entry{}, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", s.Size, int64(maxSize))
	}
	size := int64(rangeSize)
	if s.Size >= 0 && s.Size < size {
		size = s.Size
	}
	first := make([]byte, size)
	n, err := s.Fill(first)
	if err == nil && !s.Ended && (s.N == s.Size || n < len(first)) {
		err = s.End()
	}
	if err != nil {
		return store.Entry{}, err
	}
	whole, sum := s.Size, ""
	if s.Ended {
		whole, sum = s.N, text(s)
	}
	t, err := d.newTemp(ctx, key, azurerest.TempPut, azurerest.NewID(), o, max(whole, int64(n)), sum)
	if err != nil {
		return store.Entry{}, err
	}
	defer t.drop(ctx)
	if err := t.fill(ctx, s, first[:n], 0, 2); err != nil {
		return store.Entry{}, err
	}
	if err := src.Close(); err != nil {
		return store.Entry{}, err
	}
	if sum == "" || t.size != s.N {
		if err := t.resize(ctx, s.N, text(s)); err != nil {
			return store.Entry{}, err
		}
	}
	e, err := t.rename(ctx, o)
	if err != nil {
		return store.Entry{}, err
	}
	e.Size, e.Sums = s.N, []store.Sum{{Algo: "md5", Value: s.Hash.Sum(nil)}}
	d.sweep(ctx, parent(key))
	return e, nil
}

func text(s *azurerest.Source) string { return base64.StdEncoding.EncodeToString(s.Hash.Sum(nil)) }

// temp is a hidden file on its way to become key.
type temp struct {
	d         *Driver
	key, path string
	attrs     store.Attributes
	id        string // that the service gave it, which a rename keeps
	size      int64
	gone      bool // renamed or removed
}

// newTemp makes the hidden file with a size and the attributes of the object, and the directories above it.
func (d *Driver) newTemp(ctx context.Context, key string, kind byte, id string, o store.PutOptions, size int64, md5 string) (*temp, error) {
	t := &temp{d: d, key: key, path: azurerest.TempName(key, kind, id), attrs: o.Attrs, size: size}
	r := &azurerest.Request{Action: "Create File", Method: "PUT", Key: t.path, Write: true}
	if err := describe(r, o.Attrs, md5); err != nil {
		return nil, err
	}
	r.Set("X-Ms-Type", "file")
	r.Set("X-Ms-Content-Length", strconv.FormatInt(size, 10))
	for try := 0; ; try++ {
		if err := d.makeDirs(ctx, parent(key)); err != nil {
			return nil, err
		}
		resp, err := d.Call(ctx, r, http.StatusCreated)
		if err == nil {
			t.id = resp.Header.Get("X-Ms-File-Id")
			return t, nil
		}
		if azurerest.Is(err, "ParentNotFound") && try < 3 { // somebody removed the last object in the directory meanwhile
			d.forget(key)
			continue
		}
		if azurerest.Unsure(err) || ctx.Err() != nil {
			t.drop(ctx)
		}
		return nil, err
	}
}

// makeDirs makes a directory and those above it, unless they are known to exist.
func (d *Driver) makeDirs(ctx context.Context, dir string) error {
	if dir == "" || d.knows(dir+"/") {
		return nil
	}
	if err := d.makeDirs(ctx, parent(dir)); err != nil {
		return err
	}
	r := &azurerest.Request{Action: "Create Directory", Method: "PUT", Key: dir, Query: []string{"restype", "directory"}, Write: true}
	_, err := d.Call(ctx, r, http.StatusCreated)
	switch {
	case err == nil:
		d.know(dir + "/")
	case azurerest.Is(err, "ResourceAlreadyExists"):
		other, err := d.foreign(ctx, dir+"/", func() (bool, error) {
			_, err := d.Call(ctx, &azurerest.Request{Action: "Get Directory Properties", Method: "HEAD", Key: dir, Query: []string{"restype", "directory"}}, http.StatusOK)
			if azurerest.Is(err, "ResourceNotFound", "ParentNotFound") { // removed meanwhile: the create will tell
				return false, nil
			}
			return err == nil, err
		})
		if err == nil && other {
			err = errSpelling(dir)
		}
		return err
	case azurerest.Is(err, "ParentNotFound"): // removed meanwhile: the create will tell
		d.forget(dir + "/")
		return nil
	}
	return err
}

// drop removes the hidden file unless it was renamed. It is done for a call that has failed, so that what goes wrong here
// is no matter: the file is hidden, and a later writer removes it.
func (t *temp) drop(ctx context.Context) {
	if t.gone {
		return
	}
	t.gone = true
	wait := 5 * time.Second
	if ctx.Err() != nil { // the caller wants to be gone
		wait = 800 * time.Millisecond
	}
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	if _, err := t.d.remove(fresh, t.path); err == nil {
		t.d.prune(fresh, parent(t.path))
	}
}

// fill writes what first holds and the rest of the source from off on, in ranges of which up to n are held and on their
// way at once. A file of unknown size grows ahead of them.
func (t *temp) fill(ctx context.Context, s *azurerest.Source, first []byte, off int64, n int) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	if c, ok := s.Src.(io.Closer); ok { // a range that failed ends a source that hangs
		defer context.AfterFunc(gctx, func() { c.Close() })()
	}
	free := make(chan []byte, n)
	at := off
	send := func(data, buf []byte) {
		pos := at
		at += int64(len(data))
		g.Go(func() error {
			err := t.write(gctx, pos, data)
			free <- buf
			return err
		})
	}
	made := 0
	if len(first) > 0 {
		made++
		send(first, first)
	}
	var err error
	for err == nil && !s.Ended && gctx.Err() == nil {
		var buf []byte
		if made < n {
			made++
		} else {
			select {
			case buf = <-free:
			case <-gctx.Done():
				continue
			}
		}
		if cap(buf) < rangeSize {
			buf = make([]byte, rangeSize)
		}
		buf = buf[:rangeSize]
		var k int
		if k, err = s.Fill(buf); err != nil || k == 0 {
			continue
		}
		if end := at + int64(k); end > t.size {
			if s.Size >= 0 || end > maxSize {
				err = fault.New(fault.InvalidArgument, "the bytes run over the %d of the object", t.size)
				continue
			}
			if err = t.resize(gctx, min(max(end, 2*t.size), maxSize), ""); err != nil {
				continue
			}
		}
		send(buf[:k], buf)
	}
	if werr := g.Wait(); werr != nil && (err == nil || context.Cause(gctx) == werr) {
		err = werr // it ended the source
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return err
}

// write is Put Range. The service verifies the MD5.
func (t *temp) write(ctx context.Context, pos int64, data []byte) error {
	r := &azurerest.Request{Action: "Put Range", Method: "PUT", Key: t.path, Query: []string{"comp", "range"}, Body: data, Write: true}
	sum := azurerest.MD5(data)
	r.Set("X-Ms-Write", "update")
	r.Set("X-Ms-Range", fmt.Sprintf("bytes=%d-%d", pos, pos+int64(len(data))-1))
	r.Set("Content-Md5", sum)
	r.Set("X-Ms-File-Last-Write-Time", "preserve")
	resp, err := t.d.Call(ctx, r, http.StatusCreated)
	if err != nil {
		return err
	}
	if got := resp.Header.Get("Content-Md5"); got != "" && got != sum {
		return fault.New(fault.DataLoss, "the service holds bytes with the MD5 %s, sent were %s", got, sum)
	}
	return nil
}

// resize is Set File Properties: it gives the hidden file a size and the MD5 of its bytes.
func (t *temp) resize(ctx context.Context, size int64, md5 string) error {
	r := &azurerest.Request{Action: "Set File Properties", Method: "PUT", Key: t.path, Query: []string{"comp", "properties"}, Write: true}
	if err := headers(r, t.attrs, md5); err != nil {
		return err
	}
	delete(r.Header, "X-Ms-File-Creation-Time")
	r.Set("X-Ms-File-Permission", "preserve")
	r.Set("X-Ms-Content-Length", strconv.FormatInt(size, 10))
	if _, err := t.d.Call(ctx, r, http.StatusOK); err != nil {
		return err
	}
	t.size = size
	return nil
}

// rename makes the hidden file the object, in place of another unless o.IfAbsent. A rename whose reply was lost is known by
// the id that the service gave the file.
func (t *temp) rename(ctx context.Context, o store.PutOptions) (store.Entry, error) {
	d := t.d
	sas, err := d.SAS(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	source := d.URI(t.path)
	if sas != "" {
		source += "?" + sas
	}
	r := &azurerest.Request{Action: "Rename File", Method: "PUT", Key: t.key, Query: []string{"comp", "rename"}, Write: true}
	r.Set("X-Ms-File-Rename-Source", source)
	r.Set("X-Ms-File-Rename-Replace-If-Exists", strconv.FormatBool(!o.IfAbsent))
	resp, err := d.Call(ctx, r, http.StatusOK)
	if err == nil {
		t.gone = true
		d.know(t.key)
		if e := (store.Entry{Key: t.key, ETag: azurerest.Quoted(resp.Header.Get("ETag")), Modified: written(resp.Header)}); e.ETag != "" && !e.Modified.IsZero() {
			return e, nil
		}
	}
	if err == nil || ctx.Err() == nil && (azurerest.Unsure(err) || azurerest.Is(err, "ResourceNotFound", "ResourceAlreadyExists")) {
		resp, e2 := d.Do(ctx, reading("HEAD", t.key, store.Cond{}))
		if e2 == nil {
			azurerest.Drain(resp)
			e, e3 := entryOf(resp, t.key)
			if e3 == nil && (err == nil || t.id != "" && resp.Header.Get("X-Ms-File-Id") == t.id) {
				t.gone = true
				d.know(t.key)
				return store.Entry{Key: t.key, ETag: e.ETag, Modified: e.Modified}, nil
			}
			e2 = e3
		}
		if err == nil {
			err = e2
		}
	}
	if azurerest.Is(err, "ResourceNotFound") {
		err = &fault.Error{Class: fault.Class{Code: fault.FailedPrecondition}, Err: fmt.Errorf("the hidden file is gone: %w", err)}
	}
	return store.Entry{}, err
}

// writable refuses what cannot be stored before any byte is read, and makes the share where that is asked for.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if err := d.Usable(ctx); err != nil {
		return err
	}
	if o.IfMatch != "" {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", d.Caps().Why["IfMatch"])
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if err := describe(&azurerest.Request{}, o.Attrs, ""); err != nil {
		return err
	}
	if err := d.ensure(ctx); err != nil {
		return err
	}
	return d.free(ctx, key, o)
}

// free refuses a key that the service has in another spelling.
func (d *Driver) free(ctx context.Context, key string, o store.PutOptions) error {
	if d.knows(key) && !o.IfAbsent {
		return nil
	}
	there := false
	other, err := d.foreign(ctx, key, func() (ok bool, err error) {
		there, err = d.has(ctx, key)
		return there, err
	})
	switch {
	case err != nil:
		return err
	case other:
		return errSpelling(key)
	case there && o.IfAbsent:
		return fault.New(fault.AlreadyExists, "there is a file of this name")
	}
	return nil
}

// has reports whether the service has a file of this name in any spelling.
func (d *Driver) has(ctx context.Context, key string) (bool, error) {
	_, err := d.Call(ctx, reading("HEAD", key, store.Cond{}), http.StatusOK)
	if azurerest.StatusOf(err) == http.StatusNotFound && !azurerest.Is(err, "ShareNotFound") || azurerest.Is(err, "ResourceTypeMismatch") {
		return false, nil
	}
	return err == nil, err
}
