package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how the bytes of a file are packed: "", "gzip" or "zstd".
type Compression string

// The compressions, by their names in options.
const (
	None Compression = ""
	Gzip Compression = "gzip" // RFC 1952, any number of members
	Zstd Compression = "zstd" // RFC 8878, any number of frames
)

// HeadBytes is how much of an object's beginning Choose wants to see.
const HeadBytes = 512

// ratioFrom is the output beyond which Limits.Ratio binds.
const ratioFrom = 64 << 20

// SuffixCompression returns what a path's last suffix promises and the path without it.
func SuffixCompression(path string) (Compression, string) {
	for _, s := range []struct {
		suffix string
		c      Compression
	}{{".gz", Gzip}, {".gzip", Gzip}, {".zst", Zstd}, {".zstd", Zstd}} {
		if n := len(path) - len(s.suffix); n > 0 && equalFold(path[n:], s.suffix) {
			return s.c, path[:n]
		}
	}
	return None, path
}

// magicCompression tells the compression from the first bytes.
func magicCompression(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}): // a skippable frame
		return Zstd
	}
	return None
}

// Decompress returns the content of r, which is packed as c says. Truncated or altered input and bytes after its end
// are data_loss; content beyond the limits is limit. What is inside is not unpacked again. Memory is bounded by
// l.WindowBytes and some buffers. Close frees them and does not close r.
func Decompress(r io.Reader, c Compression, l Limits) (io.ReadCloser, error) {
	l = l.orDefault()
	in := &counter{r: r}
	switch c {
	case None:
		return io.NopCloser(r), nil
	case Gzip:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, unpackError(c, in, err)
		}
		return &unpacker{z: z, close: z.Close, c: c, in: in, l: l}, nil
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(max(l.WindowBytes, zstd.MinWindowSize))))
		if err != nil {
			return nil, unpackError(c, in, err)
		}
		return &unpacker{z: z, close: func() error { z.Close(); return nil }, c: c, in: in, l: l}, nil
	}
	return nil, fault.New(fault.InvalidArgument, "compression %q is not known; known are gzip and zstd", string(c))
}

// counter counts the packed bytes and remembers an error of the source, which is not the unpacker's to classify.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

type unpacker struct {
	z     io.Reader
	close func() error
	c     Compression
	in    *counter
	l     Limits
	out   int64
	err   error
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.z.Read(p)
	u.out += int64(n)
	switch {
	case u.out > u.l.Decompressed:
		u.err = limitError("Raise the limit on decompressed bytes if the file is trusted.",
			"the %s content is larger than %d bytes", u.c, u.l.Decompressed)
	case u.out > ratioFrom && u.out/u.l.Ratio > u.in.n:
		u.err = limitError("A file that unpacks to so much more than its size is usually an attack; raise the ratio limit if it is trusted.",
			"the %s content is more than %d times larger than the file (%d bytes from %d)", u.c, u.l.Ratio, u.out, u.in.n)
	case err == io.EOF:
		u.err = io.EOF
	case err != nil:
		u.err = unpackError(u.c, u.in, err)
	}
	if fault.Is(u.err, fault.Limit) {
		n = 0
	}
	return n, u.err
}

func (u *unpacker) Close() error {
	if u.err == nil {
		u.err = errors.New("read after close")
	}
	return u.close()
}

// unpackError says what a decoder's error means for the file.
func unpackError(c Compression, in *counter, err error) error {
	const again = "Fetch or make the file again, and compare its size and checksum with the original."
	switch {
	case in.err != nil:
		return in.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return limitError("Compress the file again without --long or --ultra, or raise the window limit.", "unpacking zstd: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return fault.Hinted(fault.DataLoss, again, "the %s file ends too early, after %d bytes: %w", c, in.n, io.ErrUnexpectedEOF)
	case c == Gzip && errors.Is(err, gzip.ErrHeader), c == Zstd && errors.Is(err, zstd.ErrMagicMismatch):
		return fault.Hinted(fault.DataLoss, again, "the %s file has bytes that are no %s near byte %d: %w", c, c, in.n, err)
	}
	return fault.Hinted(fault.DataLoss, again, "the %s file is damaged near byte %d: %w", c, in.n, err)
}

// Compress returns a writer that packs onto w at the compression's default level. Close completes the file and does
// not close w.
func Compress(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case None:
		return plainWriter{w}, nil
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	}
	return nil, fmt.Errorf("compression %q is not known", string(c))
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != lower[i] && !('A' <= c && c <= 'Z' && c+'a'-'A' == lower[i]) {
			return false
		}
	}
	return true
}
