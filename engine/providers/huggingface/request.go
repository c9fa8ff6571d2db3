package huggingface

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/hfauth"
)

// maxHops is how many redirects are followed for one request.
const maxHops = 5

// api is the address of an endpoint of the repository. rest is escaped already.
func (d *Driver) api(what, rest string) *url.URL {
	path := "/api/" + d.o.Type + "s/" + escape(d.o.Repo) + "/" + what
	if rest != "" {
		path += "/" + rest
	}
	return d.at(path)
}

// file is the address of a file at a commit.
func (d *Driver) file(commit, key string) *url.URL {
	kind := ""
	if d.o.Type != "model" {
		kind = d.o.Type + "s/"
	}
	return d.at("/" + kind + escape(d.o.Repo) + "/resolve/" + commit + "/" + escape(key))
}

// at is the address of an escaped path on the hub.
func (d *Driver) at(path string) *url.URL {
	u := *d.base
	u.RawPath = strings.TrimRight(d.base.EscapedPath(), "/") + path
	u.Path, _ = url.PathUnescape(u.RawPath)
	return &u
}

// own reports whether an address is the hub's.
func (d *Driver) own(u *url.URL) bool {
	return u.Scheme == d.base.Scheme && strings.EqualFold(u.Host, d.base.Host)
}

// call sends a request to the hub and returns a reply below 300, whose body the caller closes. Every other reply is a
// *ReplyError. Redirects are followed within the hub, which is how it tells that a repository was renamed.
func (d *Driver) call(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, error) {
	for range maxHops + 1 {
		resp, err := d.send(ctx, method, u, header)
		if err != nil {
			return nil, err
		}
		to, err := d.redirect(resp)
		if err != nil || to == nil {
			return resp, err
		}
		if !d.own(to) {
			return nil, strayed(u, to, "it leads away from the hub")
		}
		u = to
	}
	return nil, tooManyHops()
}

// send sends one request; with the token when it is for the hub. A token that the hub refuses is renewed once.
func (d *Driver) send(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, error) {
	if d.closed.Load() {
		return nil, fault.New(fault.FailedPrecondition, "the store is closed")
	}
	token := ""
	for renewed := false; ; renewed = true {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		req := &http.Request{Method: method, Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header.Clone()}
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header["Accept-Encoding"] = []string{"identity"}
		req.Header["User-Agent"] = []string{"dsrun"}
		if d.own(u) && !renewed {
			var err error
			if token, err = hfauth.Token(ctx, d.cred, false); err != nil {
				return nil, err
			}
			if token != "" && !tokenGoes(u) {
				return nil, fault.Hinted(fault.InvalidArgument, "Use https in `endpoint`, or a credential with the method \"anonymous\".", "the token would be sent to %s in clear text", u.Host)
			}
		}
		if token != "" {
			req.Header["Authorization"] = []string{"Bearer " + token}
		}
		resp, err := d.http.Do(req.WithContext(ctx))
		if err != nil {
			return nil, transportError(ctx, err)
		}
		if resp.StatusCode < 400 {
			return resp, nil
		}
		reply := d.failed(resp, u, token != "")
		if resp.StatusCode != http.StatusUnauthorized || token == "" || renewed || reply.Code != "" {
			return nil, reply
		}
		again, err := hfauth.Token(ctx, d.cred, true)
		if err != nil || again == token || again == "" {
			return nil, reply
		}
		token = again
	}
}

// redirect returns where a reply leads, nil when it leads nowhere. It closes replies that lead somewhere.
func (d *Driver) redirect(resp *http.Response) (*url.URL, error) {
	if resp.StatusCode < 300 {
		return nil, nil
	}
	drain(resp)
	where := resp.Header.Get("Location")
	to, err := resp.Request.URL.Parse(where)
	if err != nil || where == "" || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, notHub(resp, "it leads nowhere")
	}
	if resp.Request.URL.Scheme == "https" && to.Scheme != "https" {
		return nil, strayed(resp.Request.URL, to, "it would leave TLS")
	}
	to.User, to.Fragment = nil, ""
	return to, nil
}

func strayed(from, to *url.URL, why string) error {
	return fault.New(fault.PermissionDenied, "the redirect from %s://%s to %s://%s is refused: %s", from.Scheme, from.Host, to.Scheme, to.Host, why)
}

func tooManyHops() error {
	return fault.New(fault.Unavailable, "more than %d redirects", maxHops)
}

// json asks the hub and decodes its reply. It returns the query of the page that follows, "" for none.
func (d *Driver) json(ctx context.Context, u *url.URL, v any) (next string, err error) {
	resp, err := d.call(ctx, "GET", u, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return "", transportError(ctx, err)
	case len(b) > maxReply:
		return "", fault.New(fault.DataLoss, "the reply is longer than %d bytes", maxReply)
	case resp.Header.Get("Content-Encoding") != "":
		return "", fault.New(fault.DataLoss, "the reply was encoded on its way")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(v); err != nil || dec.More() {
		return "", notHub(resp, "its body is not the JSON that was asked for")
	}
	return nextPage(resp.Header)
}

// nextPage reads the header Link (RFC 8288). Of the address only the query is taken: a mirror may pass on the hub's own
// address, and a token must not follow it there.
func nextPage(h http.Header) (string, error) {
	for _, line := range h["Link"] {
		for _, link := range strings.Split(line, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if !ok || !strings.HasPrefix(target, "<") {
				continue
			}
			for _, p := range strings.Split(params, ";") {
				if name, v, _ := strings.Cut(strings.TrimSpace(p), "="); !strings.EqualFold(name, "rel") || strings.Trim(v, `"`) != "next" {
					continue
				}
				u, err := url.Parse(target[1:])
				if err != nil || u.RawQuery == "" {
					return "", fault.New(fault.DataLoss, "the page of a listing says that more follows, and not where")
				}
				return u.RawQuery, nil
			}
		}
	}
	return "", nil
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

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
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
