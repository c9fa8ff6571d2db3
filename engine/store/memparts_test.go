package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dsrun/dsrun/engine/fault"
)

// partDriver is a memDriver with uploads in parts, whose every call can be made to fail the same way.
type partDriver struct {
	*memDriver
	wordy bool     // State tells the number of parts
	ups   sync.Map // id -> *memUpload
	ids   atomic.Int64
}

func newParts(l PartLimits) *partDriver {
	d := &partDriver{memDriver: newMem()}
	d.caps.Part = l
	return d
}

// pending counts the uploads that were neither committed nor aborted.
func (d *partDriver) pending() (n int) {
	d.ups.Range(func(any, any) bool { n++; return true })
	return n
}

func (d *partDriver) Begin(ctx context.Context, key string, o PutOptions, size int64) (Upload, error) {
	if err := d.at(ctx, "begin", key); err != nil {
		return nil, err
	}
	if d.caps.Part.NeedSize && size < 0 {
		return nil, errors.New("size wanted")
	}
	u := &memUpload{d: d, key: key, o: o, size: size, id: strconv.FormatInt(d.ids.Add(1), 10), parts: map[int]memPart{}}
	d.ups.Store(u.id, u)
	return u, nil
}

func (d *partDriver) Resume(_ context.Context, state []byte) (Upload, error) {
	id, _, _ := strings.Cut(string(state), " ")
	u, ok := d.ups.Load(id)
	if !ok {
		return nil, errNone
	}
	return u.(*memUpload), nil
}

type memUpload struct {
	d     *partDriver
	key   string
	o     PutOptions
	size  int64
	id    string
	mu    sync.Mutex
	parts map[int]memPart
	busy  int
	order []int
}

type memPart struct {
	p    Part
	data []byte
}

func (u *memUpload) Part(ctx context.Context, n int, off int64, body Body) (Part, error) {
	if err := u.d.at(ctx, "part", u.key); err != nil {
		return Part{}, err
	}
	u.mu.Lock()
	u.busy++
	if l := u.d.caps.Part; l.Sequential && u.busy > 1 || l.Max > 0 && body.Size() > l.Max || n > l.Count || l.Align > 0 && off%l.Align != 0 {
		u.mu.Unlock()
		return Part{}, fault.New(fault.InvalidArgument, "part %d of %d bytes at %d is not allowed", n, body.Size(), off)
	}
	u.mu.Unlock()
	data, err := readBody(ctx, body)
	if err == nil {
		err = u.d.at(ctx, "partstored", u.key)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy--
	if err != nil {
		return Part{}, err
	}
	p := Part{N: n, Off: off, Size: int64(len(data)), ETag: strconv.Itoa(n)}
	u.parts[n] = memPart{p, data}
	u.order = append(u.order, n)
	return p, nil
}

func (u *memUpload) Parts(ctx context.Context) ([]Part, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []Part
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		out = append(out, u.parts[n].p)
	}
	return out, nil
}

func (u *memUpload) State() []byte {
	if u.d.wordy {
		u.mu.Lock()
		defer u.mu.Unlock()
		return fmt.Appendf(nil, "%s %d", u.id, len(u.parts))
	}
	return []byte(u.id)
}

func (u *memUpload) Commit(ctx context.Context, parts []Part) (Entry, error) {
	if err := u.d.at(ctx, "commit", u.key); err != nil {
		return Entry{}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var data []byte
	for i, p := range parts {
		have, ok := u.parts[p.N]
		if !ok || p.N != i+1 || have.p.ETag != p.ETag || i < len(parts)-1 && p.Size < u.d.caps.Part.Min {
			return Entry{}, fault.New(fault.InvalidArgument, "part %d is not there or too small", p.N)
		}
		data = append(data, have.data...)
	}
	e, err := u.d.commit(u.key, data, u.o)
	if err == nil {
		u.d.ups.Delete(u.id)
	}
	return e, err
}

func (u *memUpload) Abort(ctx context.Context) error {
	if err := u.d.at(ctx, "abort", u.key); err != nil {
		return err
	}
	u.d.ups.Delete(u.id)
	return nil
}

// copyDriver copies between memDrivers by itself.
type copyDriver struct{ *memDriver }

func (d *copyDriver) CopyFrom(ctx context.Context, src Driver, srcKey, dstKey string, o CopyOptions) (Entry, error) {
	if err := d.at(ctx, "copy", dstKey); err != nil {
		return Entry{}, err
	}
	from, ok := src.(*copyDriver)
	if !ok {
		return Entry{}, errUnknown
	}
	from.mu.Lock()
	obj, ok := from.objects[srcKey]
	from.mu.Unlock()
	switch {
	case !ok:
		return Entry{}, errNone
	case o.SrcIfMatch != "" && o.SrcIfMatch != obj.e.ETag:
		return Entry{}, errCond
	}
	p := o.Put
	if o.KeepAttrs {
		p.Attrs = *obj.e.Attrs
		p.Attrs.Modified = obj.e.Modified
	}
	return d.commit(dstKey, obj.data, p)
}

// batchDriver deletes in batches of three and says which keys it could not delete.
type batchDriver struct {
	*memDriver
	refuse func(key string) error
}

func (d *batchDriver) MaxDeleteBatch() int { return 3 }

func (d *batchDriver) DeleteBatch(ctx context.Context, keys []string) (map[string]error, error) {
	if err := d.at(ctx, "deletebatch", strings.Join(keys, ",")); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	failed := map[string]error{}
	for _, k := range keys {
		if d.refuse != nil {
			if err := d.refuse(k); err != nil {
				failed[k] = err
				continue
			}
		}
		delete(d.objects, k)
	}
	return failed, nil
}
