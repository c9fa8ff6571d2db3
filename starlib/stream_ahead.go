package starlib

import (
	"bytes"
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/store"
)

// The reading ahead of small objects: where many of them are read one after another, the wait for each answer would be
// most of the time.
const (
	aheadObjects = 16        // at most so many at once
	aheadBytes   = 256 << 10 // of objects at most so large
)

// opener opens the objects of a source one after another and fetches small ones ahead. It begins with none ahead and
// doubles with each object, so that a consumer of a few rows causes few requests.
type opener struct {
	x      *exec
	d      *datastore
	pinned bool
	keys   keySource
	end    error // of keys
	queue  []*ahead
	depth  int
	ctx    context.Context // of what is under way
	stop   context.CancelFunc
}

// ahead is an object whose turn will come.
type ahead struct {
	e    store.Entry
	done chan struct{} // closed when data and err are set; nil: not fetched ahead
	data []byte
	err  error
}

func newOpener(x *exec, s *PlanSource) *opener {
	o := &opener{x: x, d: s.store, pinned: s.Pin != nil && s.store.Caps().Pin, keys: keySource{x: x, s: s}, depth: 1}
	o.ctx, o.stop = context.WithCancel(x.ctx)
	return o
}

// next opens the next object; io.EOF says that there are no more. The key is also given with an error of opening it.
func (o *opener) next() (key string, body io.ReadCloser, size int64, err error) {
	o.fill()
	if len(o.queue) == 0 {
		return "", nil, 0, o.end
	}
	a := o.queue[0]
	o.queue = o.queue[1:]
	o.depth = min(2*o.depth, aheadObjects)
	if a.done != nil {
		<-a.done
		if a.err != nil {
			return a.e.Key, nil, 0, a.err
		}
		if a.data != nil {
			return a.e.Key, io.NopCloser(bytes.NewReader(a.data)), int64(len(a.data)), nil
		}
	}
	r, err := o.open(o.x.ctx, a.e)
	if err != nil {
		return a.e.Key, nil, 0, err
	}
	return a.e.Key, r, r.Entry().Size, nil
}

func (o *opener) open(ctx context.Context, e store.Entry) (*store.Reader, error) {
	opts := store.ReadOptions{}
	if o.pinned {
		opts.IfMatch, opts.Version = e.ETag, e.Version
	}
	return o.d.Open(ctx, e.Key, opts)
}

// fill looks ahead. The object whose turn it is waits for nobody and is not fetched.
func (o *opener) fill() {
	for len(o.queue) < o.depth && o.end == nil {
		e, err := o.keys.next()
		if err != nil {
			o.end = err
			return
		}
		a := &ahead{e: e}
		if len(o.queue) > 0 && e.Size >= 0 && e.Size <= aheadBytes {
			if o.end = o.x.run.Charge(e.Size); o.end != nil {
				return
			}
			a.done = make(chan struct{})
			go o.fetch(a)
		}
		o.queue = append(o.queue, a)
	}
}

// fetch reads an object whole. One that has grown too large is left for its turn.
func (o *opener) fetch(a *ahead) {
	defer close(a.done)
	r, err := o.open(o.ctx, a.e)
	if err != nil {
		a.err = err
		return
	}
	defer r.Close()
	data := make([]byte, 0, a.e.Size+1)
	for {
		if len(data) == cap(data) {
			if len(data) > aheadBytes {
				return
			}
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			a.data = data
			return
		}
		if err != nil {
			a.err = err
			return
		}
	}
}

// close ends what is under way and waits for it.
func (o *opener) close() error {
	o.stop()
	for _, a := range o.queue {
		if a.done != nil {
			<-a.done
		}
	}
	o.queue = nil
	if o.end == nil {
		o.end = errClosed
	}
	return o.keys.close()
}
