package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
	switch {
	case size > maxSize:
		return store.Entry{}, fault.New(fault.InvalidArgument, "an object of %d bytes: the most is %d", size, int64(maxSize))
	case size < 0:
		return d.putUnknown(ctx, key, body, o)
	case size <= small:
		data, err := transfer.ReadAll(ctx, body, size)
		if err != nil {
			return store.Entry{}, err
		}
		return d.putHeld(ctx, key, data, o)
	}
	return d.insert(ctx, key, newStream(body, size), nil, o)
}

// putHeld stores a body that is in memory.
func (d *Driver) putHeld(ctx context.Context, key string, data []byte, o store.PutOptions) (store.Entry, error) {
	return d.insert(ctx, key, newStream(store.BytesBody(data), int64(len(data))), crcOf(data), o)
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
	if _, ok := generation(o.IfMatch); !ok && o.IfMatch != "" {
		return noMatch(o.IfMatch)
	}
	return d.ensureBucket(ctx)
}

// matching is the generation that the target must have, as the JSON API takes it; "" for any.
func matching(o store.PutOptions) string {
	if o.IfAbsent {
		return "0"
	}
	return o.IfMatch
}

// insert stores an object in one request, its metadata and its bytes in two parts of the body (multipart/related), and
// checks that the service holds the bytes. crc is their checksum, where it is known before they go.
func (d *Driver) insert(ctx context.Context, key string, s *stream, crc []byte, o store.PutOptions) (store.Entry, error) {
	x, err := describe(o.Attrs)
	if err != nil {
		return store.Entry{}, err
	}
	meta := struct {
		Name         string `json:"name"`
		StorageClass string `json:"storageClass,omitempty"`
		CRC32C       string `json:"crc32c,omitempty"`
		described
	}{key, d.o.StorageClass, base64Of(crc), x}
	text, err := json.Marshal(meta)
	if err != nil {
		return store.Entry{}, err
	}
	edge := rand.Text()
	s.head = fmt.Appendf(nil, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n", edge, text, edge, x.ContentType)
	s.tail = fmt.Appendf(nil, "\r\n--%s--\r\n", edge)
	r := &request{action: "storage.objects.create", method: "POST", path: "/upload/storage/v1/b/" + escape(d.o.Bucket) + "/o", body: s,
		query: []string{"uploadType", "multipart", "fields", resourceFields}}
	r.ask("userProject", d.o.UserProject)
	r.ask("predefinedAcl", d.o.PredefinedACL)
	r.ask("kmsKeyName", d.o.KMSKeyName)
	r.ask("ifGenerationMatch", matching(o))
	r.set("Content-Type", "multipart/related; boundary="+edge)
	var res resource
	resp, err := d.json(ctx, r, &res)
	if err != nil {
		return store.Entry{}, d.refusedEarly(ctx, s, key, o, err)
	}
	sent, err := s.Sent()
	if err != nil {
		return store.Entry{}, err
	}
	e, ok := res.entry(true)
	got, known := sumOf(e.Sums, algoCRC32C)
	switch {
	case !ok || e.Key != key:
		return store.Entry{}, notGCS(resp, "it describes no object")
	case !known:
		return store.Entry{}, notGCS(resp, "it does not say which bytes it holds")
	case e.Size != s.Size || !bytes.Equal(got.Value, sent.Value):
		d.remove(ctx, key, e.ETag)
		return store.Entry{}, fault.New(fault.DataLoss, "the service holds %d bytes with the CRC32C %s, sent were %d with %s", e.Size, base64Of(got.Value), s.Size, base64Of(sent.Value))
	}
	return e, nil
}

// remove takes away what was just stored and is wrong, unless somebody has replaced it.
func (d *Driver) remove(ctx context.Context, key, etag string) {
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := d.delete(fresh, key, store.Cond{IfMatch: etag}); err != nil && d.Classify(err).Code != fault.FailedPrecondition {
		d.log.Error("an object whose bytes were altered on the way could not be removed", "key", key, "error", err)
	}
}

// refusedEarly looks at an error of the network while a body was sent under a condition. A service that sees that the
// condition does not hold may answer and hang up while the body is still on its way, and the answer gets lost. As the
// body was not sent to its end, nothing was stored, and the condition can be looked at.
func (d *Driver) refusedEarly(ctx context.Context, s *stream, key string, o store.PutOptions, err error) error {
	var network *NetError
	if !o.IfAbsent && o.IfMatch == "" || !errors.As(err, &network) || ctx.Err() != nil {
		return err
	}
	if _, e := s.Sent(); e == nil {
		return err
	}
	held, e := d.stat(ctx, key, store.Cond{})
	switch missing := d.Classify(e).Code == fault.NotFound; {
	case o.IfAbsent && e == nil:
		return fault.New(fault.AlreadyExists, "the object exists")
	case o.IfMatch != "" && (missing || e == nil && held.ETag != o.IfMatch):
		return fault.New(fault.FailedPrecondition, "the object is not the one with the generation %s", o.IfMatch)
	}
	return err
}

// block is a body that is all there.
type block []byte

func (b block) open(context.Context) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}
func (b block) again() bool           { return true }
func (b block) cause(err error) error { return err }

// gone reports whether a reply says that what was asked for is not there, in a bucket that is.
func gone(err error) bool {
	var reply *ReplyError
	return errors.As(err, &reply) && reply.Status == http.StatusNotFound && !reply.bucketAbsent
}
