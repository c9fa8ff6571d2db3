package httpclient

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxRedirects is how many redirects are followed for one request.
const maxRedirects = 5

// harmless are the headers that may go to a host that the request was not meant for. All others stay behind: which of
// them are secret cannot be known (Authorization, Cookie, x-amz-security-token, customer-provided encryption keys, ...).
var harmless = []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Range", "If-Range", "If-Match", "If-None-Match",
	"If-Modified-Since", "If-Unmodified-Since", "Cache-Control"}

// redirects decides about redirects.
type redirects struct {
	strict bool
	hosts  []string // lower case
}

func newRedirects(o Options) *redirects {
	r := &redirects{strict: o.StrictRedirects}
	for _, h := range o.RedirectHosts {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	return r
}

// check implements http.Client.CheckRedirect. net/http offers the headers of the first request at every hop, so that all
// hops are looked at each time.
func (r *redirects) check(req *http.Request, via []*http.Request) error {
	// The referring URL may be presigned.
	req.Header.Del("Referer")
	req.URL.User = nil
	if len(via) > maxRedirects {
		return fault.New(fault.FailedPrecondition, "more than %d redirects", maxRedirects)
	}
	last := via[len(via)-1]
	if last.URL.Scheme == "https" && req.URL.Scheme != "https" {
		return refusedRedirect(last.URL, req.URL, "it would leave TLS")
	}
	away := false
	for _, hop := range append(slices.Clone(via[1:]), req) {
		away = away || !r.trusted(via[0].URL, hop.URL)
	}
	if !away {
		for name, v := range via[0].Header { // net/http keeps some back that a named host is meant to get
			if _, ok := req.Header[name]; !ok && name != "Referer" && !strings.HasPrefix(name, "Content-") {
				req.Header[name] = v
			}
		}
		return nil
	}
	if r.strict {
		return refusedRedirect(last.URL, req.URL, "it leads to another host")
	}
	if req.Body != nil && req.Body != http.NoBody || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return refusedRedirect(last.URL, req.URL, "it would send data to another host")
	}
	for name := range req.Header {
		if !slices.Contains(harmless, name) {
			delete(req.Header, name)
		}
	}
	return nil
}

// trusted reports whether to may see what was meant for from: the same host and port, the same host over TLS, or a
// host that was named.
func (r *redirects) trusted(from, to *url.URL) bool {
	if strings.EqualFold(from.Hostname(), to.Hostname()) {
		if port(from) == port(to) || from.Scheme == "http" && port(from) == "80" && to.Scheme == "https" && port(to) == "443" {
			return true
		}
	}
	host := strings.ToLower(to.Hostname())
	return slices.Contains(r.hosts, host) || slices.Contains(r.hosts, net.JoinHostPort(host, port(to)))
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func refusedRedirect(from, to *url.URL, why string) error {
	return fault.New(fault.PermissionDenied, "the redirect from %s://%s to %s://%s is refused: %s", from.Scheme, from.Host, to.Scheme, to.Host, why)
}
