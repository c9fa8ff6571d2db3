package transfer

import (
	"context"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/store"
)

// PutUnknown stores a body of unknown size: by one while it has at most least bytes, else in parts of the upload that
// begin makes.
func PutUnknown(ctx context.Context, body store.Body, least int, one func(data []byte) (store.Entry, error), begin func() (store.Upload, error)) (store.Entry, error) {
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
	var u store.Upload
	var parts []store.Part
	off := int64(0)
	data := make([]byte, least+1)
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
				return one(data[:k])
			case u == nil:
				if u, err = begin(); err != nil {
					return store.Entry{}, err
				}
			}
			var p store.Part
			if k > 0 {
				if p, err = u.Part(ctx, n, off, store.BytesBody(data[:k])); err == nil {
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
