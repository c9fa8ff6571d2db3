package httpstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// maxReply bounds a reply in JSON.
const maxReply = 64 << 20

// Driver is the client. It implements store.Driver, Multiparter, UploadLister, Checker and Locator.
type Driver struct {
	base   string // http://host:port
	client *http.Client
	token  secret.String
	closed atomic.Bool
}

// Open returns a driver of the store at base. The client must not unpack bodies.
func Open(base string, client *http.Client, token secret.String) *Driver {
	return &Driver{base: strings.TrimSuffix(base, "/"), client: client, token: token}
}

// Caps implements store.Driver.
func (d *Driver) Caps() store.Caps {
	return store.Caps{
		Order: store.OrderByKey, IfAbsent: true, IfMatch: true, Pin: true, Metadata: true, Modified: true,
		Part:   store.PartLimits{Min: 64 << 10, Max: 1 << 30, Count: 10_000},
		MaxKey: 1024, Sums: []string{"crc32c", "sha256"},
	}
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	resp, err := d.ask(ctx, "HEAD", d.object(key), cond(c), nil)
	if err != nil {
		return store.Entry{}, err
	}
	resp.Body.Close()
	return described(resp, key)
}

// List implements store.Driver.
func (d *Driver) List(ctx context.Context, q store.Query) (store.Page, error) {
	v := url.Values{"prefix": {q.Prefix}, "delimiter": {q.Delimiter}, "after": {q.After}, "before": {q.Before}, "token": {q.Token}, "max": {strconv.Itoa(q.Max)}}
	var r listReply
	if err := d.json(ctx, "GET", "/list?"+v.Encode(), nil, nil, &r); err != nil {
		return store.Page{}, err
	}
	if n := len(r.Entries) + len(r.Prefixes); n != r.Count {
		return store.Page{}, fault.New(fault.DataLoss, "a page of %d names holds %d", r.Count, n)
	}
	return r.Page, nil
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	h := cond(store.Cond{IfMatch: o.IfMatch, Version: o.Version})
	if o.Range != nil && o.Range.Off >= 0 && o.Range.Len == 0 { // HTTP has no range of no bytes
		e, err := d.Stat(ctx, key, store.Cond{IfMatch: o.IfMatch, Version: o.Version})
		return d.empty(e, o.Range, err)
	}
	if o.Range != nil {
		h.Set("Range", rangeHeader(*o.Range))
	}
	resp, err := d.ask(ctx, "GET", d.object(key), h, nil)
	var refused *replyError
	if errors.As(err, &refused) && refused.status == http.StatusRequestedRangeNotSatisfiable && refused.entry != nil && o.Range != nil {
		refused.entry.Key = key
		return d.empty(*refused.entry, o.Range, nil)
	}
	if err != nil {
		return store.Object{}, err
	}
	x, err := opened(resp, key, o)
	if err != nil {
		resp.Body.Close()
		return store.Object{}, err
	}
	return x, nil
}

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	h, err := putHeader(o)
	if err != nil {
		return store.Entry{}, err
	}
	s := newSent(ctx, body)
	resp, err := d.ask(ctx, "PUT", d.object(key), h, s)
	if err != nil {
		return store.Entry{}, s.cause(err)
	}
	resp.Body.Close()
	e, err := described(resp, key)
	if err == nil {
		err = s.proves(e.Size, sumOf(e.Sums))
	}
	if err != nil {
		return store.Entry{}, maybeApplied(err)
	}
	return e, nil
}

// Delete implements store.Driver.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	resp, err := d.ask(ctx, "DELETE", d.object(key), cond(c), nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return maybeApplied(fault.New(fault.Unavailable, "the reply does not come from the store"))
	}
	return nil
}

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class {
	var r *replyError
	var u *url.Error
	c := fault.ClassOf(err)
	switch {
	case err == nil:
	case errors.As(err, &r):
		return fault.Class{Code: r.code, RetryAfter: r.retryAfter, MaybeApplied: r.maybe}
	case c.Code != fault.Internal:
		if errors.As(err, &u) && u.Op != "Get" && u.Op != "Head" {
			c.MaybeApplied = true
		}
	case errors.As(err, &u):
		return fault.Class{Code: fault.Unavailable, MaybeApplied: u.Op != "Get" && u.Op != "Head"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Class{Code: fault.Unavailable}
	}
	return c
}

// Close implements store.Driver.
func (d *Driver) Close() error { d.closed.Store(true); return nil }

// Check implements store.Checker.
func (d *Driver) Check(ctx context.Context) error {
	_, err := d.List(ctx, store.Query{Max: 1})
	return err
}

// URI implements store.Locator.
func (d *Driver) URI(key string) string {
	return "httpstore://" + strings.TrimPrefix(d.base, "http://") + "/" + key
}

func (d *Driver) object(key string) string {
	return objects + escape(key)
}

// replyError is a reply that says no.
type replyError struct {
	status     int
	code       fault.Code
	text       string
	retryAfter time.Duration
	maybe      bool
	entry      *store.Entry
}

func (e *replyError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// ask sends a request and returns a reply of success.
func (d *Driver) ask(ctx context.Context, method, uri string, h http.Header, body io.ReadCloser) (*http.Response, error) {
	if d.closed.Load() {
		return nil, fault.New(fault.FailedPrecondition, "the store is closed")
	}
	if key, ok := strings.CutPrefix(uri, objects); ok {
		if key, _ := url.PathUnescape(key); key == "" || len(key) > 1024 || !utf8.ValidString(key) {
			return nil, fault.New(fault.InvalidArgument, "a key of %d bytes: keys are 1 to 1024 bytes of UTF-8", len(key))
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+uri, nil)
	if err != nil {
		return nil, err
	}
	if h != nil {
		req.Header = h
	}
	req.Header.Set("Accept-Encoding", "identity")
	if !d.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+d.token.Reveal())
	}
	if s, ok := body.(*sent); ok {
		req.Body, req.ContentLength, req.Trailer = s, -1, s.trailer
		if s.size >= 0 {
			req.Header.Set(headSize, strconv.FormatInt(s.size, 10))
		}
	} else if body != nil {
		req.Body = body
	}
	resp, err := d.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	if resp.Header.Get("Content-Encoding") != "" {
		resp.Body.Close()
		return nil, fault.New(fault.DataLoss, "the reply was packed on its way")
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

func refusal(resp *http.Response) *replyError {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	e := &replyError{status: resp.StatusCode, code: fault.Code(resp.Header.Get(headError)), text: strings.TrimSpace(string(text))}
	if e.code == "" {
		e.code = codeOf(resp.StatusCode)
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.retryAfter = time.Duration(n) * time.Second
	}
	var entry store.Entry
	if unpack(resp.Header.Get(headEntry), &entry) == nil {
		e.entry = &entry
	}
	return e
}

// json asks for a reply in JSON, which must be whole and nothing else.
func (d *Driver) json(ctx context.Context, method, uri string, h http.Header, in, out any) error {
	var body io.ReadCloser
	if s, ok := in.(*sent); ok {
		body = s
	} else if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = io.NopCloser(bytes.NewReader(b))
	}
	resp, err := d.ask(ctx, method, uri, h, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err == nil && resp.Header.Get("Content-Type") != "application/json" {
		err = fault.New(fault.Unavailable, "the reply does not come from the store")
	}
	if err == nil {
		if jerr := json.Unmarshal(b, out); jerr != nil {
			err = fault.New(fault.Unavailable, "the reply was cut: %v", jerr)
		}
	}
	if err != nil && method != "GET" {
		return maybeApplied(err)
	}
	return err
}

// maybeApplied marks the error of a write whose reply cannot be trusted.
func maybeApplied(err error) error {
	c := fault.ClassOf(err)
	if c.Code == fault.Internal {
		c.Code = fault.Unavailable
	}
	c.MaybeApplied = true
	return &fault.Error{Class: c, Err: err}
}
