package databricks

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// saved is the form of Upload.State. The API does not list the parts that it has, so that the state does.
type saved struct {
	Root     string       `json:"root"`
	Key      string       `json:"key"`
	Session  string       `json:"session"`
	Serial   bool         `json:"serial,omitempty"` // a resumable upload of Google Cloud
	Size     int64        `json:"size"`             // -1 unknown
	IfAbsent bool         `json:"if_absent,omitempty"`
	Parts    []store.Part `json:"parts,omitempty"` // by number
}

// upload is an upload in parts.
type upload struct {
	d *Driver

	mu    sync.Mutex
	state saved
	ended bool   // committed or aborted
	line  serial // of a resumable upload
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	if err := d.writable(ctx, key, o); err != nil {
		return nil, err
	}
	if size > maxSize {
		return nil, fault.New(fault.InvalidArgument, "a file of %d bytes: the most is %d", size, int64(maxSize))
	}
	if d.way().blocked {
		return nil, onePut(fault.New(fault.PermissionDenied, "storage of the cloud is not reached from here"))
	}
	late, done := outlive(ctx)
	defer done()
	u, err := d.initiate(late, key, o, size)
	if err == nil {
		if err = u.first(late); err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
			defer cancel()
			_ = u.Abort(fresh)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if disabled(err) {
		d.learn(func(w *noParts) { w.blocked = w.blocked || !fault.Is(err, fault.Unimplemented) })
		err = onePut(err)
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (d *Driver) initiate(ctx context.Context, key string, o store.PutOptions, size int64) (*upload, error) {
	path := d.path(key)
	r := &request{method: "POST", path: files(path), query: []string{"action", "initiate-upload", "overwrite", "true"}}
	if o.IfAbsent {
		r.query[3] = "false"
	}
	var x struct {
		Multipart *struct {
			Session string `json:"session_token"`
		} `json:"multipart_upload"`
		Resumable *struct {
			Session string `json:"session_token"`
		} `json:"resumable_upload"`
	}
	var resp *http.Response
	var err error
	for range 10 {
		if err = d.mkdir(ctx, parent(path)); err != nil {
			return nil, err
		}
		if resp, err = d.decode(ctx, r, &x); d.Classify(err).Code != fault.NotFound {
			break
		}
		d.forget(parent(path))
	}
	if err != nil {
		return nil, d.conflict(ctx, key, o, err)
	}
	u := &upload{d: d, state: saved{Root: d.root, Key: key, Size: size, IfAbsent: o.IfAbsent}}
	switch {
	case x.Multipart != nil && x.Multipart.Session != "":
		u.state.Session = x.Multipart.Session
	case x.Resumable != nil && x.Resumable.Session != "" && d.caps.Part.Sequential:
		u.state.Session, u.state.Serial = x.Resumable.Session, true
	case x.Resumable != nil && x.Resumable.Session != "":
		return nil, fault.New(fault.Unimplemented, "storage takes bytes in order only, which the host of the workspace did not tell")
	default:
		return nil, notDatabricks(resp, "it names no upload")
	}
	return u, nil
}

// first gets the first URL, and makes sure that it can be used.
func (u *upload) first(ctx context.Context) error {
	if u.state.Serial {
		return u.line.open(ctx, u)
	}
	p, err := u.partURL(ctx, 1)
	if err != nil {
		return err
	}
	return u.d.probe(ctx, p, "")
}

// outlive returns a context that ends a moment after ctx: an upload that was begun while ctx ended has a name that only
// its reply tells, and without it could not be aborted.
func outlive(ctx context.Context) (context.Context, func()) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(200*time.Millisecond, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel(nil) }
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	u := &upload{d: d}
	if err := json.Unmarshal(state, &u.state); err != nil || u.state.Session == "" || u.state.Root != d.root || checkKey(u.state.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the state is not of an upload to %s", d.URI(""))
	}
	return u, nil
}

// State implements store.Upload.
func (u *upload) State() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	b, _ := json.Marshal(u.state)
	return b
}

// open refuses an upload that has ended.
func (u *upload) open() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return fault.New(fault.FailedPrecondition, "the upload has ended")
	}
	return nil
}

// about is the body of requests for URLs.
func (u *upload) about() map[string]any {
	return map[string]any{"path": u.d.path(u.state.Key), "session_token": u.state.Session}
}

func (u *upload) partURL(ctx context.Context, n int) (presigned, error) {
	b := u.about()
	b["start_part_number"], b["count"] = n, 1
	return u.d.presign(ctx, "create-upload-part-urls", b)
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if err := u.open(); err != nil {
		return store.Part{}, err
	}
	if n < 1 || n > maxParts || off < 0 || body.Size() > maxPart {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d of %d bytes at offset %d: parts count from 1 to %d and have at most %d bytes", n, body.Size(), off, maxParts, int64(maxPart))
	}
	if u.state.Serial {
		return u.line.part(ctx, u, n, off, body)
	}
	if body.Size() < 0 {
		data, err := readUpTo(ctx, body, 64<<20)
		if err != nil {
			return store.Part{}, err
		}
		body = held(data)
	}
	p, err := u.partURL(ctx, n)
	if err != nil {
		return store.Part{}, err
	}
	s := newStream(body)
	resp, err := u.d.sendTo(ctx, "PUT", p, "", s)
	if err != nil {
		return store.Part{}, err
	}
	if resp.StatusCode >= 300 {
		return store.Part{}, u.d.refusal(resp)
	}
	azurerest.Drain(resp)
	size, err := s.sent()
	if err != nil {
		return store.Part{}, err
	}
	etag := resp.Header.Get("Etag")
	if etag == "" || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return store.Part{}, notDatabricks(resp, "storage confirms no part")
	}
	x := store.Part{N: n, Off: off, Size: size, ETag: etag}
	u.record(x)
	return x, nil
}

// record keeps a part in the state, in place of an earlier one of its number.
func (u *upload) record(p store.Part) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.Parts = slices.DeleteFunc(u.state.Parts, func(q store.Part) bool { return q.N == p.N })
	u.state.Parts = append(u.state.Parts, p)
	slices.SortFunc(u.state.Parts, func(a, b store.Part) int { return a.N - b.N })
}

func (u *upload) parts() []store.Part {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.state.Parts)
}

// Parts implements store.Upload. The service is asked whether it knows the upload still.
func (u *upload) Parts(ctx context.Context) ([]store.Part, error) {
	if err := u.open(); err != nil {
		return nil, err
	}
	if u.state.Serial {
		return u.line.parts(ctx, u)
	}
	if _, err := u.partURL(ctx, 1); err != nil {
		return nil, err
	}
	return u.parts(), nil
}

// Commit implements store.Upload. The parts must be those that were stored, without a gap, and have the size that was said.
func (u *upload) Commit(ctx context.Context, parts []store.Part) (store.Entry, error) {
	if err := u.open(); err != nil {
		return store.Entry{}, err
	}
	have := u.parts()
	total := int64(0)
	type named struct {
		Number int    `json:"part_number"`
		ETag   string `json:"etag"`
	}
	var list []named
	for i, p := range parts {
		if p.N != i+1 || i >= len(have) || have[i].N != p.N || have[i].ETag != p.ETag || have[i].Size != p.Size {
			return store.Entry{}, fault.New(fault.InvalidArgument, "part %d is missing, or not of this upload", i+1)
		}
		total += p.Size
		list = append(list, named{p.N, p.ETag})
	}
	if len(parts) == 0 || u.state.Size >= 0 && total != u.state.Size {
		return store.Entry{}, fault.New(fault.DataLoss, "the parts have %d bytes, the file %d", total, u.state.Size)
	}
	var err error
	if u.state.Serial {
		err = u.line.commit(ctx, u, total)
	} else {
		var x struct{}
		_, err = u.d.decode(ctx, &request{method: "POST", path: files(u.d.path(u.state.Key)), json: map[string]any{"parts": list},
			query: []string{"action", "complete-upload", "upload_type", "multipart", "session_token", u.state.Session}}, &x)
	}
	if err != nil {
		return store.Entry{}, u.d.conflict(ctx, u.state.Key, store.PutOptions{IfAbsent: u.state.IfAbsent}, err)
	}
	e, err := u.d.proven(ctx, total, func() (store.Entry, error) { return u.d.Stat(ctx, u.state.Key, store.Cond{}) }, func() error {
		return clock.Sleep(ctx, u.d.clock, 50*time.Millisecond)
	})
	e.Key = u.state.Key
	if err != nil {
		return store.Entry{}, err
	}
	u.end()
	return e, nil
}

func (u *upload) end() { u.mu.Lock(); defer u.mu.Unlock(); u.ended = true }

// Abort implements store.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.open() != nil {
		return nil
	}
	var err error
	if u.state.Serial {
		err = u.line.abort(ctx, u)
	} else {
		err = u.abort(ctx)
	}
	if err != nil && u.d.Classify(err).Code != fault.NotFound {
		return err
	}
	u.end()
	return nil
}

// abort aborts at storage. Where that is not reached, the workspace is asked to, as newer SDKs do.
func (u *upload) abort(ctx context.Context) error {
	p, err := u.d.presign(ctx, "create-abort-upload-url", u.about())
	if err == nil {
		var resp *http.Response
		if resp, err = u.d.sendTo(ctx, "DELETE", p, "", nil); err == nil {
			if resp.StatusCode < 300 && resp.ContentLength <= 0 {
				azurerest.Drain(resp)
				return nil
			}
			err = u.d.refusal(resp)
		}
	}
	if code := u.d.Classify(err).Code; code == fault.NotFound || ctx.Err() != nil {
		return err
	}
	var x struct{}
	if _, e := u.d.decode(ctx, &request{method: "POST", path: files(u.d.path(u.state.Key)),
		query: []string{"action", "abort-upload", "upload_type", "multipart", "session_token", u.state.Session}}, &x); e == nil || u.d.Classify(e).Code == fault.NotFound {
		return nil
	}
	return err
}

// readUpTo reads a source of unknown size that must have at most limit bytes.
func readUpTo(ctx context.Context, body store.Body, limit int) ([]byte, error) {
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size()}
	var data []byte
	for buf := make([]byte, 256<<10); !s.Ended; {
		n, err := s.Fill(buf)
		if err != nil {
			return nil, err
		}
		if data = append(data, buf[:n]...); len(data) > limit {
			return nil, fault.New(fault.InvalidArgument, "a part of unknown size has more than %d bytes", limit)
		}
	}
	return data, src.Close()
}
