package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// pending is an upload under way; its fields are guarded by data.mu.
type pending struct {
	id, key string
	o       store.PutOptions
	size    int64 // -1 unknown
	started time.Time
	parts   map[int]part
}

type part struct {
	store.Part
	blob *blob
}

// upload is a handle on a pending upload.
type upload struct {
	d       *Driver
	id, key string
}

// saved is the form of Upload.State.
type saved struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	if err := d.ready(ctx, key); err != nil {
		return nil, err
	}
	if size >= 0 && !d.space.fits(size) {
		return nil, d.space.full()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := allows(d.objects.get(key), o); err != nil {
		return nil, err
	}
	o.Attrs = copyAttrs(o.Attrs)
	p := &pending{id: rand.Text(), key: key, o: o, size: size, started: d.clock.Now().UTC(), parts: map[int]part{}}
	d.uploads[p.id] = p
	return &upload{d: d, id: p.id, key: key}, nil
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	var s saved
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, fault.New(fault.InvalidArgument, "the state of another kind of upload")
	}
	u := &upload{d: d, id: s.ID, key: s.Key}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, err := u.pending(ctx); err != nil {
		return nil, err
	}
	return u, nil
}

// pending returns the upload itself. Callers hold the lock.
func (u *upload) pending(ctx context.Context) (*pending, error) {
	if err := u.d.usable(ctx); err != nil {
		return nil, err
	}
	p := u.d.uploads[u.id]
	if p == nil || p.key != u.key {
		return nil, fault.New(fault.NotFound, "no such upload: it was committed or aborted")
	}
	return p, nil
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if n < 1 || n > maxPart || off < 0 {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts count from 1 to %d", n, off, maxPart)
	}
	u.d.mu.RLock()
	_, err := u.pending(ctx)
	u.d.mu.RUnlock()
	if err != nil {
		return store.Part{}, err
	}
	b, err := u.d.space.readBody(ctx, body)
	if err != nil {
		return store.Part{}, err
	}
	return u.store(ctx, n, off, b)
}

// CopyPart implements store.PartCopier.
func (u *upload) CopyPart(ctx context.Context, n int, src store.Driver, srcKey string, r store.Range, o store.CopyOptions) (store.Part, error) {
	from, err := family(src)
	if err != nil {
		return store.Part{}, err
	}
	x, err := from.find(ctx, srcKey, store.Cond{IfMatch: o.SrcIfMatch, Version: o.SrcVersion})
	if err != nil {
		return store.Part{}, err
	}
	in, err := within(&r, x.entry.Size)
	if err != nil {
		return store.Part{}, err
	}
	if !u.d.space.take(in.Len) {
		return store.Part{}, u.d.space.full()
	}
	return u.store(ctx, n, r.Off, x.blob.slice(in.Off, in.Len))
}

// store keeps b as part n, or gives its room back.
func (u *upload) store(ctx context.Context, n int, off int64, b *blob) (store.Part, error) {
	crc := uint32(0)
	for _, c := range b.chunks {
		crc = crc32.Update(crc, castagnoli, c)
	}
	sum := []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
	x := part{blob: b, Part: store.Part{N: n, Off: off, Size: b.size(), ETag: hex.EncodeToString(sum) + "-" + strconv.FormatInt(b.size(), 10),
		Sum: store.Sum{Algo: "crc32c", Value: sum}}}
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	p, err := u.pending(ctx)
	if err != nil {
		u.d.space.give(b.size())
		return store.Part{}, err
	}
	u.d.space.give(p.parts[n].Size)
	p.parts[n] = x
	return x.Part, nil
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	u.d.mu.RLock()
	defer u.d.mu.RUnlock()
	p, err := u.pending(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]store.Part, 0, len(p.parts))
	for _, x := range p.parts {
		out = append(out, x.Part)
	}
	slices.SortFunc(out, func(a, b store.Part) int { return cmp.Compare(a.N, b.N) })
	return out, nil
}

// State implements store.Upload.
func (u *upload) State() []byte {
	b, _ := json.Marshal(saved{ID: u.id, Key: u.key}) // two strings cannot fail
	return b
}

// Commit implements store.Upload. The parts must be those that were stored and must follow each other without a gap.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	u.d.mu.Lock()
	p, err := u.pending(ctx)
	var b *blob
	if err == nil {
		b, err = p.join(parts)
	}
	if err == nil {
		err = allows(u.d.objects.get(u.key), p.o)
	}
	if err != nil {
		u.d.mu.Unlock()
		return store.Entry{}, err
	}
	delete(u.d.uploads, u.id)
	for n, x := range p.parts { // what was stored and is not part of the object
		if !slices.ContainsFunc(parts, func(y store.Part) bool { return y.N == n }) {
			u.d.space.give(x.Size)
		}
	}
	u.d.mu.Unlock()
	return u.d.insert(u.key, b, p.o)
}

// join returns the content that the parts make.
func (p *pending) join(parts []store.Part) (*blob, error) {
	b := &blob{}
	for _, want := range parts {
		have, ok := p.parts[want.N]
		switch {
		case !ok || have.ETag != want.ETag || have.Off != want.Off:
			return nil, fault.New(fault.InvalidArgument, "part %d is not the one that was stored", want.N)
		case have.Off != b.size():
			return nil, fault.New(fault.InvalidArgument, "part %d begins at %d where %d bytes came before it", want.N, have.Off, b.size())
		}
		for _, c := range have.blob.chunks {
			b.add(c)
		}
	}
	if p.size >= 0 && b.size() != p.size {
		return nil, fault.New(fault.DataLoss, "the parts hold %d of the %d bytes that were announced", b.size(), p.size)
	}
	return b, nil
}

// Abort implements store.Upload. An upload that is committed or gone already is no error.
func (u *upload) Abort(ctx context.Context) error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	p := u.d.uploads[u.id]
	if p == nil {
		return nil
	}
	for _, x := range p.parts {
		u.d.space.give(x.Size)
	}
	delete(u.d.uploads, u.id)
	return nil
}

// Uploads implements store.UploadLister. They come in the order of key and id.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (store.UploadPage, error) {
	if err := d.usable(ctx); err != nil {
		return store.UploadPage{}, err
	}
	last, err := fromToken(token)
	if err != nil {
		return store.UploadPage{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []*pending
	for _, p := range d.uploads {
		if strings.HasPrefix(p.key, prefix) && p.name() > last {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pending) int { return cmp.Compare(a.name(), b.name()) })
	var page store.UploadPage
	for i, p := range all {
		if i == maxPage {
			page.Next = toToken(all[i-1].name())
			break
		}
		one := store.PendingUpload{Key: p.key, ID: p.id, Started: p.started, State: (&upload{id: p.id, key: p.key}).State()}
		for _, x := range p.parts {
			one.Size += x.Size
		}
		page.Uploads = append(page.Uploads, one)
	}
	return page, nil
}

// name orders uploads; it is never empty.
func (p *pending) name() string { return p.key + "\x00" + p.id }
