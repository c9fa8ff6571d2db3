package alipan

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/providers/internal/alipancrypt"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	x, err := d.file(ctx, key, c.IfMatch, c.Version)
	if err != nil {
		return store.Entry{}, err
	}
	e := x.entry(key)
	e.Attrs = &store.Attributes{}
	return e, d.plain(ctx, x, &e)
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	x, err := d.file(ctx, key, o.IfMatch, o.Version)
	if err != nil {
		return store.Object{}, err
	}
	e := x.entry(key)
	e.Attrs = &store.Attributes{}
	if err := d.plain(ctx, x, &e); err != nil {
		return store.Object{}, err
	}
	off, n := int64(0), e.Size
	if r := o.Range; r != nil {
		switch {
		case r.Off < 0:
			off = e.Size + max(r.Off, -e.Size)
		case r.Off > e.Size:
			return store.Object{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the file", r.Off, e.Size)
		case r.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
		default:
			off = r.Off
		}
		n = e.Size - off
		if r.Off >= 0 && r.Len >= 0 {
			n = min(n, r.Len)
		}
	}
	out := store.Object{Entry: e, Range: store.Range{Off: off, Len: n}, Total: e.Size, Body: http.NoBody}
	if n == 0 {
		return out, nil
	}
	if d.crypt == nil {
		out.Body, err = d.openRaw(ctx, x, off, n)
		return out, err
	}
	f, err := d.head(ctx, x)
	if err != nil {
		return store.Object{}, err
	}
	from, count := f.Span(off, n)
	at := f.Skip + from
	if n == e.Size { // with its head the file has a SHA-1 to be compared with
		at, count = 0, x.size()
	}
	raw, err := d.openRaw(ctx, x, at, count)
	if err != nil {
		return store.Object{}, err
	}
	if at == 0 {
		if _, err := io.CopyN(io.Discard, raw, f.Skip); err != nil {
			raw.Close()
			return store.Object{}, err
		}
	}
	out.Body = &decrypted{Reader: f.Decrypt(raw, off, n), raw: raw}
	return out, nil
}

// decrypted is the body of an encrypted file.
type decrypted struct {
	io.Reader
	raw    io.ReadCloser
	closed atomic.Bool
}

func (b *decrypted) Read(p []byte) (int, error) {
	if b.closed.Load() { // what was decrypted ahead is not given any more
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.Reader.Read(p)
	if errors.Is(err, alipancrypt.ErrDamaged) {
		err = fault.New(fault.DataLoss, "%w", err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *decrypted) Close() error { b.closed.Store(true); return b.raw.Close() }

// address is where a file can be read for a time.
type address struct {
	url   string
	until time.Time
}

// maxAddresses bounds the addresses that are remembered.
const maxAddresses = 10_000

// address returns where a file can be read. fresh wants a new one, since the last has ended.
func (d *Driver) address(ctx context.Context, x *item, fresh bool) (string, error) {
	tag := x.etag()
	d.mu.Lock()
	a, ok := d.addresses[tag]
	d.mu.Unlock()
	if ok && !fresh && d.clock.Now().Before(a.until) {
		return a.url, nil
	}
	const life = 4 * time.Hour
	var y struct {
		URL        string       `json:"url"`
		Expiration time.Time    `json:"expiration"`
		Size       *json.Number `json:"size"`
		SHA1       string       `json:"content_hash"`
	}
	if err := d.call(ctx, opURL, fields{"file_id": x.ID, "expire_sec": int(life.Seconds())}, &y); err != nil {
		return "", err
	}
	switch {
	case y.URL == "":
		return "", notAlipan(nil, "it has no address of the file")
	case y.Size != nil && y.Size.String() != strconv.FormatInt(x.size(), 10) || y.SHA1 != "" && x.sum() != "" && !strings.EqualFold(y.SHA1, x.sum()):
		return "", fault.New(fault.FailedPrecondition, "the file was replaced while it was looked at")
	}
	now := d.clock.Now()
	a = address{y.URL, now.Add(15 * time.Minute)}
	if y.Expiration.After(now) {
		a.until = now.Add(y.Expiration.Sub(now) * 4 / 5)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.addresses) >= maxAddresses {
		clear(d.addresses)
	}
	d.addresses[tag] = a
	return a.url, nil
}

// openRaw reads n > 0 bytes of a file as they lie there, from off. The first request is made at once.
func (d *Driver) openRaw(ctx context.Context, x *item, off, n int64) (io.ReadCloser, error) {
	b := &received{d: d, ctx: ctx, x: x, off: off, end: off + n}
	if off == 0 && n == x.size() && x.sum() != "" {
		b.hash = sha1.New()
	}
	if err := b.next(); err != nil {
		return nil, err
	}
	return b, nil
}

// received is the body of a file, or of a range of it, made of the replies of several requests. It ends well only when it
// has its length and, for a whole file, the SHA-1 that the service declares.
type received struct {
	d        *Driver
	ctx      context.Context
	x        *item
	off, end int64
	hash     hash.Hash
	src      io.ReadCloser
	upto     int64 // where src ends
	err      error
}

// next opens the request that follows.
func (b *received) next() error {
	for try := 0; ; try++ {
		at, err := b.d.address(b.ctx, b.x, try > 0)
		if err != nil {
			return err
		}
		err = b.ask(at)
		var e *ReplyError
		if try > 0 || !errors.As(err, &e) || e.Status != http.StatusForbidden { // an address that has ended is refused so
			return err
		}
	}
}

func (b *received) ask(at string) error {
	u, err := b.d.trusted(at)
	if err != nil {
		return err
	}
	last := min(b.end, b.off+maxRange) - 1
	req := (&http.Request{Method: "GET", URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}).WithContext(b.ctx)
	alipanauth.Plain(b.d.cred.API(), req.Header)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.off, last))
	resp, err := b.d.exchange(b.ctx, req)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return failed(resp)
	}
	h := resp.Header
	off, n, total, ok := transfer.ContentRange(h.Get("Content-Range"))
	switch size := b.x.size(); {
	case strings.HasPrefix(h.Get("Content-Type"), "text/html") && h.Get("Etag") == "", !ok && h.Get("Etag") == "":
		err = notAlipan(resp, "it is no file")
	case h.Get("Content-Encoding") != "":
		err = fault.New(fault.DataLoss, "the reply was encoded on its way")
	case resp.StatusCode != http.StatusPartialContent || !ok:
		err = fault.New(fault.DataLoss, "asked for a range, got a reply of status %d with Content-Range %q", resp.StatusCode, h.Get("Content-Range"))
	case off != b.off || n > last+1-off || n != resp.ContentLength: // it may be shorter: the service bounds what one request gets
		err = fault.New(fault.DataLoss, "asked for %d bytes from %d, got %d from %d with a length of %d", last+1-b.off, b.off, n, off, resp.ContentLength)
	case total != size, differs(h.Get("X-Oss-Hash-Crc64ecma"), b.x.CRC64), len(h.Get("X-Oss-Hash-Value")) == 40 && differs(strings.ToLower(h.Get("X-Oss-Hash-Value")), b.x.sum()):
		err = fault.New(fault.FailedPrecondition, "the storage gives another file than the service describes")
	}
	if err != nil {
		resp.Body.Close()
		return err
	}
	b.src, b.upto = resp.Body, off+n
	return nil
}

func differs(a, b string) bool { return a != "" && b != "" && a != b }

// Read implements io.Reader.
func (b *received) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	b.err = err
	return n, err
}

func (b *received) read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case b.off == b.end:
		return 0, io.EOF
	case b.off == b.upto:
		b.src.Close()
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.src.Read(p)
	b.off += int64(n)
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	switch {
	case b.off > b.upto:
		return 0, fault.New(fault.DataLoss, "the reply runs over its bytes")
	case b.off == b.upto:
		err = nil // what ends here was declared
	case err == nil:
		return n, nil
	case b.ctx.Err() != nil:
		return n, context.Cause(b.ctx)
	default:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, &NetError{fmt.Errorf("the reply broke off at %d, before %d: %w", b.off, b.upto, err)}
	}
	if b.off == b.end && b.hash != nil {
		if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.x.sum() {
			return 0, fault.New(fault.DataLoss, "the bytes have the SHA-1 %s, the service declares %s", got, b.x.sum())
		}
	}
	return n, err
}

// Close implements io.Closer.
func (b *received) Close() error { return b.src.Close() }
