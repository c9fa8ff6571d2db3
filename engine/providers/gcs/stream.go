package gcs

import (
	"bytes"
	"context"
	"hash"
	"hash/crc32"
	"io"

	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// stream is a large body that is read while it is sent, and hashed on the way.
type stream struct {
	transfer.Stream
	head []byte // goes before it, and tail after it: the frame of a body that has metadata too
	tail []byte
}

func newStream(body store.Body, size int64) *stream {
	return &stream{Stream: transfer.Stream{Body: body, Size: size, Algo: algoCRC32C, Hash: func() hash.Hash { return crc32.New(castagnoli) }}}
}

func (s *stream) again() bool           { return s.Again() }
func (s *stream) cause(err error) error { return s.Cause(err) }
func (s *stream) open(ctx context.Context) (io.ReadCloser, int64, error) {
	c, size, err := s.Open(ctx)
	if err != nil || s.head == nil {
		return c, size, err
	}
	framed := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(s.head), c, bytes.NewReader(s.tail)), c}
	return framed, int64(len(s.head)+len(s.tail)) + size, nil
}
