package oci

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// small is the size up to which a body is held in memory while it is sent: its checksum goes before it, and it can be
// sent again.
const small = 256 << 10

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return store.Entry{}, err
	}
	size := body.Size()
	if size > maxPart {
		return store.Entry{}, fault.New(fault.InvalidArgument, "an object of %d bytes goes up in parts: a single put takes at most %d", size, int64(maxPart))
	}
	if size < 0 {
		return d.putUnknown(ctx, key, body, o)
	}
	r, err := d.write(key, o)
	if err != nil {
		return store.Entry{}, err
	}
	return d.putOne(ctx, r, key, body, size)
}

// putOne stores a body of known size.
func (d *Driver) putOne(ctx context.Context, r *request, key string, body store.Body, size int64) (store.Entry, error) {
	h, sum, err := d.deliver(ctx, r, key, body, size)
	if err != nil {
		return store.Entry{}, err
	}
	e := store.Entry{Key: key, Size: size, ETag: h.Get("Etag"), Version: h.Get("Version-Id"), Sums: []store.Sum{sum}}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
}

// writable refuses what cannot be stored before any byte is read.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if o.IfAbsent && o.IfMatch != "" {
		return fault.New(fault.InvalidArgument, "the key cannot both be absent and match")
	}
	return d.ensureBucket(ctx)
}

// write returns the request of a put, with everything that says how to store.
func (d *Driver) write(key string, o store.PutOptions) (*request, error) {
	r := &request{action: "OBJECT_CREATE and OBJECT_OVERWRITE", method: "PUT", path: objectPath("/o/", key)}
	x, err := describe(o.Attrs)
	if err != nil {
		return nil, err
	}
	x.headers(r)
	r.set("Storage-Tier", d.o.StorageTier)
	condition(r, o)
	return r, nil
}

func condition(r *request, o store.PutOptions) {
	if o.IfAbsent {
		r.set("If-None-Match", "*")
	}
	r.set("If-Match", o.IfMatch)
}

// deliver sends a body of known size and checks that the service confirms its MD5.
func (d *Driver) deliver(ctx context.Context, r *request, key string, body store.Body, size int64) (h http.Header, sum store.Sum, err error) {
	var s *stream
	if size <= small {
		data, err := transfer.ReadAll(ctx, body, size)
		if err != nil {
			return nil, sum, err
		}
		digest := md5.Sum(data)
		sum = store.Sum{Algo: algoMD5, Value: digest[:]}
		r.set("Content-Md5", base64Of(digest[:]))
		r.body = block(data)
	} else {
		s = newStream(body, size)
		r.body = s
		r.set("Expect", "100-continue") // a condition that does not hold is said before the bytes go
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, sum, d.refusedEarly(ctx, r, s, key, err)
	}
	drain(resp)
	if s != nil {
		if sum, err = s.Sent(); err != nil {
			return nil, sum, err
		}
	}
	h = resp.Header
	got, ok := parseSum(algoMD5, h.Get("Opc-Content-Md5"))
	switch {
	case h.Get("Etag") == "":
		return h, sum, notOCI(resp, "it has no ETag")
	case !ok:
		return h, sum, notOCI(resp, "it does not say which bytes it holds")
	case !bytes.Equal(got.Value, sum.Value):
		if s != nil && r.query == nil { // an object that stands there now; a part is not used
			d.remove(ctx, key, h.Get("Etag"))
		}
		return h, sum, fault.New(fault.DataLoss, "the service holds bytes with the MD5 %s, sent were %s", base64Of(got.Value), base64Of(sum.Value))
	}
	return h, sum, nil
}

// remove takes away what was just stored and is wrong, unless somebody has replaced it.
func (d *Driver) remove(ctx context.Context, key, etag string) {
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := d.Delete(fresh, key, store.Cond{IfMatch: etag}); err != nil {
		d.log.Error("an object whose bytes were altered on the way could not be removed", "key", key, "error", err)
	}
}

// refusedEarly looks at an error of the network while a body was sent under a condition. A service that sees that the
// condition does not hold may answer and hang up while the body is still on its way, and the answer gets lost. As the
// body was not sent to its end, nothing was stored, and the condition can be looked at.
func (d *Driver) refusedEarly(ctx context.Context, r *request, s *stream, key string, err error) error {
	var network *NetError
	absent, match := r.header.Get("If-None-Match") != "", r.header.Get("If-Match")
	if s == nil || !absent && match == "" || !errors.As(err, &network) || ctx.Err() != nil {
		return err
	}
	if _, e := s.Sent(); e == nil {
		return err
	}
	held, e := d.Stat(ctx, key, store.Cond{})
	switch missing := d.Classify(e).Code == fault.NotFound; {
	case absent && e == nil:
		return fault.New(fault.AlreadyExists, "the object exists")
	case match != "" && (missing || e == nil && held.ETag != match):
		return fault.New(fault.FailedPrecondition, "the object is not the one with the ETag %s", match)
	}
	return err
}

// block is an object that is held in memory.
type block []byte

func (b block) open(context.Context) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}
func (b block) again() bool           { return true }
func (b block) cause(err error) error { return err }
