package azurerest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

const maxReply = 64 << 20 // bytes of a listing's page that are read at most

// Request is one call of the service.
type Request struct {
	Action string // for messages: what the service's reference calls it
	Method string
	Key    string   // "" for the file system or share itself
	Query  []string // names and values in turn
	Header http.Header
	Body   []byte
	Write  bool
}

// Set sets a header. An empty value sets none.
func (r *Request) Set(name, value string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if value != "" {
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
}

// Do sends a request and returns a reply below 300, whose body the caller closes. Every other reply is a *ReplyError. A
// request is sent again once when the token has expired; all other trying again is the portable layer's.
func (c *Client) Do(ctx context.Context, r *Request) (*http.Response, error) {
	for refresh := false; ; refresh = true {
		if err := c.Usable(ctx); err != nil {
			return nil, err
		}
		resp, err := c.send(ctx, r, refresh)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 300 {
			if resp.Header.Get("X-Ms-Request-Id") == "" && resp.Header.Get("X-Ms-Version") == "" {
				defer Drain(resp)
				return nil, NotAzure(resp, "it has no x-ms-request-id")
			}
			return resp, nil
		}
		reply := c.failed(resp, r)
		if c.cred == nil || refresh || !azureauth.Expired(reply.Code, reply.Status, reply.header) {
			return nil, reply
		}
	}
}

// Call sends a request whose reply has no body that matters, and checks its status.
func (c *Client) Call(ctx context.Context, r *Request, status int) (*http.Response, error) {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	Drain(resp)
	if resp.StatusCode != status {
		return nil, NotAzure(resp, r.Action+" is answered with another status")
	}
	return resp, nil
}

// Path is the escaped path of a key in a URL of the service.
func (c *Client) Path(key string) string {
	path := strings.TrimSuffix(c.Base.EscapedPath(), "/") + "/" + c.Root
	if key != "" {
		path += "/" + Escape(key)
	}
	return path
}

// SAS returns the shared access signature that requests carry, or "" where they are signed otherwise. A rename needs it a
// second time, for its source.
func (c *Client) SAS(ctx context.Context) (string, error) {
	if c.cred == nil {
		return "", nil
	}
	v, err := c.cred.Resolve(ctx, credential.Want{Audience: azureauth.StorageScope})
	if err != nil {
		return "", err
	}
	return v.Fields[azureauth.FieldSAS].Reveal(), nil
}

func (c *Client) send(ctx context.Context, r *Request, refresh bool) (*http.Response, error) {
	u := *c.Base
	path := c.Path(r.Key)
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	u.RawPath, u.RawQuery = path, queryOf(r.Query)
	req := &http.Request{Method: r.Method, Host: u.Host, URL: &u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(r.Header)+6)}
	for name, v := range r.Header {
		req.Header[name] = v
	}
	if len(r.Body) > 0 {
		req.ContentLength = int64(len(r.Body))
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
	} else if r.Method == "PUT" || r.Method == "PATCH" {
		req.Body = http.NoBody
	}
	if c.Intent && c.cred != nil {
		v, err := c.cred.Resolve(ctx, credential.Want{Audience: azureauth.StorageScope})
		if err != nil {
			return nil, err
		}
		if !v.Fields[azureauth.FieldToken].IsZero() {
			req.Header["X-Ms-File-Request-Intent"] = []string{"backup"}
		}
	}
	if err := azureauth.Authorize(ctx, c.cred, req, c.Account, c.Clock.Now(), refresh); err != nil {
		return nil, err
	}
	req.Header["Accept-Encoding"] = []string{"identity"}
	req.Header["User-Agent"] = []string{"dsrun"}
	resp, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	return resp, nil
}

// Read sends a request and returns the whole of its reply's body, which must have come whole.
func (c *Client) Read(ctx context.Context, r *Request) (*http.Response, []byte, error) {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, nil, transportError(ctx, err)
	}
	if len(b) > maxReply {
		return nil, nil, fault.New(fault.DataLoss, "the reply to %s is longer than %d bytes", r.Action, maxReply)
	}
	return resp, bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
}

// XML sends a request and decodes its XML reply, whose root must be the given one.
func (c *Client) XML(ctx context.Context, r *Request, root string, v any) (*http.Response, error) {
	resp, b, err := c.Read(ctx, r)
	if err != nil {
		return nil, err
	}
	var name struct{ XMLName xml.Name }
	if err := strict(b, &name); err != nil {
		return nil, NotAzure(resp, "it is no whole XML document")
	}
	if name.XMLName.Local != root {
		return nil, NotAzure(resp, "its body is not "+root)
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

// Drain reads the little that is left of a reply, so that its connection can be used again.
func Drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

func queryOf(q []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(q); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(q[i] + "=" + strings.ReplaceAll(Escape(q[i+1]), "/", "%2F"))
	}
	return b.String()
}

// Escape percent-encodes all but the unreserved characters of RFC 3986 and "/".
func Escape(s string) string {
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
