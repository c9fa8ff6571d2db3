package alipan

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	// slice is how much of a body goes up as one part; larger ones are slow at the service.
	slice = 64 << 20
	// heldSlice is the same for bodies of unknown size, whose parts are held in memory.
	heldSlice = 8 << 20
	// maxHeld is how much of a body of unknown size is held in memory to be encrypted.
	maxHeld = 64 << 20
)

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	size := body.Size()
	if size < 0 && d.crypt == nil {
		return d.putUnknown(ctx, key, body, o)
	}
	if _, err := d.target(ctx, key, o); err != nil { // before any byte is read
		return store.Entry{}, err
	}
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	closing := sync.OnceValue(src.Close)
	defer closing()
	stop := context.AfterFunc(ctx, func() { closing() })
	defer stop()
	var in io.Reader = src
	if size < 0 {
		b, err := readUpTo(ctx, src, closing)
		if err != nil {
			return store.Entry{}, err
		}
		in, size = bytes.NewReader(b), int64(len(b))
	}
	u, err := d.begin(ctx, key, o, size)
	if err != nil {
		return store.Entry{}, err
	}
	e, err := u.sendAll(ctx, &exact{src: in, size: size}, size, closing)
	if err != nil {
		u.failed(ctx)
		return store.Entry{}, err
	}
	return e, nil
}

// sendAll sends a body of known size in slices and completes the upload.
func (u *upload) sendAll(ctx context.Context, src io.Reader, size int64, closing func() error) (store.Entry, error) {
	var parts []store.Part
	each := int64(slice)
	for each*maxParts < size {
		each *= 2
	}
	for off := int64(0); off < size || off == 0 && len(parts) == 0; {
		n := min(each, size-off)
		end := closing
		if off+n < size {
			end = nil // the source is read on
		}
		piece := src
		if off+n < size {
			piece = io.LimitReader(src, n)
		}
		etag, err := u.send(ctx, len(parts)+1, off, piece, n, end)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return store.Entry{}, err
		}
		parts = append(parts, store.Part{N: len(parts) + 1, Off: off, Size: n, ETag: etag})
		off += n
	}
	if err := closing(); err != nil { // a source may find only at its end that it was damaged
		return store.Entry{}, err
	}
	return u.commit(ctx, parts)
}

// failed takes away an upload that will not be completed.
func (u *upload) failed(ctx context.Context) {
	u.mu.Lock()
	done := u.done
	u.mu.Unlock()
	if !done {
		u.discard(ctx)
	}
}

// putUnknown stores a body of unknown size in parts that are held in memory one after another.
func (d *Driver) putUnknown(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	u, err := d.begin(ctx, key, o, -1)
	if err != nil {
		return store.Entry{}, err
	}
	e, err := u.sendUnknown(ctx, body)
	if err != nil {
		u.failed(ctx)
		return store.Entry{}, err
	}
	return e, nil
}

func (u *upload) sendUnknown(ctx context.Context, body store.Body) (store.Entry, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	closing := sync.OnceValue(src.Close)
	defer closing()
	stop := context.AfterFunc(ctx, func() { closing() })
	defer stop()
	in := &azurerest.Source{Ctx: ctx, Src: src, Size: -1}
	var parts []store.Part
	data := make([]byte, heldSlice)
	for off := int64(0); ; {
		n, err := in.Fill(data)
		if err == nil && in.Ended {
			err = closing() // a source may find only at its end that it was damaged
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if err != nil {
			return store.Entry{}, err
		}
		if n > 0 || len(parts) == 0 {
			etag, err := u.send(ctx, len(parts)+1, off, bytes.NewReader(data[:n]), int64(n), nil)
			if err != nil {
				return store.Entry{}, err
			}
			parts = append(parts, store.Part{N: len(parts) + 1, Off: off, Size: int64(n), ETag: etag})
			off += int64(n)
		}
		if in.Ended {
			return u.commit(ctx, parts)
		}
		if len(parts)%1000 == 0 && len(data) < 256<<20 {
			data = make([]byte, 2*len(data))
		}
	}
}

// readUpTo reads a body of unknown size that is to be encrypted: its size stands in the head of the file.
func readUpTo(ctx context.Context, src io.Reader, closing func() error) ([]byte, error) {
	in := &azurerest.Source{Ctx: ctx, Src: io.LimitReader(src, maxHeld+1), Size: -1}
	var out bytes.Buffer
	piece := make([]byte, 256<<10)
	for !in.Ended {
		n, err := in.Fill(piece)
		if err != nil {
			return nil, err
		}
		out.Write(piece[:n])
	}
	if out.Len() > maxHeld {
		return nil, fault.New(fault.Unimplemented, "the size of an encrypted file must be known when it begins, since it stands in its head; of unknown size at most %d bytes are taken", maxHeld)
	}
	return out.Bytes(), closing()
}
