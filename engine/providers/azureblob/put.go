package azureblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"net/http"

	"github.com/minio/crc64nvme"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver. A body of one block goes up in one request with its MD5, which the service verifies and
// keeps. A longer one, or one of unknown length, goes up as blocks that are committed when it has ended well.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return store.Entry{}, err
	}
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	stop := context.AfterFunc(ctx, func() { src.Close() })
	defer func() {
		if stop() {
			src.Close()
		}
	}()
	s := &source{ctx: ctx, src: src, size: body.Size(), hash: md5.New()}
	size := int64(blockSize)
	if s.size >= 0 && s.size < size {
		size = s.size
	}
	buf := make([]byte, size+1) // one byte more, to see the end
	n, err := s.fill(buf)
	if err == nil && n <= blockSize {
		return d.putBlob(ctx, key, buf[:n], s.hash.Sum(nil), o)
	}
	if err != nil {
		return store.Entry{}, err
	}
	u := d.newUpload(key, o, s.size)
	var parts []store.Part
	for rest := buf; len(rest) > 0; {
		data := rest[:min(len(rest), blockSize)]
		p, err := u.stage(ctx, len(parts)+1, s.n-int64(len(rest)), data)
		if err != nil {
			return store.Entry{}, err
		}
		parts = append(parts, p)
		left := copy(buf, rest[len(data):])
		if n, err = s.fill(buf[left:]); err != nil {
			return store.Entry{}, err
		}
		rest = buf[:left+n]
	}
	return u.commit(ctx, parts, s.hash.Sum(nil))
}

// source reads a body and sees that it has its size.
type source struct {
	ctx     context.Context
	src     io.Reader
	size, n int64
	hash    hash.Hash
	ended   bool
}

// fill reads until p is full or the source has ended well, which is no error.
func (s *source) fill(p []byte) (n int, err error) {
	for n < len(p) && !s.ended {
		k, err := s.src.Read(p[n:])
		s.hash.Write(p[n : n+k])
		n, s.n = n+k, s.n+int64(k)
		switch {
		case s.ctx.Err() != nil:
			return n, context.Cause(s.ctx)
		case s.size >= 0 && s.n > s.size:
			return n, fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.size)
		case err == io.EOF && s.n < s.size:
			return n, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", s.n, s.size)
		case err == io.EOF:
			s.ended = true
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// putBlob is Put Blob.
func (d *Driver) putBlob(ctx context.Context, key string, data, sum []byte, o store.PutOptions) (store.Entry, error) {
	r := &request{action: "Put Blob", method: "PUT", key: key, body: data, write: true}
	if err := describe(r, o.Attrs); err != nil {
		return store.Entry{}, err
	}
	condition(r, o)
	r.set("X-Ms-Blob-Type", "BlockBlob")
	r.set("X-Ms-Access-Tier", d.o.AccessTier)
	text := base64.StdEncoding.EncodeToString(sum)
	r.set("Content-Md5", text)
	r.set("X-Ms-Blob-Content-Md5", text)
	resp, err := d.do(ctx, r)
	if err != nil {
		return store.Entry{}, err
	}
	drain(resp)
	if got := resp.Header.Get("Content-Md5"); got != "" && got != text {
		return store.Entry{}, fault.New(fault.DataLoss, "the service holds bytes with the MD5 %s, sent were %s", got, text)
	}
	return written(resp, key, int64(len(data)), sum)
}

// written describes what a reply says was stored.
func written(resp *http.Response, key string, size int64, sum []byte) (store.Entry, error) {
	e := store.Entry{Key: key, Size: size, ETag: quoted(resp.Header.Get("ETag")), Version: resp.Header.Get("X-Ms-Version-Id")}
	if resp.StatusCode != http.StatusCreated || e.ETag == "" {
		return e, notAzure(resp, "it has no ETag or is not of status 201")
	}
	e.Modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
	if sum != nil {
		e.Sums = []store.Sum{{Algo: "md5", Value: sum}}
	}
	return e, nil
}

// crc is the CRC-64 that the service knows, the one of NVMe, in its byte order.
func crc(data []byte) string {
	h := crc64nvme.New()
	h.Write(data)
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, h.Sum64()))
}

func condition(r *request, o store.PutOptions) {
	if o.IfAbsent {
		r.set("If-None-Match", "*")
	}
	r.set("If-Match", o.IfMatch)
}

// writable refuses what cannot be stored before any byte is read, and makes the container where that is asked for.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if d.closed.Load() {
		return fault.New(fault.FailedPrecondition, "the store is closed")
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if o.IfAbsent && o.IfMatch != "" {
		return fault.New(fault.InvalidArgument, "the key cannot both be absent and match")
	}
	if err := describe(&request{}, o.Attrs); err != nil {
		return err
	}
	return d.ensure(ctx)
}

func (d *Driver) ensure(ctx context.Context) error {
	d.mu.Lock()
	made := d.made
	d.mu.Unlock()
	if made || !d.o.CreateIfNotExists {
		return context.Cause(ctx)
	}
	resp, err := d.do(ctx, &request{action: "Create Container", method: "PUT", query: []string{"restype", "container"}, write: true})
	switch {
	case err == nil:
		drain(resp)
	case is(err, "ContainerAlreadyExists"), d.Classify(err).Code == fault.PermissionDenied: // the write itself will tell
	default:
		return err
	}
	d.mu.Lock()
	d.made = true
	d.mu.Unlock()
	return nil
}

// Delete implements store.Driver. Snapshots go with the blob.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := checkKey(key); err != nil {
		return err
	}
	r := &request{action: "Delete Blob", method: "DELETE", key: key, write: true}
	if c.Version != "" {
		r.query = []string{"versionid", c.Version}
	} else {
		r.set("X-Ms-Delete-Snapshots", "include")
	}
	r.set("If-Match", c.IfMatch)
	resp, err := d.do(ctx, r)
	if err != nil {
		if c.IfMatch == "" && is(err, "BlobNotFound") {
			return nil
		}
		return err
	}
	drain(resp)
	if resp.StatusCode != http.StatusAccepted {
		return notAzure(resp, "a delete is answered with 202")
	}
	return nil
}

// held is a body in memory.
type held []byte

// Size implements store.Body.
func (b held) Size() int64 { return int64(len(b)) }

// Replayable implements store.Body.
func (b held) Replayable() bool { return true }

// Open implements store.Body.
func (b held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
}
