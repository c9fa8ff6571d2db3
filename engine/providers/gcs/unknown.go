package gcs

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// putUnknown stores a body of unknown size: in one piece while it is small, else in parts.
func (d *Driver) putUnknown(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	stop := context.AfterFunc(ctx, func() { src.Close() })
	defer func() {
		if stop() {
			src.Close()
		}
	}()
	var u *upload
	var parts []store.Part
	off := int64(0)
	data := make([]byte, minPart+1)
	for n := 1; ; n++ {
		k, err := readFull(src, data)
		if err == io.EOF && stop() {
			if e := src.Close(); e != nil { // a source may find only at its end that it was damaged
				err = e
			}
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		ended := err == io.EOF
		if err == nil || ended {
			switch {
			case u == nil && ended:
				return d.putHeld(ctx, key, data[:k], o)
			case u == nil:
				if u, err = d.begin(ctx, key, o, -1); err != nil {
					return store.Entry{}, err
				}
			}
			var p store.Part
			if k > 0 {
				if p, err = u.Part(ctx, n, off, held(data[:k])); err == nil {
					parts, off = append(parts, p), off+int64(k)
				}
			} else {
				err = nil
			}
			if err == nil && ended {
				var e store.Entry
				if e, err = u.Commit(ctx, parts); err == nil {
					return e, nil
				}
			}
			if err == nil {
				if n%1000 == 0 && len(data) < 256<<20 {
					data = make([]byte, 2*len(data))
				}
				continue
			}
		}
		if u != nil {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = u.Abort(fresh)
		}
		return store.Entry{}, err
	}
}

// readUpTo reads a source of unknown size that must have at most limit bytes.
func readUpTo(ctx context.Context, body store.Body, limit int64) ([]byte, error) {
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(&closing{ctx, io.LimitReader(src, limit+1)})
	if e := src.Close(); err == nil {
		err = e
	}
	if err == nil && int64(len(data)) > limit {
		err = fault.New(fault.InvalidArgument, "a part of unknown size has more than %d bytes", limit)
	}
	return data, err
}

type closing struct {
	ctx context.Context
	r   io.Reader
}

func (c *closing) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// held is a body in memory.
type held []byte

func (b held) Size() int64      { return int64(len(b)) }
func (b held) Replayable() bool { return true }
func (b held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
}
