package httpstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Server serves a driver. Token, when set, is asked for as a bearer token.
type Server struct {
	Driver store.Driver // also a Multiparter and UploadLister
	Token  string
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := s.serve(w, r)
	if err == nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(r.Body, 64<<20)) // else the client's write error hides the reply
	code := s.Driver.Classify(err).Code
	status := statuses[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	w.Header().Set(headError, string(code))
	http.Error(w, err.Error(), status)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		return fault.New(fault.Unauthenticated, "no valid token")
	}
	path, q := r.URL.EscapedPath(), r.URL.Query()
	if raw, ok := strings.CutPrefix(path, objects); ok {
		key, err := url.PathUnescape(raw)
		if err != nil {
			return fault.New(fault.InvalidArgument, "a key that is not percent-encoded")
		}
		return s.object(w, r, key)
	}
	ctx, d := r.Context(), s.Driver.(store.Multiparter)
	switch r.Method + " " + path {
	case "GET /list":
		n, _ := strconv.Atoi(q.Get("max"))
		page, err := s.Driver.List(ctx, store.Query{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), After: q.Get("after"), Before: q.Get("before"), Token: q.Get("token"), Max: n})
		return reply(w, listReply{page, len(page.Entries) + len(page.Prefixes)}, err)
	case "GET /uploads":
		page, err := s.Driver.(store.UploadLister).Uploads(ctx, q.Get("prefix"), q.Get("token"))
		return reply(w, page, err)
	case "POST /uploads":
		o, err := putOptions(r)
		if err != nil {
			return err
		}
		size, _ := strconv.ParseInt(q.Get("size"), 10, 64)
		u, err := d.Begin(ctx, q.Get("key"), o, size)
		if err != nil {
			return err
		}
		return reply(w, u.State(), nil)
	}
	u, err := d.Resume(ctx, []byte(q.Get("state")))
	if err != nil {
		return err
	}
	switch r.Method + " " + path {
	case "PUT /part":
		n, _ := strconv.Atoi(q.Get("n"))
		off, _ := strconv.ParseInt(q.Get("off"), 10, 64)
		p, err := u.Part(ctx, n, off, newUploaded(r))
		return reply(w, p, err)
	case "GET /parts":
		parts, err := u.Parts(ctx)
		return reply(w, parts, err)
	case "POST /commit":
		var parts []store.Part
		if err := json.NewDecoder(r.Body).Decode(&parts); err != nil {
			return fault.New(fault.InvalidArgument, "a list of parts: %v", err)
		}
		e, err := u.Commit(ctx, parts)
		return reply(w, e, err)
	case "DELETE /uploads":
		return reply(w, "aborted", u.Abort(ctx))
	}
	return fault.New(fault.Unimplemented, "no such call")
}

func reply(w http.ResponseWriter, v any, err error) error {
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
	return nil
}

func (s *Server) object(w http.ResponseWriter, r *http.Request, key string) error {
	c := store.Cond{IfMatch: unquote(r.Header.Get("If-Match")), Version: r.Header.Get(headVersion)}
	switch r.Method {
	case "HEAD":
		e, err := s.Driver.Stat(r.Context(), key, c)
		if err == nil {
			describe(w, e, e.Size)
		}
		return err
	case "GET":
		return s.get(w, r, key, c)
	case "PUT":
		o, err := putOptions(r)
		if err != nil {
			return err
		}
		e, err := s.Driver.Put(r.Context(), key, newUploaded(r), o)
		if err == nil {
			describe(w, e, 0)
		}
		return err
	case "DELETE":
		err := s.Driver.Delete(r.Context(), key, c)
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	return fault.New(fault.Unimplemented, "no such method")
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string, c store.Cond) error {
	o := store.GetOptions{IfMatch: c.IfMatch, Version: c.Version}
	if h := r.Header.Get("Range"); h != "" {
		rg, err := parseRange(h)
		if err != nil {
			return err
		}
		o.Range = &rg
	}
	if o.Range != nil { // a range without bytes is 416 on this wire
		e, err := s.Driver.Stat(r.Context(), key, c)
		if err != nil {
			return err
		}
		if e.Size == 0 || o.Range.Off >= e.Size {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", e.Size))
			describe(w, e, 0)
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return nil
		}
	}
	x, err := s.Driver.Get(r.Context(), key, o)
	if err != nil {
		return err
	}
	defer x.Body.Close()
	var body io.Reader = x.Body
	describe(w, x.Entry, x.Range.Len)
	if o.Range != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", x.Range.Off, x.Range.Off+x.Range.Len-1, x.Total))
		if x.Range.Len <= 1<<20 {
			b, err := io.ReadAll(x.Body)
			if err != nil {
				return err
			}
			w.Header().Set(headBodyCRC, fmt.Sprint(crc32.Checksum(b, castagnoli)))
			body = bytes.NewReader(b)
		}
		w.WriteHeader(http.StatusPartialContent)
	}
	if _, err := io.Copy(w, body); err != nil {
		panic(http.ErrAbortHandler) // the reply is under way: it must not end as if whole
	}
	return nil
}

func describe(w http.ResponseWriter, e store.Entry, length int64) {
	h := w.Header()
	h.Set("ETag", `"`+e.ETag+`"`)
	h.Set("Last-Modified", e.Modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	h.Set(headEntry, pack(e))
}

func putOptions(r *http.Request) (o store.PutOptions, err error) {
	if h := r.Header.Get(headAttrs); h != "" {
		if err := unpack(h, &o.Attrs); err != nil {
			return o, fault.New(fault.InvalidArgument, "attributes: %v", err)
		}
	}
	o.IfAbsent = r.Header.Get("If-None-Match") == "*"
	o.IfMatch = unquote(r.Header.Get("If-Match"))
	return o, nil
}

func unquote(etag string) string { return strings.TrimSuffix(strings.TrimPrefix(etag, `"`), `"`) }

// parseRange reads one range of bytes.
func parseRange(h string) (store.Range, error) {
	from, to, ok := strings.Cut(strings.TrimPrefix(h, "bytes="), "-")
	bad := fault.New(fault.InvalidArgument, "a range that is not one of bytes")
	if !ok || !strings.HasPrefix(h, "bytes=") {
		return store.Range{}, bad
	}
	a, aerr := strconv.ParseInt(from, 10, 64)
	b, berr := strconv.ParseInt(to, 10, 64)
	switch {
	case from == "" && berr == nil:
		return store.Range{Off: -b}, nil
	case aerr == nil && to == "":
		return store.Range{Off: a, Len: -1}, nil
	case aerr == nil && berr == nil && b >= a:
		return store.Range{Off: a, Len: b - a + 1}, nil
	}
	return store.Range{}, bad
}

// uploaded is the body of a request. It ends with an error unless the trailer proves that it came whole.
type uploaded struct {
	r    *http.Request
	size int64
}

func newUploaded(r *http.Request) *uploaded {
	size, err := strconv.ParseInt(r.Header.Get(headSize), 10, 64)
	if err != nil {
		size = -1
	}
	return &uploaded{r, size}
}

func (u *uploaded) Size() int64      { return u.size }
func (u *uploaded) Replayable() bool { return false }

func (u *uploaded) Open(context.Context) (io.ReadCloser, error) {
	return &proven{r: u.r, ReadCloser: u.r.Body}, nil
}

type proven struct {
	io.ReadCloser
	r   *http.Request
	crc uint32
}

func (p *proven) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.crc = crc32.Update(p.crc, castagnoli, b[:n])
	if err == io.EOF && p.r.Trailer.Get(headCRC) != fmt.Sprint(p.crc) {
		return n, fault.New(fault.DataLoss, "the upload did not come whole")
	}
	return n, err
}
