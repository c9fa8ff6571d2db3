package azureblob

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// request is one call of the service.
type request struct {
	action string // for messages: what the service's reference calls it
	method string
	key    string   // "" for the container itself
	query  []string // names and values in turn
	header http.Header
	body   []byte
	write  bool
	root   bool // of the account, not of the container
}

func (r *request) set(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	if value != "" {
		r.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again once when the token has expired; all other trying again is the portable layer's.
func (d *Driver) do(ctx context.Context, r *request) (*http.Response, error) {
	if d.closed.Load() {
		return nil, fault.New(fault.FailedPrecondition, "the store is closed")
	}
	for refresh := false; ; refresh = true {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		resp, err := d.send(ctx, r, refresh)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 {
			if !r.root && resp.Header.Get("X-Ms-Request-Id") == "" && resp.Header.Get("X-Ms-Version") == "" {
				defer drain(resp)
				return nil, notAzure(resp, "it has no x-ms-request-id")
			}
			return resp, nil
		}
		reply := d.failed(resp, r)
		if d.cred == nil || refresh || !reply.expired {
			return nil, reply
		}
	}
}

func (d *Driver) send(ctx context.Context, r *request, refresh bool) (*http.Response, error) {
	u := *d.base
	path := strings.TrimSuffix(d.base.EscapedPath(), "/")
	if !r.root {
		path += "/" + d.o.Container
	}
	if r.key != "" {
		path += "/" + escape(r.key)
	}
	if path == "" {
		path = "/"
	}
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	u.RawPath, u.RawQuery = path, queryOf(r.query)
	req := &http.Request{Method: r.method, Host: u.Host, URL: &u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(r.header)+6)}
	for name, v := range r.header {
		req.Header[name] = v
	}
	if r.body != nil {
		req.ContentLength = int64(len(r.body))
		req.Body = io.NopCloser(bytes.NewReader(r.body))
		if len(r.body) == 0 {
			req.Body = http.NoBody
		}
	} else if r.method == "PUT" {
		req.Body = http.NoBody
	}
	if err := azureauth.Authorize(ctx, d.cred, req, d.o.Account, d.clock.Now(), refresh); err != nil {
		return nil, err
	}
	req.Header["Accept-Encoding"] = []string{"identity"}
	req.Header["User-Agent"] = []string{"dsrun"}
	resp, err := d.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	return resp, nil
}

// xml sends a request and decodes its XML reply, whose root must be the given one.
func (d *Driver) xml(ctx context.Context, r *request, root string, v any) (*http.Response, error) {
	resp, err := d.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if len(b) > maxReply {
		return nil, fault.New(fault.DataLoss, "the reply to %s is longer than %d bytes", r.action, maxReply)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var name struct{ XMLName xml.Name }
	if err := strict(b, &name); err != nil {
		return nil, notAzure(resp, "it is no whole XML document")
	}
	if name.XMLName.Local != root {
		return nil, notAzure(resp, "its body is not "+root)
	}
	if err := xml.Unmarshal(b, v); err != nil {
		return nil, &fault.Error{Class: fault.Class{Code: fault.Unavailable}, Err: err}
	}
	return resp, nil
}

// strict decodes a document and makes sure that nothing follows it.
func strict(b []byte, v any) error {
	dec := xml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(v); err != nil {
		return err
	}
	for {
		t, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if c, ok := t.(xml.CharData); err != nil || !ok || len(bytes.TrimSpace(c)) > 0 {
			return errors.New("more follows")
		}
	}
}

// transportError strips what net/http puts around an error: its URL can hold a signature.
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

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

func queryOf(q []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(q); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(q[i] + "=" + strings.ReplaceAll(escape(q[i+1]), "/", "%2F"))
	}
	return b.String()
}

// escape percent-encodes all but the unreserved characters of RFC 3986 and "/".
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		}
	}
	return b.String()
}
