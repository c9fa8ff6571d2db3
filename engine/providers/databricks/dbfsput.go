package databricks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver.
func (d *DBFS) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	for name, asked := range map[string]bool{"IfAbsent": o.IfAbsent, "IfMatch": o.IfMatch != ""} {
		if asked {
			return store.Entry{}, fault.New(fault.Unimplemented, "no conditional write: %s", dbfsLacks[name])
		}
	}
	if err := checkDBFS(key); err != nil {
		return store.Entry{}, err
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Entry{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size()}
	buf := make([]byte, block+1)
	n, err := s.Fill(buf)
	if err == nil && s.Ended {
		err = src.Close() // a source may find only at its end that it was damaged
	}
	switch {
	case err != nil:
		return store.Entry{}, err
	case s.Ended:
		return d.putOne(ctx, key, buf[:n])
	}
	return d.putBlocks(ctx, key, s, src, buf)
}

// putOne stores a file of at most one block in one request.
func (d *DBFS) putOne(ctx context.Context, key string, data []byte) (store.Entry, error) {
	path := d.path(key)
	write := func() error {
		err := d.inFolder(ctx, parent(path), func() error {
			return d.tell(ctx, nil, "put", map[string]any{"path": path, "contents": base64.StdEncoding.EncodeToString(data), "overwrite": true})
		})
		return d.obstacle(ctx, path, err)
	}
	if err := write(); err != nil {
		return store.Entry{}, err
	}
	e, err := d.proven(ctx, int64(len(data)), func() (store.Entry, error) { return d.Stat(ctx, key, store.Cond{}) }, write)
	e.Key = key
	return e, err
}

// inFolder makes a folder and does what needs it, again where somebody removes it meanwhile, empty as it is.
func (d *DBFS) inFolder(ctx context.Context, dir string, do func() error) error {
	var err error
	for range 10 {
		if dir != "" && !d.knows(dir) {
			if err = d.tell(ctx, nil, "mkdirs", map[string]any{"path": dir}); err != nil {
				if d.Classify(err).Code == fault.AlreadyExists {
					return underFile()
				}
				return err
			}
			d.remember(dir)
		}
		if err = do(); d.Classify(err).Code != fault.NotFound {
			return err
		}
		d.forget(dir)
	}
	return err
}

// obstacle tells a folder in the way from other refusals.
func (d *DBFS) obstacle(ctx context.Context, path string, err error) error {
	if ctx.Err() == nil && d.Classify(err).Code == fault.AlreadyExists {
		if f, e := d.status(ctx, path); e == nil && f.Dir {
			return fault.New(fault.InvalidArgument, "there is a folder of this name")
		}
	}
	return err
}

// putBlocks stores a larger file: under a name of its own, and then moved. buf is full with its first bytes.
func (d *DBFS) putBlocks(ctx context.Context, key string, s *azurerest.Source, src io.Closer, buf []byte) (store.Entry, error) {
	path := d.path(key)
	if f, err := d.status(ctx, path); err == nil && f.Dir {
		return store.Entry{}, fault.New(fault.InvalidArgument, "there is a folder of this name")
	} else if err != nil && d.Classify(err).Code != fault.NotFound {
		return store.Entry{}, err
	}
	temp := d.root + "/" + hidden + "/" + rand.Text()
	f, err := d.writeBlocks(ctx, temp, s, src, buf)
	if err == nil {
		err = d.inFolder(ctx, parent(path), func() error { return d.place(ctx, temp, path) })
	}
	if err != nil {
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
		defer cancel()
		if e := d.remove(fresh, temp); e != nil && d.Classify(e).Code != fault.NotFound {
			d.log.Warn("a temporary file could not be deleted", "path", temp, "error", e)
		}
		return store.Entry{}, d.obstacle(ctx, path, err)
	}
	return f.entry(key), nil
}

// writeBlocks writes a file and looks at it.
func (d *DBFS) writeBlocks(ctx context.Context, temp string, s *azurerest.Source, src io.Closer, buf []byte) (f fileInfo, err error) {
	var x struct {
		Handle *int64 `json:"handle"`
	}
	err = d.inFolder(ctx, parent(temp), func() error { return d.tell(ctx, &x, "create", map[string]any{"path": temp, "overwrite": false}) })
	if err == nil && x.Handle == nil {
		err = fault.New(fault.Unavailable, "the service opened a file and gave no handle")
	}
	if err != nil {
		return f, err
	}
	add := func(b []byte) error {
		return d.tell(ctx, nil, "add-block", map[string]any{"handle": *x.Handle, "data": base64.StdEncoding.EncodeToString(b)})
	}
	n := len(buf)
	for err == nil {
		if n > block || s.Ended && n > 0 {
			k := min(n, block)
			err = add(buf[:k])
			n = copy(buf, buf[k:n])
			continue
		}
		if s.Ended {
			break
		}
		var k int
		k, err = s.Fill(buf[n:])
		n += k
	}
	if err == nil {
		err = src.Close() // a source may find only at its end that it was damaged
	}
	if err == nil {
		err = d.tell(ctx, nil, "close", map[string]any{"handle": *x.Handle})
	} else { // a handle that stays open ends by itself
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
		defer cancel()
		_ = d.tell(fresh, nil, "close", map[string]any{"handle": *x.Handle})
	}
	if err != nil {
		return f, err
	}
	f, err = d.status(ctx, temp)
	if err == nil && (f.Dir || *f.Size != s.N) {
		err = fault.New(fault.DataLoss, "the service holds another number of bytes than the %d sent", s.N)
	}
	return f, err
}

// place moves a temporary file to its path. A file that is there is moved aside first, and back when that fails.
func (d *DBFS) place(ctx context.Context, temp, path string) error {
	for range 10 {
		err := d.move(ctx, temp, path)
		if d.Classify(err).Code != fault.AlreadyExists {
			return err
		}
		if f, e := d.status(ctx, path); e == nil && f.Dir {
			return err
		}
		aside := d.root + "/" + hidden + "/" + rand.Text()
		if err = d.move(ctx, path, aside); d.Classify(err).Code == fault.NotFound {
			continue // gone meanwhile
		} else if err != nil {
			return err
		}
		if err = d.move(ctx, temp, path); err == nil {
			if e := d.remove(ctx, aside); e != nil {
				d.log.Warn("the file that was replaced could not be deleted", "path", aside, "error", e)
			}
			return nil
		}
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
		e := d.move(fresh, aside, path)
		cancel()
		switch {
		case d.Classify(e).Code == fault.AlreadyExists: // somebody else wrote it
			_ = d.remove(ctx, aside)
			continue
		case e != nil:
			d.log.Error("the file that was to be replaced could not be moved back: move it by hand", "from", aside, "to", path, "error", e)
		}
		return err
	}
	return fault.New(fault.Unavailable, "the file is replaced by others again and again")
}

// move renames. One whose reply was lost is known by what it left.
func (d *DBFS) move(ctx context.Context, from, to string) error {
	err := d.tell(ctx, nil, "move", map[string]any{"source_path": from, "destination_path": to})
	var network *NetError
	if errors.As(err, &network) && ctx.Err() == nil {
		if _, e := d.status(ctx, from); d.Classify(e).Code == fault.NotFound {
			if _, e := d.status(ctx, to); e == nil {
				return nil
			}
		}
	}
	return err
}

func (d *DBFS) remove(ctx context.Context, path string) error {
	return d.tell(ctx, nil, "delete", map[string]any{"path": path, "recursive": false})
}
