package httpstore

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// upload is a multipart upload; the server's state of it is all there is.
type upload struct {
	d     *Driver
	key   string
	state []byte
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	h, err := putHeader(o)
	if err != nil {
		return nil, err
	}
	u := &upload{d: d, key: key}
	v := url.Values{"key": {key}, "size": {strconv.FormatInt(size, 10)}}
	return u, d.json(ctx, "POST", "/uploads?"+v.Encode(), h, nil, &u.state)
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	u := &upload{d: d, state: state}
	_, err := u.Parts(ctx)
	return u, err
}

func (u *upload) uri(path string, v url.Values) string {
	if v == nil {
		v = url.Values{}
	}
	v.Set("state", string(u.state))
	return path + "?" + v.Encode()
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	s := newSent(ctx, body)
	var p store.Part
	v := url.Values{"n": {strconv.Itoa(n)}, "off": {strconv.FormatInt(off, 10)}}
	if err := u.d.json(ctx, "PUT", u.uri("/part", v), nil, s, &p); err != nil {
		return p, s.cause(err)
	}
	if err := s.proves(p.Size, p.Sum.Value); err != nil || p.N != n || p.Off != off {
		return store.Part{}, errors.Join(err, fault.New(fault.DataLoss, "the store answers for another part"))
	}
	return p, nil
}

// Parts implements store.Upload.
func (u *upload) Parts(ctx context.Context) (parts []store.Part, err error) {
	return parts, u.d.json(ctx, "GET", u.uri("/parts", nil), nil, nil, &parts)
}

// State implements store.Upload.
func (u *upload) State() []byte { return u.state }

// Commit implements store.Upload.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (e store.Entry, err error) {
	if err := u.d.json(ctx, "POST", u.uri("/commit", nil), nil, parts, &e); err != nil {
		return store.Entry{}, err
	}
	var size int64
	for _, p := range parts {
		size += p.Size
	}
	if e.ETag == "" || e.Size != size || u.key != "" && e.Key != u.key {
		return store.Entry{}, maybeApplied(fault.New(fault.DataLoss, "the store answers with %d bytes for parts of %d", e.Size, size))
	}
	return e, nil
}

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	var ok string
	err := u.d.json(ctx, "DELETE", u.uri("/uploads", nil), nil, nil, &ok)
	var r *replyError
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		return nil
	}
	return err
}

// Uploads implements store.UploadLister.
func (d *Driver) Uploads(ctx context.Context, prefix, token string) (page store.UploadPage, err error) {
	v := url.Values{"prefix": {prefix}, "token": {token}}
	return page, d.json(ctx, "GET", "/uploads?"+v.Encode(), nil, nil, &page)
}
