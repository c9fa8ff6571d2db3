package adlsgen2

import (
	"context"
	"crypto/md5"
	"encoding/base64"
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
	size := int64(appendSize)
	if s.Size >= 0 && s.Size < size {
		size = s.Size
	}
	first := make([]byte, size)
	n, err := s.Fill(first)
	if err == nil && !s.Ended && s.N == s.Size {
		err = s.End()
	}
	if err != nil {
		return store.Entry{}, err
	}
	t, err := d.newTemp(ctx, key, azurerest.TempPut, azurerest.NewID(), o)
	if err != nil {
		return store.Entry{}, err
	}
	defer t.drop(ctx)
	if err := t.fill(ctx, s, first[:n], 0, 2, blockOf(s.Size)); err != nil {
		return store.Entry{}, err
	}
	if err := src.Close(); err != nil {
		return store.Entry{}, err
	}
	sum := s.Hash.Sum(nil)
	if s.N > 0 {
		if err := t.flush(ctx, s.N, sum, true); err != nil {
			return store.Entry{}, err
		}
	}
	e, err := t.rename(ctx, o)
	if err != nil {
		return store.Entry{}, err
	}
	e.Size, e.Sums = s.N, []store.Sum{{Algo: "md5", Value: sum}}
	if s.N == 0 {
		e.Sums = nil
	}
	d.sweep(ctx, parent(key))
	return e, nil
}

// blockOf is the size of appends: 4 MiB, or more where the file would need too many.
func blockOf(size int64) int64 {
	need := size/(maxAppends-maxParts) + 1
	if need <= appendSize {
		return appendSize
	}
	return (need + 1<<20 - 1) &^ (1<<20 - 1)
}

// temp is a hidden file on its way to become key.
type temp struct {
	d         *Driver
	key, path string
	etag      string // of the file as it stands, once nothing more is written to it
	gone      bool   // renamed or removed
}

// newTemp makes the hidden file, and the directories above it. It carries the attributes of the object.
func (d *Driver) newTemp(ctx context.Context, key string, kind byte, id string, o store.PutOptions) (*temp, error) {
	t := &temp{d: d, key: key, path: azurerest.TempName(key, kind, id)}
	r := &azurerest.Request{Action: "Path Create", Method: "PUT", Key: t.path, Query: []string{"resource", "file"}, Write: true}
	if err := describe(r, o.Attrs); err != nil {
		return nil, err
	}
	resp, err := d.Call(ctx, r, http.StatusCreated)
	if err != nil {
		if azurerest.Unsure(err) || ctx.Err() != nil {
			t.drop(ctx)
		}
		return nil, err
	}
	t.etag = azurerest.Quoted(resp.Header.Get("ETag"))
	return t, nil
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
	if _, err := t.d.remove(fresh, t.path, ""); err == nil {
		t.d.prune(fresh, parent(t.path))
	}
}

// fill appends what first holds and the rest of the source from off on, in blocks of which up to n are held and on their
// way at once. Nothing of it is in the file before a flush.
func (t *temp) fill(ctx context.Context, s *azurerest.Source, first []byte, off int64, n int, block int64) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	if c, ok := s.Src.(io.Closer); ok { // an append that failed ends a source that hangs
		defer context.AfterFunc(gctx, func() { c.Close() })()
	}
	free := make(chan []byte, n)
	at := off
	send := func(data, buf []byte) {
		pos := at
		at += int64(len(data))
		g.Go(func() error {
			err := t.append(gctx, pos, data)
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
	for blocks := made; err == nil && !s.Ended && gctx.Err() == nil; blocks++ {
		if s.Size < 0 && blocks > 0 && blocks%10_000 == 0 && block < maxAppend/2 { // 50,000 appends must do
			block *= 2
		}
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
		if int64(cap(buf)) < block {
			buf = make([]byte, block)
		}
		buf = buf[:block]
		var k int
		if k, err = s.Fill(buf); err == nil && k > 0 {
			send(buf[:k], buf)
		}
	}
	if werr := g.Wait(); werr != nil && (err == nil || context.Cause(gctx) == werr) {
		err = werr // it ended the source
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return err
}

// append is Path Update with action=append. The service verifies the CRC-64.
func (t *temp) append(ctx context.Context, pos int64, data []byte) error {
	r := &azurerest.Request{Action: "Path Append", Method: "PATCH", Key: t.path, Query: []string{"action", "append", "position", strconv.FormatInt(pos, 10)}, Body: data, Write: true}
	sum := azurerest.CRC(data)
	r.Set("X-Ms-Content-Crc64", sum)
	resp, err := t.d.Call(ctx, r, http.StatusAccepted)
	if err != nil {
		return err
	}
	if got := resp.Header.Get("X-Ms-Content-Crc64"); got != "" && got != sum {
		return fault.New(fault.DataLoss, "the service holds bytes with the CRC-64 %s, sent were %s", got, sum)
	}
	if got := resp.Header.Get("Content-Md5"); got != "" && got != azurerest.MD5(data) {
		return fault.New(fault.DataLoss, "the service holds bytes with another MD5 than those sent")
	}
	return nil
}

// flush is Path Update with action=flush: what was appended before pos becomes the content of the hidden file, what was
// appended beyond it is dropped. The service refuses a gap, and one that does not end at pos.
func (t *temp) flush(ctx context.Context, pos int64, sum []byte, last bool) error {
	r := &azurerest.Request{Action: "Path Flush", Method: "PATCH", Key: t.path, Query: []string{"action", "flush", "position", strconv.FormatInt(pos, 10)}, Write: true}
	if last {
		r.Query = append(r.Query, "close", "true")
	}
	if sum != nil {
		r.Set("X-Ms-Content-Md5", base64.StdEncoding.EncodeToString(sum))
	}
	resp, err := t.d.Call(ctx, r, http.StatusOK)
	if err != nil {
		return err
	}
	if t.etag = azurerest.Quoted(resp.Header.Get("ETag")); t.etag == "" {
		return azurerest.NotAzure(resp, "it has no ETag")
	}
	return nil
}

// rename makes the hidden file the object, under the conditions of o. The service keeps a file's ETag on a rename, as
// Hadoop's committers rely on too (HADOOP-18012), so that a rename whose reply was lost is known by it.
func (t *temp) rename(ctx context.Context, o store.PutOptions) (store.Entry, error) {
	d := t.d
	sas, err := d.SAS(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	source := "/" + d.Root + "/" + azurerest.Escape(t.path)
	if sas != "" {
		source += "?" + sas
	}
	r := &azurerest.Request{Action: "Path Create (rename)", Method: "PUT", Key: t.key, Write: true}
	r.Set("X-Ms-Rename-Source", source)
	if t.etag != "" {
		r.Set("X-Ms-Source-If-Match", t.etag)
	}
	if o.IfAbsent {
		r.Set("If-None-Match", "*")
	}
	r.Set("If-Match", o.IfMatch)
	resp, err := d.Call(ctx, r, http.StatusCreated)
	e := store.Entry{Key: t.key}
	if err == nil {
		t.gone = true
		e.ETag = azurerest.Quoted(resp.Header.Get("ETag"))
		e.Modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
		if e.ETag != "" && !e.Modified.IsZero() {
			return e, nil
		}
	}
	if err == nil || ctx.Err() == nil && (azurerest.Unsure(err) || azurerest.Is(err, "SourcePathNotFound", "PathAlreadyExists", "ConditionNotMet")) {
		st, e2 := d.Client.Stat(ctx, getter, t.key, store.Cond{})
		if e2 == nil && (err == nil || st.ETag == t.etag && t.etag != "") {
			t.gone = true
			return store.Entry{Key: t.key, ETag: st.ETag, Modified: st.Modified}, nil
		}
		if err == nil {
			err = e2
		}
	}
	if azurerest.Is(err, "ConditionNotMet", "SourceConditionNotMet", "SourcePathNotFound") {
		err = &fault.Error{Class: fault.Class{Code: fault.FailedPrecondition}, Err: err}
	}
	return store.Entry{}, err
}

// writable refuses what cannot be stored before any byte is read, and makes the file system where that is asked for.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if err := d.Usable(ctx); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if o.IfAbsent && o.IfMatch != "" {
		return fault.New(fault.InvalidArgument, "the key cannot both be absent and match")
	}
	if err := describe(&azurerest.Request{}, o.Attrs); err != nil {
		return err
	}
	return d.ensure(ctx)
}
