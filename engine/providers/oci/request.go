package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// request is one call of the service.
type request struct {
	action string // as policies name the permission, for messages
	method string
	path   string // below the bucket, escaped: "/o/key"
	root   bool   // path is below the endpoint instead
	query  []string
	header http.Header
	text   []byte  // a small body of JSON, which the signature covers
	body   payload // the bytes of an object, which it does not
}

// payload is the body of an object or part.
type payload interface {
	// open returns the body for one sending. It is called again only when again allows it.
	open(ctx context.Context) (io.ReadCloser, int64, error)
	again() bool
	// cause returns why the body itself failed, else err.
	cause(err error) error
}

func (r *request) set(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	if value != "" {
		r.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// encode makes v the body of r.
func (r *request) encode(v any) error {
	b, err := json.Marshal(v)
	r.text = b
	r.set("Content-Type", "application/json")
	return err
}

// objectPath is the path of an object, or of its upload with "/u/".
func objectPath(kind, key string) string { return kind + escape(key) }

// do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again, once for each cause, when the credential was refused or the clock is off; all other trying
// again is the portable layer's.
func (d *Driver) do(ctx context.Context, r *request) (*http.Response, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	var refreshed, skewed, refresh bool
	for {
		resp, err := d.send(ctx, r, refresh)
		refresh = false
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 {
			return resp, nil
		}
		reply := d.failed(resp, r)
		if reply.Status != http.StatusUnauthorized || r.body != nil && !r.body.again() {
			return nil, reply
		}
		off := time.Duration(0)
		if !reply.date.IsZero() {
			off = reply.date.Sub(d.clock.Now())
		}
		switch {
		case !skewed && (off-time.Duration(d.skew.Load())).Abs() > 4*time.Minute:
			skewed = true
			d.skew.Store(int64(off))
			d.log.Warn("the clock of this machine differs from the service's: requests are dated by the service's", "ahead", (-off).Round(time.Second))
		case !refreshed:
			refreshed, refresh = true, true
		default:
			return nil, reply
		}
	}
}

// send sends a request once.
func (d *Driver) send(ctx context.Context, r *request, refresh bool) (*http.Response, error) {
	path := r.path
	if !r.root {
		ns, err := d.namespaceOf(ctx)
		if err != nil {
			return nil, err
		}
		path = "/n/" + escape(ns) + "/b/" + escape(d.o.Bucket) + path
	}
	u := &url.URL{Scheme: d.base.Scheme, Host: d.base.Host, RawPath: strings.TrimSuffix(d.base.EscapedPath(), "/") + path, RawQuery: queryOf(r.query)}
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, err
	}
	req := &http.Request{Method: r.method, Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(r.header)+6)}
	req = req.WithContext(ctx)
	for name, v := range r.header {
		req.Header[name] = v
	}
	req.Header["Date"] = []string{d.now().UTC().Format(http.TimeFormat)}
	covered := r.body == nil && (r.method == "POST" || r.method == "PUT")
	if covered {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.text)), int64(len(r.text))
		if req.Header["Content-Type"] == nil {
			req.Header["Content-Type"] = []string{"application/json"}
		}
	}
	if err := d.signer.Sign(ctx, req, covered, refresh); err != nil {
		return nil, err
	}
	// What proxies change on the way stays out of the signature.
	req.Header["Accept-Encoding"] = []string{"identity"}
	req.Header["User-Agent"] = []string{"dsrun"}
	if r.body != nil {
		body, n, err := r.body.open(ctx)
		if err != nil {
			return nil, r.body.cause(err)
		}
		defer body.Close() // the transport may still hold it when the call has ended
		if req.ContentLength = n; n > 0 {
			req.Body = body
		} else {
			req.Body = http.NoBody
		}
	}
	resp, err := d.http.Do(req)
	if err != nil {
		if r.body != nil {
			if own := r.body.cause(nil); own != nil && ctx.Err() == nil {
				return nil, own
			}
		}
		return nil, transportError(ctx, err)
	}
	return resp, nil
}

// namespaceOf returns the namespace, which is asked for once.
func (d *Driver) namespaceOf(ctx context.Context) (string, error) {
	d.mu.Lock()
	ns := d.namespace
	d.mu.Unlock()
	if ns != "" {
		return ns, nil
	}
	if _, err := d.json(ctx, &request{action: "OBJECTSTORAGE_NAMESPACE_READ", method: "GET", path: "/n", root: true}, &ns); err != nil {
		return "", err
	}
	if ns == "" || strings.ContainsAny(ns, "/ \n") {
		return "", fault.New(fault.Unavailable, "the reply does not come from the service: it names no namespace")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.namespace = ns
	return ns, nil
}

// json sends a request and decodes its reply.
func (d *Driver) json(ctx context.Context, r *request, v any) (*http.Response, error) {
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxReplyText {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxReplyText+1))
	switch {
	case err != nil:
		return nil, transportError(ctx, err)
	case n > maxReplyText:
		return nil, fault.New(fault.DataLoss, "the reply to %s is longer than %d bytes", r.action, int64(maxReplyText))
	}
	if err := json.Unmarshal(b.Bytes(), v); err != nil {
		return nil, notOCI(resp, "its body is not the JSON that was asked for")
	}
	return resp, nil
}

// transportError strips what net/http puts around an error: the address is said by others, and better.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &NetError{err}
}

// NetError is a failure between us and the service.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// queryOf encodes names and values in turn.
func queryOf(q []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(q); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(q[i]))
		b.WriteByte('=')
		b.WriteString(escape(q[i+1]))
	}
	return b.String()
}

func (d *Driver) now() time.Time { return d.clock.Now().Add(time.Duration(d.skew.Load())) }

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < 1e6 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
