package transfer

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// ReadAll reads a source that must have exactly size bytes. A source that hangs does not hold the call once ctx has
// ended.
func ReadAll(ctx context.Context, body store.Body, size int64) ([]byte, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size+1)
	n, err := fill(ctx, src, data)
	if err == nil {
		err = Overrun(size)
	} else if err == io.EOF {
		err = nil
		if int64(n) < size {
			err = Short(int64(n), size)
		}
	}
	return data[:n], err
}

// fill reads src into p and closes it. io.EOF says that src ended before p was full.
func fill(ctx context.Context, src io.ReadCloser, p []byte) (n int, err error) {
	stop := context.AfterFunc(ctx, func() { src.Close() })
	n, err = readFull(src, p)
	if stop() {
		if e := src.Close(); e != nil && err == io.EOF {
			err = e // a source may find only at its end that it was damaged
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return n, err
}

// readFull reads until p is full or src fails or ends; unlike io.ReadFull's, its error is the source's own.
func readFull(src io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = src.Read(p[n:])
		n += k
	}
	if n == len(p) && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadUpTo reads a source of unknown size that must have at most limit bytes.
func ReadUpTo(ctx context.Context, body store.Body, limit int64) ([]byte, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(&ending{ctx, io.LimitReader(src, limit+1)})
	if e := src.Close(); err == nil {
		err = e
	}
	if err == nil && int64(len(data)) > limit {
		err = fault.New(fault.InvalidArgument, "a part of unknown size has more than %d bytes", limit)
	}
	return data, err
}

// ending ends with its context.
type ending struct {
	ctx context.Context
	r   io.Reader
}

func (c *ending) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Short is the error of a source that ended early.
func Short(n, size int64) error {
	return fault.New(fault.DataLoss, "the source ended after %d of %d bytes", n, size)
}

// Overrun is the error of a source that is longer than it says.
func Overrun(size int64) error {
	return fault.New(fault.DataLoss, "the source is longer than its %d bytes", size)
}
