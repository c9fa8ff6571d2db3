package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

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
	return d.putOne(ctx, r, body, size)
}

// putOne stores a body of known size and makes sure that the service holds it.
func (d *Driver) putOne(ctx context.Context, r *request, body store.Body, size int64) (store.Entry, error) {
	h, sum, err := d.deliver(ctx, r, d.algo, body, size)
	if err != nil {
		return store.Entry{}, err
	}
	e := store.Entry{Key: r.key, Size: size, ETag: quoted(h.Get("ETag")), Version: version(h)}
	e.Modified, _ = http.ParseTime(h.Get("Date"))
	if len(sum.Value) == 0 {
		return e, nil
	}
	e.Sums = []store.Sum{sum}
	if h.Get(sumHeader(sum.Algo)) != "" {
		return e, nil
	}
	// The service did not say what it got. It is asked once.
	held, err := d.Stat(ctx, r.key, store.Cond{Version: e.Version})
	switch {
	case err != nil:
		return e, err
	case held.ETag != e.ETag:
		return e, nil // replaced by somebody else since
	case held.Size != size:
		return e, fault.New(fault.DataLoss, "the service holds %d bytes of the %d sent", held.Size, size)
	}
	for _, s := range held.Sums {
		if s.Algo == sum.Algo && s.Parts == 0 && !bytes.Equal(s.Value, sum.Value) {
			return e, fault.New(fault.DataLoss, "the service holds bytes with another %s checksum than those sent", s.Algo)
		}
	}
	return e, nil
}

// writable refuses what cannot be stored before any byte is read.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if err := d.checkKey(key); err != nil {
		return err
	}
	switch {
	case o.IfAbsent && o.IfMatch != "":
		return fault.New(fault.InvalidArgument, "the key cannot both be absent and match")
	case o.IfAbsent && !d.caps.IfAbsent, o.IfMatch != "" && !d.caps.IfMatch:
		return fault.New(fault.Unimplemented, "no conditional write: %s", d.preset.why)
	}
	return d.ensureBucket(ctx)
}

// write returns the request of a put, with everything that says how to store.
func (d *Driver) write(key string, o store.PutOptions) (*request, error) {
	r := &request{action: "PutObject", method: "PUT", key: key}
	if err := describe(r, o.Attrs); err != nil {
		return nil, err
	}
	d.stored(r)
	condition(r, o)
	return r, nil
}

// stored sets the headers of how objects are kept.
func (d *Driver) stored(r *request) {
	r.set("X-Amz-Storage-Class", d.o.StorageClass)
	r.set("X-Amz-Acl", d.o.ACL)
	r.set("X-Amz-Server-Side-Encryption", d.o.SSE)
	r.set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", d.o.KMSKeyID)
}

func condition(r *request, o store.PutOptions) {
	if o.IfAbsent {
		r.set("If-None-Match", "*")
	}
	r.set("If-Match", o.IfMatch)
}

// deliver sends a body of known size and checks the reply. sum is the checksum that was sent, if any.
func (d *Driver) deliver(ctx context.Context, r *request, algo string, body store.Body, size int64) (h http.Header, sum store.Sum, err error) {
	var s *stream
	if size <= small {
		data, err := transfer.ReadAll(ctx, body, size)
		if err != nil {
			return nil, sum, err
		}
		sum = d.wrap(r, algo, data)
	} else {
		s = d.stream(ctx, r, algo, body, size)
		r.body = s
	}
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, sum, d.refusedEarly(ctx, r, s, err)
	}
	drain(resp)
	if s != nil {
		if sum, err = s.sent(); err != nil {
			return nil, sum, err
		}
	}
	h = resp.Header
	if h.Get("ETag") == "" {
		return h, sum, notS3(resp, "it has no ETag")
	}
	if got := h.Get(sumHeader(sum.Algo)); sum.Algo != "" && got != "" && got != base64Of(sum.Value) {
		return h, sum, fault.New(fault.DataLoss, "the service holds bytes with the %s checksum %s, sent were %s", sum.Algo, got, base64Of(sum.Value))
	}
	return h, sum, nil
}

// refusedEarly looks at an error of the network while a body was sent under a condition. A service that sees that the
// condition does not hold may answer and hang up while the body is still on its way, and the answer gets lost. As the
// body was not sent to its end, nothing was stored, and the condition can be looked at.
func (d *Driver) refusedEarly(ctx context.Context, r *request, s *stream, err error) error {
	var network *NetError
	absent, match := r.header.Get("If-None-Match") != "", r.header.Get("If-Match")
	if s == nil || !absent && match == "" || !errors.As(err, &network) || ctx.Err() != nil {
		return err
	}
	if _, e := s.sent(); e == nil {
		return err
	}
	held, e := d.Stat(ctx, r.key, store.Cond{})
	switch missing := d.Classify(e).Code == fault.NotFound; {
	case absent && e == nil:
		return fault.New(fault.AlreadyExists, "the object exists")
	case match != "" && (missing || e == nil && held.ETag != match):
		return fault.New(fault.FailedPrecondition, "the object is not the one with the ETag %s", match)
	}
	return err
}

// wrap makes data the body of r, with its checksum before it.
func (d *Driver) wrap(r *request, algo string, data []byte) (sum store.Sum) {
	b := &block{data: data, sha: unsignedPayload}
	if algo != "" {
		f := newHash(algo)
		f.Write(data)
		sum = store.Sum{Algo: algo, Value: f.Sum(nil)}
		r.set(sumHeader(algo), base64Of(sum.Value))
	} else if !d.covered() {
		b.sha = octets(data).hash()
	}
	r.body = b
	return sum
}

// covered reports whether TLS covers the bytes on their way, their end too. Of a service that is not known it is not
// believed that it refuses a body that was cut: some take what arrived for the whole.
func (d *Driver) covered() bool {
	at, err := d.address(d.regionNow())
	return err == nil && at.scheme == "https" && d.preset.whole
}

// block is an object that is held in memory.
type block struct {
	data []byte
	sha  string
}

func (b *block) open(context.Context, signing) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(b.data)), int64(len(b.data)), nil
}
func (b *block) hash() string          { return b.sha }
func (b *block) again() bool           { return true }
func (b *block) cause(err error) error { return err }
