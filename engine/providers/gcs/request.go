package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/gcpauth"
)

// request is one call of the service.
type request struct {
	action string // the permission that it needs, for messages
	method string
	path   string // escaped
	query  []string
	header http.Header
	body   payload // nil: none
}

// payload is the body of a request.
type payload interface {
	// open returns the body and its length for one sending. It is called again only when again allows it.
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

func (r *request) ask(name, value string) {
	if value != "" {
		r.query = append(r.query, name, value)
	}
}

// encode makes v the body of r, as JSON.
func (r *request) encode(v any) error {
	b, err := json.Marshal(v)
	r.body = block(b)
	r.set("Content-Type", "application/json")
	return err
}

// metaRequest is a call of the JSON API on the bucket, or on an object with "/o/" and its name.
func (d *Driver) metaRequest(action, method, rest string) *request {
	r := &request{action: action, method: method, path: "/storage/v1/b/" + escape(d.o.Bucket) + rest}
	r.ask("userProject", d.o.UserProject)
	return r
}

func objectPath(key string) string { return "/o/" + escape(key) }

// xmlRequest is a call of the XML API on an object, or on the bucket with "".
func (d *Driver) xmlRequest(action, method, key string, query ...string) *request {
	r := &request{action: action, method: method, path: "/" + escape(d.o.Bucket), query: query}
	if key != "" {
		r.path += "/" + escape(key)
	}
	r.set("X-Goog-User-Project", d.o.UserProject)
	return r
}

// do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again, once, when the token was refused; all other trying again is the portable layer's.
func (d *Driver) do(ctx context.Context, r *request) (*http.Response, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	for refresh := false; ; refresh = true {
		resp, err := d.send(ctx, r, refresh)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 {
			return resp, nil
		}
		reply := d.failed(resp, r.action)
		if reply.Status != http.StatusUnauthorized || refresh || d.cred == nil || r.body != nil && !r.body.again() {
			return nil, reply
		}
	}
}

// send sends a request once.
func (d *Driver) send(ctx context.Context, r *request, refresh bool) (*http.Response, error) {
	u := &url.URL{Scheme: d.base.Scheme, Host: d.base.Host, RawPath: r.path, RawQuery: queryOf(r.query)}
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, err
	}
	req := &http.Request{Method: r.method, Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(r.header)+4)}
	for name, v := range r.header {
		req.Header[name] = v
	}
	if err := d.authorize(ctx, req, refresh); err != nil {
		return nil, err
	}
	// Without gzip here the service would unpack objects that are stored with this encoding.
	req.Header["Accept-Encoding"] = []string{"gzip"}
	req.Header["User-Agent"] = []string{"dsrun"}
	req = req.WithContext(ctx)
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

// authorize adds the token to a request.
func (d *Driver) authorize(ctx context.Context, req *http.Request, refresh bool) error {
	if d.cred == nil {
		return nil
	}
	v, err := d.cred.Resolve(ctx, credential.Want{Audience: gcpauth.ScopeStorage, Refresh: refresh})
	if err != nil {
		return err
	}
	token := v.Fields[gcpauth.FieldToken].Reveal()
	if token == "" {
		return fault.Hinted(fault.InvalidArgument, "Use a credential with the method default, service_account, impersonate or access_token.", "the credential gives no access token")
	}
	req.Header["Authorization"] = []string{"Bearer " + token}
	return nil
}

// text reads the whole of a small reply.
func (d *Driver) text(ctx context.Context, r *request) (*http.Response, []byte, error) {
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	src := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gunzip(resp.Body)
		if err != nil {
			return nil, nil, transportError(ctx, err)
		}
		src = z
	}
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxReplyText {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(src, maxReplyText+1))
	switch {
	case err != nil:
		return nil, nil, transportError(ctx, err)
	case n > maxReplyText:
		return nil, nil, fault.New(fault.DataLoss, "the reply to %s is longer than %d bytes", r.action, int64(maxReplyText))
	}
	return resp, b.Bytes(), nil
}

// json sends a request and decodes its reply.
func (d *Driver) json(ctx context.Context, r *request, v any) (*http.Response, error) {
	resp, b, err := d.text(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, notGCS(resp, "its body is not the JSON that was asked for")
	}
	return resp, nil
}

// xml sends a request and decodes its reply, whose root element has the name given.
func (d *Driver) xml(ctx context.Context, r *request, root string, v any) (*http.Response, error) {
	resp, b, err := d.text(ctx, r)
	if err != nil {
		return nil, err
	}
	var name struct{ XMLName xml.Name }
	if xml.Unmarshal(b, &name) == nil && name.XMLName.Local == "Error" { // in a reply of success
		return nil, d.refusal(resp, b, r.action)
	}
	if name.XMLName.Local != root {
		return nil, notGCS(resp, fmt.Sprintf("its body is no %s", root))
	}
	if err := xml.Unmarshal(b, v); err != nil {
		return nil, notGCS(resp, "its body is cut short")
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
		if q[i+1] != "" {
			b.WriteByte('=')
			b.WriteString(escape(q[i+1]))
		}
	}
	return b.String()
}

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
