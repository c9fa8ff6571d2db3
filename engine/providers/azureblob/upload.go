package azureblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// upload is a blob whose blocks are going up.
type upload struct {
	d *Driver
	saved
	done atomic.Bool // committed or aborted
}

// saved is the form of Upload.State. Conditions and attributes go with the commit.
type saved struct {
	Container string           `json:"container"`
	Key       string           `json:"key"`
	ID        string           `json:"id"`
	Size      int64            `json:"size"` // -1 unknown
	Put       store.PutOptions `json:"put"`
}

func (d *Driver) newUpload(key string, o store.PutOptions, size int64) *upload {
	return &upload{d: d, saved: saved{Container: d.o.Container, Key: key, ID: rand.Text()[:16], Size: size, Put: o}}
}

// Begin implements store.Multiparter. The service is told nothing yet.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", size, int64(maxSize))
	}
	return d.newUpload(key, o, size), nil
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	u := &upload{d: d}
	if err := json.Unmarshal(state, &u.saved); err != nil || len(u.ID) != 16 || u.Container != d.o.Container || checkKey(u.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the state is not of an upload to the container %q", d.o.Container)
	}
	return u, context.Cause(ctx)
}

// State implements store.Upload.
func (u *upload) State() []byte {
	b, _ := json.Marshal(u.saved)
	return b
}

// block is the id of part n: all ids of a blob must have one length.
func (u *upload) block(n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "dsrun-%s-%07d", u.ID, n))
}

// part reads the number of a block of this upload.
func (u *upload) part(id string) (n int, ok bool) {
	b, err := base64.StdEncoding.DecodeString(id)
	rest, mine := strings.CutPrefix(string(b), "dsrun-"+u.ID+"-")
	if err != nil || !mine {
		return 0, false
	}
	_, err = fmt.Sscanf(rest, "%07d", &n)
	return n, err == nil
}

func (u *upload) open() error {
	if u.done.Load() {
		return fault.New(fault.FailedPrecondition, "the upload has ended")
	}
	return nil
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if err := u.open(); err != nil {
		return store.Part{}, err
	}
	if n < 1 || n > maxParts || off < 0 || body.Size() > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d and have at most %d bytes", n, off, maxParts, int64(maxPart))
	}
	src, err := body.Open(ctx)
	if err != nil {
		return store.Part{}, err
	}
	stop := context.AfterFunc(ctx, func() { src.Close() })
	s := &source{ctx: ctx, src: src, size: body.Size(), hash: md5.New()}
	var buf bytes.Buffer
	chunk := make([]byte, 256<<10)
	for err == nil && !s.ended {
		var k int
		k, err = s.fill(chunk)
		buf.Write(chunk[:k])
	}
	if stop() {
		if e := src.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return store.Part{}, err
	}
	return u.stage(ctx, n, off, buf.Bytes())
}

// stage is Put Block.
func (u *upload) stage(ctx context.Context, n int, off int64, data []byte) (store.Part, error) {
	if n > maxParts {
		return store.Part{}, fault.Hinted(fault.InvalidArgument, "Give the size of the source, or a larger part_size.", "the object needs more than %d blocks", maxParts)
	}
	p := store.Part{N: n, Off: off, Size: int64(len(data)), ETag: u.block(n)}
	if len(data) == 0 { // the service has no empty blocks, and a blob of none is empty
		return p, nil
	}
	r := &request{action: "Put Block", method: "PUT", key: u.Key, query: []string{"comp", "block", "blockid", p.ETag}, body: data, write: true}
	sum := crc(data)
	r.set("X-Ms-Content-Crc64", sum)
	resp, err := u.d.do(ctx, r)
	if err != nil {
		return store.Part{}, err
	}
	drain(resp)
	if got := resp.Header.Get("X-Ms-Content-Crc64"); got != "" && got != sum {
		return store.Part{}, fault.New(fault.DataLoss, "the service holds bytes with the CRC-64 %s, sent were %s", got, sum)
	}
	if got := resp.Header.Get("Content-Md5"); got != "" {
		own := md5.Sum(data)
		if got != base64.StdEncoding.EncodeToString(own[:]) {
			return store.Part{}, fault.New(fault.DataLoss, "the service holds bytes with another MD5 than those sent")
		}
	}
	if resp.StatusCode != 201 {
		return store.Part{}, notAzure(resp, "a block is answered with 201")
	}
	return p, nil
}

type blockList struct {
	Committed   struct{ Block []blockEntry } `xml:"CommittedBlocks"`
	Uncommitted struct{ Block []blockEntry } `xml:"UncommittedBlocks"`
}

type blockEntry struct {
	Name string
	Size int64
}

func (u *upload) blocks(ctx context.Context, kind string) (l blockList, err error) {
	r := &request{action: "Get Block List", method: "GET", key: u.Key, query: []string{"comp", "blocklist", "blocklisttype", kind}}
	if _, err = u.d.xml(ctx, r, "BlockList", &l); is(err, "BlobNotFound") {
		err = nil
	}
	return l, err
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	if err := u.open(); err != nil {
		return nil, err
	}
	l, err := u.blocks(ctx, "uncommitted")
	if err != nil {
		return nil, err
	}
	sizes, last := map[int]int64{}, 0
	for _, b := range l.Uncommitted.Block {
		n, ok := u.part(b.Name)
		if ok && n == aborted {
			return nil, fault.New(fault.NotFound, "the upload was aborted")
		}
		if ok {
			sizes[n], last = b.Size, max(last, n)
		}
	}
	var out []store.Part
	off := int64(0)
	for n := 1; n <= last; n++ {
		if size, ok := sizes[n]; ok {
			out = append(out, store.Part{N: n, Off: off, Size: size, ETag: u.block(n)})
			off += size
		}
	}
	return out, nil
}

// Commit implements store.Upload.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	if err := u.open(); err != nil {
		return store.Entry{}, err
	}
	return u.commit(ctx, parts, nil)
}

// commit is Put Block List. The lost reply of an earlier one is known again by the blocks that the blob has: no other
// upload has their ids.
func (u *upload) commit(ctx context.Context, parts []store.Part, sum []byte) (store.Entry, error) {
	var b bytes.Buffer
	var want []string
	size := int64(0)
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><BlockList>`)
	for i, p := range parts {
		if p.Off != size || i > 0 && p.N <= parts[i-1].N || p.ETag != u.block(p.N) {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is not the one that follows, or not of this upload", p.N)
		}
		if size += p.Size; p.Size > 0 {
			b.WriteString("<Uncommitted>" + p.ETag + "</Uncommitted>")
			want = append(want, p.ETag)
		}
	}
	b.WriteString("</BlockList>")
	if u.Size >= 0 && size != u.Size {
		return store.Entry{}, fault.New(fault.InvalidArgument, "the parts have %d bytes, the object %d", size, u.Size)
	}
	r := &request{action: "Put Block List", method: "PUT", key: u.Key, query: []string{"comp", "blocklist"}, body: b.Bytes(), write: true}
	if err := describe(r, u.Put.Attrs); err != nil {
		return store.Entry{}, err
	}
	condition(r, u.Put)
	r.set("X-Ms-Access-Tier", u.d.o.AccessTier)
	r.set("X-Ms-Content-Crc64", crc(b.Bytes()))
	r.set("Content-Type", "application/xml")
	if sum != nil {
		r.set("X-Ms-Blob-Content-Md5", base64.StdEncoding.EncodeToString(sum))
	}
	resp, err := u.d.do(ctx, r)
	if err != nil {
		code := u.d.Classify(err).Code
		if is(err, "InvalidBlockList") || code == fault.FailedPrecondition || code == fault.AlreadyExists {
			if e, ok := u.committed(ctx, want, size); ok {
				u.done.Store(true)
				return e, nil
			}
			if is(err, "InvalidBlockList") {
				err = fault.New(fault.FailedPrecondition, "the blocks of the upload are gone: the object was written meanwhile, or the upload is older than a week: %w", err)
			}
		}
		return store.Entry{}, err
	}
	drain(resp)
	e, err := written(resp, u.Key, size, sum)
	if err == nil {
		u.done.Store(true)
	}
	return e, err
}

// committed reports whether the blob consists of exactly these blocks.
func (u *upload) committed(ctx context.Context, want []string, size int64) (store.Entry, bool) {
	l, err := u.blocks(ctx, "committed")
	if err != nil || len(want) == 0 || len(l.Committed.Block) != len(want) {
		return store.Entry{}, false
	}
	for i, b := range l.Committed.Block {
		if b.Name != want[i] {
			return store.Entry{}, false
		}
	}
	e, err := u.d.Stat(ctx, u.Key, store.Cond{})
	return e, err == nil && e.Size == size
}

// aborted is the number of a block that marks an upload as aborted, so that no other process goes on with it.
const aborted = 0

// Abort implements store.Upload. Blocks that were not committed are invisible and cannot be deleted: the service drops
// them after a week, or when the blob is written. Making and deleting an empty blob would drop them at once, and would
// show an empty object to readers and to who listens for new ones.
func (u *upload) Abort(ctx context.Context) error {
	if u.done.Load() {
		return nil
	}
	left, err := u.Parts(ctx)
	switch {
	case u.d.Classify(err).Code == fault.NotFound:
		err = nil
	case err == nil && len(left) > 0:
		_, err = u.stage(ctx, aborted, 0, []byte{0})
	}
	if err == nil {
		u.done.Store(true)
	}
	return err
}
