package databricks

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/providers/internal/databricksauth"
)

// request is one call of the workspace.
type request struct {
	method string
	path   string // below the host, escaped
	query  []string
	ranged string  // the header Range
	json   any     // a body of JSON
	body   *stream // the bytes of a file
}

// files and directories are the addresses of a path in the Files API.
func files(path string) string       { return "/api/2.0/fs/files" + azurerest.Escape(path) }
func directories(path string) string { return "/api/2.0/fs/directories" + azurerest.Escape(path) }

// do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again once when the token was refused, since it may have ended; all other trying again is the portable
// layer's.
func (c *client) do(ctx context.Context, r *request) (*http.Response, error) {
	for refresh := false; ; refresh = true {
		if err := c.usable(ctx); err != nil {
			return nil, err
		}
		resp, err := c.send(ctx, r, refresh)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 {
			return resp, nil
		}
		reply := c.failed(resp)
		if refresh || !reply.unknown() || r.body != nil && !r.body.again() {
			return nil, reply
		}
	}
}

func (c *client) send(ctx context.Context, r *request, refresh bool) (*http.Response, error) {
	token, err := databricksauth.Token(ctx, c.cred, c.base.String(), refresh)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, RawPath: r.path, RawQuery: queryOf(r.query)}
	if u.Path, err = url.PathUnescape(r.path); err != nil {
		return nil, err
	}
	req := &http.Request{Method: r.method, Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"dsrun"}, "Accept-Encoding": {"identity"}}}
	if r.ranged != "" {
		req.Header["Range"] = []string{r.ranged}
	}
	if r.json != nil {
		b, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		req.Header["Content-Type"] = []string{"application/json"}
	}
	return c.exchange(ctx, req, r.body)
}

// exchange sends a request with a body, which may be nil.
func (c *client) exchange(ctx context.Context, req *http.Request, body *stream) (*http.Response, error) {
	if body != nil {
		src, err := body.open(ctx)
		if err != nil {
			return nil, err
		}
		defer src.Close()                      // the transport may still hold it when the call has ended
		if req.Header["Content-Type"] == nil { // a signed URL may name one
			req.Header["Content-Type"] = []string{"application/octet-stream"}
		}
		if req.Body, req.ContentLength = src, body.size; body.size == 0 {
			req.Body = http.NoBody
		}
	} else if req.Body == nil && (req.Method == "PUT" || req.Method == "POST") {
		req.Body = http.NoBody
	}
	resp, err := c.http.Do(req.WithContext(ctx))
	if body != nil && ctx.Err() == nil {
		if own := body.failure(); own != nil {
			if err == nil {
				resp.Body.Close()
			}
			return nil, own
		}
	}
	if err != nil {
		return nil, transportError(ctx, err)
	}
	return resp, nil
}

// call sends a request whose reply is empty.
func (c *client) call(ctx context.Context, r *request) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	azurerest.Drain(resp)
	if resp.StatusCode != http.StatusNoContent {
		return notDatabricks(resp, "a request without a result was not answered with 204")
	}
	return nil
}

// decode sends a request and decodes its reply, which must be an object of JSON.
func (c *client) decode(ctx context.Context, r *request, v any) (*http.Response, error) {
	resp, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var buf bytes.Buffer
	buf.Grow(int(min(max(resp.ContentLength, 0), maxReplyText)) + bytes.MinRead)
	_, err = buf.ReadFrom(io.LimitReader(resp.Body, maxReplyText+1))
	b := buf.Bytes()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &NetError{err}
	case len(b) > maxReplyText:
		return nil, fault.New(fault.DataLoss, "the reply is longer than %d bytes", maxReplyText)
	}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' || json.Unmarshal(b, v) != nil {
		return nil, notDatabricks(resp, "its body is not the JSON that was asked for")
	}
	var x struct {
		Code json.RawMessage `json:"error_code"`
	}
	if bytes.Contains(b, []byte(`"error_code"`)) && json.Unmarshal(b, &x) == nil && len(x.Code) > 0 {
		return nil, fault.New(fault.Unavailable, "a reply of success holds an error: %s", strings.Trim(string(x.Code), `"`))
	}
	return resp, nil
}

// queryOf encodes names and values in turn.
func queryOf(q []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(q); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(q[i] + "=" + strings.ReplaceAll(azurerest.Escape(q[i+1]), "/", "%2F"))
	}
	return b.String()
}
