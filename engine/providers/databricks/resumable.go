package databricks

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// chunkSize is the most bytes of one request of a resumable upload: they are held until the service says that it keeps
// them.
const chunkSize = 8 << 20

// serial is a resumable upload of Google Cloud ("Resumable uploads" of its documentation): bytes go up in order, in chunks
// of whole 256 KiB, and the request that tells the size makes the object. So the bytes of the last part after its last
// whole 256 KiB are held back until the commit. Parts come one after another.
type serial struct {
	url  presigned
	kept int64 // bytes that the service keeps
	sure bool  // kept is what the service said last
	done bool  // the object was made
	tail []byte
}

// open gets the URL of the upload and asks what the service keeps.
func (l *serial) open(ctx context.Context, u *upload) error {
	if l.url.URL == "" {
		p, err := u.d.presign(ctx, "create-resumable-upload-url", u.about())
		if err != nil {
			return err
		}
		if err := u.d.probe(ctx, p, "bytes */*"); err != nil {
			return err
		}
		l.url = p
	}
	if l.sure {
		return nil
	}
	return l.send(ctx, u, "*", nil, "*")
}

// send sends a chunk, or asks with span "*", and learns what the service keeps.
func (l *serial) send(ctx context.Context, u *upload, span string, data []byte, total string) error {
	l.sure = false
	resp, err := u.d.sendTo(ctx, "PUT", l.url, "bytes "+span+"/"+total, newStream(held(data)))
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusPermanentRedirect: // here: "resume incomplete"
		azurerest.Drain(resp)
		kept := int64(0)
		if r := resp.Header.Get("Range"); r != "" {
			last, ok := strings.CutPrefix(r, "bytes=0-")
			n, err := strconv.ParseInt(last, 10, 64)
			if !ok || err != nil || n < 0 {
				return fault.New(fault.DataLoss, "storage keeps the range %q of the upload", r)
			}
			kept = n + 1
		}
		l.kept, l.sure = kept, true
		return nil
	case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated:
		azurerest.Drain(resp)
		if span != "*" && total == "*" || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			return notDatabricks(resp, "storage ends the upload before its end")
		}
		l.done, l.sure = true, true
		return nil
	}
	return u.d.refusal(resp)
}

// put sends bytes from pos on until the service keeps all of them.
func (l *serial) put(ctx context.Context, u *upload, pos int64, data []byte, total string) error {
	end := pos + int64(len(data))
	for stuck := 0; ; {
		if l.kept < pos || l.kept > end {
			return fault.New(fault.DataLoss, "storage keeps %d bytes of the upload, which is at %d to %d", l.kept, pos, end)
		}
		rest, before := data[l.kept-pos:], l.kept
		span := "*"
		switch {
		case len(rest) > 0:
			span = fmt.Sprintf("%d-%d", l.kept, end-1)
		case total == "*":
			return nil
		}
		if err := l.send(ctx, u, span, rest, total); err != nil {
			return err
		}
		if l.done {
			return nil
		}
		if l.kept == end && total == "*" {
			return nil
		}
		if stuck++; l.kept > before {
			stuck = 0
		}
		if stuck == 3 {
			return fault.New(fault.Unavailable, "storage keeps %d bytes of the upload and takes no more", l.kept)
		}
	}
}

// sum is the number of bytes of the parts.
func sum(parts []store.Part) (n int64) {
	for _, p := range parts {
		n += p.Size
	}
	return n
}

func (l *serial) part(ctx context.Context, u *upload, n int, off int64, body store.Body) (store.Part, error) {
	before := u.parts()
	if n != len(before)+1 || off != sum(before) || len(l.tail) > 0 {
		return store.Part{}, fault.New(fault.InvalidArgument, "part %d at offset %d: parts go up in order, and all but the last have multiples of %d bytes", n, off, chunkAlign)
	}
	if err := l.open(ctx, u); err != nil {
		return store.Part{}, err
	}
	if l.done {
		return store.Part{}, fault.New(fault.FailedPrecondition, "the upload has ended")
	}
	src, err := azurerest.Once(ctx, body)
	if err != nil {
		return store.Part{}, err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, func() { src.Close() })()
	s := &azurerest.Source{Ctx: ctx, Src: src, Size: body.Size()}
	var tail []byte
	for buf := make([]byte, chunkSize); !s.Ended; {
		pos := off + s.N
		k, err := s.Fill(buf)
		if err == nil && !s.Ended && s.N == body.Size() {
			err = s.End()
		}
		if err != nil {
			return store.Part{}, err
		}
		whole := buf[:k/chunkAlign*chunkAlign]
		if tail = buf[len(whole):k]; len(tail) > 0 && !s.Ended {
			return store.Part{}, fault.New(fault.Internal, "a chunk is not whole")
		}
		// An earlier try of this part may have got further.
		if skip := min(l.kept-pos, int64(len(whole))); skip > 0 {
			whole, pos = whole[skip:], pos+skip
		}
		if len(whole) > 0 {
			if err := l.put(ctx, u, pos, whole, "*"); err != nil {
				return store.Part{}, err
			}
		}
	}
	if err := src.Close(); err != nil { // a source may find only at its end that it was damaged
		return store.Part{}, err
	}
	l.tail = append([]byte(nil), tail...)
	p := store.Part{N: n, Off: off, Size: s.N, ETag: fmt.Sprintf("%d-%d", off, s.N)}
	u.record(p)
	return p, nil
}

// parts are those whose bytes the service keeps, or that are held back here.
func (l *serial) parts(ctx context.Context, u *upload) ([]store.Part, error) {
	l.sure = false
	if err := l.open(ctx, u); err != nil {
		return nil, err
	}
	if l.done {
		return nil, fault.New(fault.NotFound, "the upload has ended")
	}
	have := u.parts()
	for len(have) > 0 && sum(have) > l.kept+int64(len(l.tail)) {
		have, l.tail = have[:len(have)-1], nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state.Parts = have
	return append([]store.Part(nil), have...), nil
}

func (l *serial) commit(ctx context.Context, u *upload, total int64) error {
	if err := l.open(ctx, u); err != nil {
		return err
	}
	if l.done { // by an earlier try, whose reply was lost
		return nil
	}
	return l.put(ctx, u, total-int64(len(l.tail)), l.tail, strconv.FormatInt(total, 10))
}

func (l *serial) abort(ctx context.Context, u *upload) error {
	if l.url.URL == "" {
		p, err := u.d.presign(ctx, "create-resumable-upload-url", u.about())
		if err != nil {
			return err
		}
		l.url = p
	}
	resp, err := u.d.sendTo(ctx, "DELETE", l.url, "", nil)
	if err != nil {
		return err
	}
	if resp.StatusCode == 499 || resp.StatusCode == http.StatusNoContent { // as Google Cloud says it
		azurerest.Drain(resp)
		return nil
	}
	return u.d.refusal(resp)
}
