package transfer

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Received is the body of a reply. It ends well only when it has its length and, with a Hash, its checksum.
type Received struct {
	Ctx  context.Context
	Src  io.ReadCloser
	Size int64
	Sum  store.Sum // of the whole, where Hash is set
	Hash hash.Hash
	Lost func(error) error // makes the driver's own error of a connection that broke

	n int64
}

// Read implements io.Reader.
func (b *Received) Read(p []byte) (int, error) {
	n, err := b.Src.Read(p)
	b.n += int64(n)
	if b.Hash != nil {
		b.Hash.Write(p[:n])
	}
	switch {
	case b.n > b.Size:
		return 0, fault.New(fault.DataLoss, "the reply runs over its %d bytes", b.Size)
	case err == nil:
		return n, nil
	case b.Ctx.Err() != nil && err != io.EOF:
		return n, context.Cause(b.Ctx)
	case err != io.EOF || b.n < b.Size:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, b.Lost(fmt.Errorf("the reply broke off after %d of %d bytes: %w", b.n, b.Size, err))
	case b.Hash != nil && !bytes.Equal(b.Hash.Sum(nil), b.Sum.Value):
		return n, fault.New(fault.DataLoss, "the bytes have the %s checksum %x, the service declared %x", b.Sum.Algo, b.Hash.Sum(nil), b.Sum.Value)
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *Received) Close() error { return b.Src.Close() }
