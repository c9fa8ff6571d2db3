package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// stream is a large body that is read while it is sent. What proves it to the service stands behind it, so that it is
// read once: a checksum in a trailer, where one is wanted; else nothing where TLS covers it, and a signature of each chunk elsewhere.
// The forms are those of "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks"
// and its variant with trailers in the S3 API reference.
type stream struct {
	body   store.Body
	size   int64
	algo   string
	signed bool

	mu  sync.Mutex
	cur *sending
}

// chunk is how many bytes are signed at once.
const chunk = 128 << 10

// stream makes body the body of r.
func (d *Driver) stream(ctx context.Context, r *request, algo string, body store.Body, size int64) *stream {
	s := &stream{body: body, size: size, algo: algo, signed: algo == "" && !d.covered()}
	if s.signed {
		if creds, err := d.credentials(ctx, false); err == nil && creds.AccessKeyID == "" {
			s.signed = false // there is nothing to sign with
		}
	}
	if s.algo != "" || s.signed {
		enc := "aws-chunked"
		if e := r.header.Get("Content-Encoding"); e != "" {
			enc += "," + e
		}
		r.set("Content-Encoding", enc)
		r.set("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10))
	}
	if s.algo != "" {
		r.set("X-Amz-Trailer", trailerName(s.algo))
	}
	return s
}

func trailerName(algo string) string { return "x-amz-checksum-" + algo }

func (s *stream) hash() string {
	switch {
	case s.algo != "":
		return unsignedTrailer
	case s.signed:
		return signedStream
	}
	return unsignedPayload
}

func (s *stream) again() bool { return s.body.Replayable() }

func (s *stream) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		if own := s.cur.failure(); own != nil {
			return own
		}
	}
	return err
}

// sent returns the checksum of what was sent, or an error when the service answered before it had everything.
func (s *stream) sent() (store.Sum, error) {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return store.Sum{}, c.err
	}
	if !c.done {
		return store.Sum{}, fault.New(fault.DataLoss, "the service reported success after %d of %d bytes", c.n, s.size)
	}
	return store.Sum{Algo: s.algo, Value: c.sum}, nil
}

func (s *stream) open(ctx context.Context, sign signing) (io.ReadCloser, int64, error) {
	c := &sending{s: s, ctx: ctx}
	s.mu.Lock()
	s.cur = c
	s.mu.Unlock()
	src, err := s.body.Open(ctx)
	if err != nil {
		c.err = err
		return nil, 0, err
	}
	c.src = src
	length := s.size
	switch {
	case s.algo != "":
		c.hash = newHash(s.algo)
		c.out = fmt.Appendf(nil, "%x\r\n", s.size)
		length += int64(len(c.out) + len("\r\n0\r\n") + len(trailerName(s.algo)) + 1 + base64.StdEncoding.EncodedLen(c.hash.Size()) + len("\r\n\r\n"))
	case s.signed:
		c.signer = v4.NewStreamSigner(sign.creds, "s3", sign.region, sign.seed)
		c.at = sign.at
		c.buf = make([]byte, 0, min(chunk, s.size))
		whole, rest := s.size/chunk, s.size%chunk
		length += whole*frame(chunk) + frame(0)
		if rest > 0 {
			length += frame(rest)
		}
	}
	return c, length, nil
}

// frame is what a signed chunk of n bytes has around it.
func frame(n int64) int64 {
	return int64(len(strconv.FormatInt(n, 16)) + len(";chunk-signature=") + 64 + len("\r\n\r\n"))
}

// sending is one sending of a stream. When the source fails, ends early or runs over, reading ends with an error before
// the last byte, so that the request breaks off and nothing is stored.
type sending struct {
	s      *stream
	ctx    context.Context
	src    io.ReadCloser
	out    []byte // to be handed out before anything else is read
	hash   hash.Hash
	signer *v4.StreamSigner
	at     time.Time
	buf    []byte
	tail   bool // what stands behind the bytes is in out

	mu     sync.Mutex
	n      int64
	sum    []byte
	err    error
	done   bool // everything was handed out
	closed bool
}

func (c *sending) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

var errEnded = errors.New("the request has ended")

// Read implements io.Reader.
func (c *sending) Read(p []byte) (int, error) {
	c.mu.Lock()
	err, done, closed := c.err, c.done, c.closed
	c.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case done:
		return 0, io.EOF
	case closed:
		return 0, errEnded
	}
	if len(c.out) == 0 && c.signer != nil {
		if err := c.sign(); err != nil {
			return 0, c.fail(err)
		}
	}
	if len(c.out) > 0 {
		n := copy(p, c.out)
		if c.out = c.out[n:]; len(c.out) == 0 && c.tail {
			c.finish()
		}
		return n, nil
	}
	n, err := c.take(p)
	if err != nil {
		return 0, c.fail(err)
	}
	if c.n == c.s.size {
		if c.hash == nil {
			c.finish()
			return n, nil
		}
		sum := c.hash.Sum(nil)
		c.mu.Lock()
		c.sum = sum
		c.mu.Unlock()
		c.out, c.tail = fmt.Appendf(nil, "\r\n0\r\n%s:%s\r\n\r\n", trailerName(c.s.algo), base64Of(sum)), true
	}
	return n, nil
}

func (c *sending) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
}

func (c *sending) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.closed {
		c.err = err
	}
	return err
}

// take reads bytes of the source into p. With the last ones it makes sure that the source has ended.
func (c *sending) take(p []byte) (n int, err error) {
	left := c.s.size - c.n
	n, err = c.src.Read(p[:min(int64(len(p)), left)])
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	c.mu.Lock()
	c.n += int64(n)
	total := c.n
	c.mu.Unlock()
	switch {
	case err != nil && err != io.EOF:
		return 0, err
	case total == c.s.size:
		return n, c.end(err)
	case err == io.EOF:
		return 0, transfer.Short(total, c.s.size)
	}
	return n, nil
}

// end makes sure that the source ends here.
func (c *sending) end(err error) error {
	var one [1]byte
	for range 100 {
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		if n, err = c.src.Read(one[:]); n > 0 {
			return transfer.Overrun(c.s.size)
		}
	}
	return io.ErrNoProgress
}

// sign reads the next chunk and puts it into out with its signature; the last one is empty.
func (c *sending) sign() error {
	c.buf = c.buf[:0]
	want := min(chunk, c.s.size-c.n)
	for int64(len(c.buf)) < want {
		n, err := c.take(c.buf[len(c.buf):want])
		if err != nil {
			return err
		}
		c.buf = c.buf[:len(c.buf)+n]
	}
	sig, err := c.signer.GetSignature(c.ctx, nil, c.buf, c.at)
	if err != nil {
		return err
	}
	c.out = fmt.Appendf(c.out[:0], "%x;chunk-signature=%s\r\n", len(c.buf), hex.EncodeToString(sig))
	c.out = append(append(c.out, c.buf...), "\r\n"...)
	c.tail = want == 0
	return nil
}

// Close implements io.Closer. It may come while Read is under way, and ends it.
func (c *sending) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	return c.src.Close()
}
