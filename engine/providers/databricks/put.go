package databricks

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return store.Entry{}, err
	}
	size := body.Size()
	if size > maxPut {
		return store.Entry{}, fault.Hinted(fault.InvalidArgument, "Let storage of the cloud be reached from here, so that it can go up in parts.", "a file of %d bytes: one request takes at most %d", size, int64(maxPut))
	}
	if size < 0 {
		return d.putUnknown(ctx, key, body, o)
	}
	return d.putOne(ctx, key, body, o)
}

// writable refuses what cannot be stored before any byte is read.
func (d *Driver) writable(ctx context.Context, key string, o store.PutOptions) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if o.IfMatch != "" {
		return fault.New(fault.Unimplemented, "no condition on the ETag: %s", d.caps.Why["IfMatch"])
	}
	return checkKey(key)
}

// looked is the size from which a file that must be new is looked for before its bytes are sent.
const looked = 1 << 20

// putOne stores a body in one request. Its size may be unknown.
func (d *Driver) putOne(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if o.IfAbsent && (body.Size() < 0 || body.Size() > looked) {
		if _, err := d.Stat(ctx, key, store.Cond{}); err == nil {
			return store.Entry{}, errExists()
		}
	}
	s := newStream(body)
	if err := d.send1(ctx, key, s, o); err != nil {
		return store.Entry{}, err
	}
	n, err := s.sent()
	if err != nil {
		return store.Entry{}, err
	}
	var again func() error
	if s.again() {
		again = func() error { return d.send1(ctx, key, s, o) }
	}
	e, err := d.proven(ctx, n, func() (store.Entry, error) { return d.Stat(ctx, key, store.Cond{}) }, again)
	e.Key = key
	return e, err
}

// send1 is the request of putOne. It makes the folder of the file, again where somebody removes it, empty as it is.
func (d *Driver) send1(ctx context.Context, key string, s *stream, o store.PutOptions) error {
	path := d.path(key)
	var err error
	for range 10 {
		if err = d.mkdir(ctx, parent(path)); err != nil {
			return err
		}
		// Without the word the service replaces a file.
		err = d.call(ctx, &request{method: "PUT", path: files(path), query: []string{"overwrite", strconv.FormatBool(!o.IfAbsent)}, body: s})
		if d.Classify(err).Code != fault.NotFound {
			break
		}
		d.forget(parent(path))
		if !s.again() {
			return fault.New(fault.Unavailable, "the folder of the file was removed meanwhile: %w", err)
		}
	}
	if err != nil {
		return d.conflict(ctx, key, o, err)
	}
	return nil
}

func errExists() error { return fault.New(fault.AlreadyExists, "the file exists") }

// conflict tells why a file could not be written: the service says the same of a file that is there and of a folder.
func (d *Driver) conflict(ctx context.Context, key string, o store.PutOptions, err error) error {
	var network *NetError
	switch {
	case ctx.Err() != nil:
		return err
	case d.Classify(err).Code == fault.AlreadyExists || is(err, "PreconditionFailed"):
		if resp, e := d.do(ctx, &request{method: "HEAD", path: directories(d.path(key))}); e == nil {
			azurerest.Drain(resp)
			return fault.New(fault.InvalidArgument, "there is a folder of this name")
		}
		if o.IfAbsent {
			return errExists()
		}
	case errors.As(err, &network) && o.IfAbsent:
		// It is not known whether the file was stored.
		return &fault.Error{Class: fault.Class{Code: d.Classify(err).Code, MaybeApplied: true}, Err: err}
	}
	return err
}

// putUnknown stores a body of unknown size: in one request while it is small, else in parts, which the service wants to
// know the sizes of.
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
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: -1}
	data := make([]byte, max(8<<20, d.caps.Part.Min))
	var u store.Upload
	var parts []store.Part
	for n := 1; ; n++ {
		k, err := s.Fill(data)
		if err == nil && s.Ended && stop() {
			err = src.Close() // a source may find only at its end that it was damaged
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if err == nil && u == nil {
			if s.Ended {
				return d.putOne(ctx, key, held(data[:k]), o)
			}
			if u, err = d.Begin(ctx, key, o, -1); err != nil {
				if d.Classify(err).Code == fault.Unimplemented {
					return d.putOne(ctx, key, &rest{head: data, src: src}, o)
				}
				return store.Entry{}, err
			}
		}
		var p store.Part
		if err == nil && k > 0 {
			if p, err = u.Part(ctx, n, s.N-int64(k), held(data[:k])); err == nil {
				parts = append(parts, p)
			}
		}
		if err == nil && s.Ended {
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
		if u != nil {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = u.Abort(fresh)
		}
		return store.Entry{}, err
	}
}

// rest is a body of unknown size whose beginning was read already.
type rest struct {
	head []byte
	src  io.ReadCloser
}

func (b *rest) Size() int64      { return -1 }
func (b *rest) Replayable() bool { return false }
func (b *rest) Open(context.Context) (io.ReadCloser, error) {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(held(b.head).reader(), b.src), b.src}, nil
}
