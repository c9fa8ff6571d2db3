package webhdfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// send asks the name node for an operation on a path and returns its reply, whose body the caller closes. query are names
// and values in turn. A token that is refused is renewed once.
func (d *Driver) send(ctx context.Context, method, path, op string, query ...string) (*http.Response, error) {
	resp, bearer, err := d.ask(ctx, false, method, path, op, query)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || bearer == "" {
		return resp, err
	}
	drain(resp)
	resp, _, err = d.ask(ctx, true, method, path, op, query)
	return resp, err
}

func (d *Driver) ask(ctx context.Context, refresh bool, method, path, op string, query []string) (resp *http.Response, bearer string, err error) {
	if err := d.usable(ctx); err != nil {
		return nil, "", err
	}
	var who Who
	if d.o.Login != nil {
		if who, err = d.o.Login(ctx, refresh); err != nil {
			return nil, "", err
		}
	}
	var q strings.Builder
	q.WriteString("op=" + op)
	for i, list := 0, append(query, who.Query...); i+1 < len(list); i += 2 {
		q.WriteString("&" + list[i] + "=" + escape(list[i+1], false))
	}
	raw := strings.TrimSuffix(d.base.EscapedPath(), "/") + "/webhdfs/v1" + escape(path, true)
	u := &url.URL{Scheme: d.base.Scheme, Host: d.base.Host, RawPath: raw, RawQuery: q.String()}
	if u.Path, err = url.PathUnescape(raw); err != nil {
		return nil, "", err
	}
	resp, err = d.exchange(ctx, method, u, who.Bearer, nil, 0)
	return resp, who.Bearer, err
}

// exchange sends one request. size is that of the body, -1 unknown.
func (d *Driver) exchange(ctx context.Context, method string, u *url.URL, bearer string, body io.ReadCloser, size int64) (*http.Response, error) {
	req := (&http.Request{Method: method, Host: u.Host, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}).WithContext(ctx)
	req.Header["Accept-Encoding"], req.Header["User-Agent"] = []string{"identity"}, []string{"dsrun"}
	if bearer != "" {
		if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fault.Hinted(fault.InvalidArgument, "Use https in `endpoint`.", "the token would be sent to %s in clear text", u.Host)
		}
		req.Header["Authorization"] = []string{"Bearer " + bearer}
	}
	if body != nil {
		req.Body, req.ContentLength = body, size
		req.Header["Content-Type"] = []string{"application/octet-stream"}
		if size == 0 {
			req.Body = http.NoBody
		}
	}
	resp, err := d.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the address may hold a token
		}
		return nil, &NetError{err}
	}
	return resp, nil
}

// passOn sends a request to where a redirect led. The token goes along to the endpoint's own host and port only.
func (d *Driver) passOn(ctx context.Context, method string, u *url.URL, body io.ReadCloser, size int64) (*http.Response, error) {
	bearer := ""
	if d.o.Login != nil && strings.EqualFold(u.Host, d.base.Host) && u.Scheme == d.base.Scheme {
		who, err := d.o.Login(ctx, false)
		if err != nil {
			return nil, err
		}
		bearer = who.Bearer
	}
	return d.exchange(ctx, method, u, bearer, body, size)
}

// redirected asks the name node for an operation that a data node does, and returns where. It checks that the address is
// one of the cluster's.
func (d *Driver) redirected(ctx context.Context, method, path, op string, query ...string) (*url.URL, error) {
	resp, err := d.send(ctx, method, path, op, query...)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return nil, d.failed(resp)
	}
	drain(resp)
	if resp.StatusCode != http.StatusTemporaryRedirect {
		return nil, notHDFS(resp, "it names no data node")
	}
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || u.Host == "" {
		return nil, notHDFS(resp, "it names no data node")
	}
	if err := d.trusted(u); err != nil {
		return nil, err
	}
	return u, nil
}

// trusted refuses addresses that the name node's reply may not lead to.
func (d *Driver) trusted(u *url.URL) error {
	host, own := strings.ToLower(u.Hostname()), strings.ToLower(d.base.Hostname())
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	refuse := func(why string) error {
		return fault.Hinted(fault.PermissionDenied, "If the host is a data node of the cluster, name it in `data_nodes`.", "the redirect to %s://%s is refused: %s", u.Scheme, u.Host, why)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("it is no web address")
	case d.base.Scheme == "https" && u.Scheme != "https":
		return refuse("it would leave TLS")
	case u.User != nil || !strings.Contains(u.EscapedPath(), "/webhdfs/v1/"):
		return refuse("it is no address of WebHDFS")
	case d.o.SameHost && !strings.EqualFold(u.Host, d.base.Host):
		return fault.New(fault.PermissionDenied, "the redirect to %s://%s is refused: it leads to another host", u.Scheme, u.Host)
	}
	if len(d.o.DataNodes) > 0 {
		for _, n := range d.o.DataNodes {
			n = strings.ToLower(n)
			if n == host || n == net.JoinHostPort(host, port) || strings.HasPrefix(n, ".") && strings.HasSuffix(host, n) {
				return nil
			}
		}
		return refuse("it is none of data_nodes")
	}
	if host == own {
		return nil
	}
	if _, domain, ok := strings.Cut(own, "."); ok && net.ParseIP(own) == nil && strings.Contains(domain, ".") && strings.HasSuffix(host, "."+domain) {
		return nil
	}
	return refuse("it is neither the endpoint's host nor in its domain")
}

// json asks the name node and decodes its reply, which must hold what v has.
func (d *Driver) json(ctx context.Context, v any, method, path, op string, query ...string) (*http.Response, error) {
	resp, err := d.send(ctx, method, path, op, query...)
	if err != nil {
		return nil, err
	}
	return resp, d.decode(ctx, resp, v)
}

func (d *Driver) decode(ctx context.Context, resp *http.Response, v any) error {
	if resp.StatusCode >= 300 {
		return d.failed(resp)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxReplyText+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &NetError{err}
	case n > maxReplyText:
		return fault.New(fault.DataLoss, "the reply is longer than %d bytes", int64(maxReplyText))
	}
	if err := json.Unmarshal(b.Bytes(), v); err != nil {
		return notHDFS(resp, "its body is not the JSON that was asked for")
	}
	return nil
}

// truth asks for an operation that answers {"boolean": true}.
func (d *Driver) truth(ctx context.Context, method, path, op string, query ...string) (bool, error) {
	var v struct{ Boolean *bool }
	resp, err := d.json(ctx, &v, method, path, op, query...)
	if err != nil {
		return false, err
	}
	if v.Boolean == nil {
		return false, notHDFS(resp, "it says neither yes nor no")
	}
	return *v.Boolean, nil
}

// quiet asks for an operation that answers with nothing.
func (d *Driver) quiet(ctx context.Context, method, path, op string, query ...string) error {
	resp, err := d.send(ctx, method, path, op, query...)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return d.failed(resp)
	}
	drain(resp)
	// Hadoop's servers and HttpFS answer so; what answers in their place does not know them.
	if resp.ContentLength > 0 || !slices.Contains([]string{"application/octet-stream", "application/json", ""}, resp.Header.Get("Content-Type")) {
		return notHDFS(resp, "an operation without a result was answered with text")
	}
	return nil
}

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
