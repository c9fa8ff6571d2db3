package oci

import (
	"context"
	"crypto/md5"
	"io"

	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// stream is a large body that is read while it is sent, and hashed on the way.
type stream struct{ transfer.Stream }

func newStream(body store.Body, size int64) *stream {
	return &stream{transfer.Stream{Body: body, Size: size, Algo: algoMD5, Hash: md5.New}}
}

func (s *stream) again() bool           { return s.Again() }
func (s *stream) cause(err error) error { return s.Cause(err) }
func (s *stream) open(ctx context.Context) (io.ReadCloser, int64, error) {
	return s.Open(ctx)
}
