package memory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"sort"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// chunkSize is how much of a body is read at once. Content is kept as chunks, so that it is never copied to grow.
const chunkSize = 256 << 10

// blob is immutable content.
type blob struct {
	chunks [][]byte
	ends   []int64 // ends[i] is the offset at which chunks[i] ends
}

func (b *blob) size() int64 {
	if len(b.ends) == 0 {
		return 0
	}
	return b.ends[len(b.ends)-1]
}

func (b *blob) add(chunk []byte) {
	if len(chunk) > 0 {
		b.ends = append(b.ends, b.size()+int64(len(chunk)))
		b.chunks = append(b.chunks, chunk)
	}
}

// slice returns n bytes from off, which must be within the blob. The bytes are shared.
func (b *blob) slice(off, n int64) *blob {
	out := &blob{}
	for i := sort.Search(len(b.ends), func(i int) bool { return b.ends[i] > off }); n > 0; i++ {
		c := b.chunks[i]
		c = c[int64(len(c))-(b.ends[i]-off):]
		c = c[:min(n, int64(len(c)))]
		out.add(c)
		off, n = off+int64(len(c)), n-int64(len(c))
	}
	return out
}

// sums returns the checksums of the content and the ETag that stands for it.
func (b *blob) sums() (sums []store.Sum, etag string) {
	h, crc := sha256.New(), uint32(0)
	for _, c := range b.chunks {
		h.Write(c)
		crc = crc32.Update(crc, castagnoli, c)
	}
	sha := h.Sum(nil)
	return []store.Sum{
		{Algo: "crc32c", Value: binary.BigEndian.AppendUint32(nil, crc)},
		{Algo: "sha256", Value: sha},
	}, hex.EncodeToString(sha[:16])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blobReader reads a blob until its context ends.
type blobReader struct {
	ctx    context.Context
	b      *blob
	i, off int // chunk, offset in it
	closed bool
}

func (r *blobReader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, errors.New("read of a closed body")
	}
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.i == len(r.b.chunks) {
		return 0, io.EOF
	}
	n := copy(p, r.b.chunks[r.i][r.off:])
	if r.off += n; r.off == len(r.b.chunks[r.i]) {
		r.i, r.off = r.i+1, 0
	}
	return n, nil
}

func (r *blobReader) Close() error { r.closed = true; return nil }

// readBody reads all of a body and reserves its room on the way. When it fails, nothing stays reserved.
func (s *space) readBody(ctx context.Context, body store.Body) (b *blob, err error) {
	want := body.Size()
	if want >= 0 && !s.fits(want) {
		return nil, s.full()
	}
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	// A source that hangs must not hold the call once ctx has ended.
	stop := context.AfterFunc(ctx, func() { src.Close() })
	b = &blob{}
	defer func() {
		if stop() {
			err = errors.Join(err, src.Close()) // a source may find only at its end that it was damaged
		}
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			s.give(b.size())
			b = nil
		}
	}()
	for {
		n := int64(chunkSize)
		if want >= 0 { // one byte more than is left shows a source that runs over
			n = min(n, want-b.size()+1)
		}
		chunk := make([]byte, n)
		got, err := fill(ctx, src, chunk)
		if !s.take(int64(got)) {
			return b, s.full()
		}
		if chunk = chunk[:got]; got < cap(chunk)/2 {
			chunk = append([]byte(nil), chunk...)
		}
		b.add(chunk)
		switch {
		case want >= 0 && b.size() > want:
			return b, fault.New(fault.DataLoss, "the source is longer than its %d bytes", want)
		case err == io.EOF && b.size() < want:
			return b, fault.New(fault.DataLoss, "the source ended after %d of %d bytes", b.size(), want)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// fill reads until p is full, the source fails or ctx ends.
func fill(ctx context.Context, src io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p) && err == nil; idle++ {
		if err = context.Cause(ctx); err != nil {
			break
		}
		var more int
		if more, err = src.Read(p[n:]); more > 0 {
			idle = 0
		} else if err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		n += more
	}
	return n, err
}
