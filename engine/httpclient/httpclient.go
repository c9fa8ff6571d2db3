// Package httpclient makes the one kind of HTTP client that providers use: it checks certificates, addresses and
// redirects, gives up on connections that stand still and never on slow ones, and reads no environment.
package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Options say how a client behaves. The zero value works.
type Options struct {
	Name     string // the declared block that the client is for, for messages
	CA       []byte // certificates in PEM that are trusted besides the system's
	Insecure bool   // certificates are not checked; said loudly
	HTTP1    bool   // speak HTTP/1.1 only, which is faster for large bodies over TLS
	Proxy    string // URL of a proxy (http, https or socks5); "" means none, whatever the environment says

	// StrictRedirects refuses every redirect to another host. Without it such a redirect is followed without the headers
	// that could be secret, and refused when it would send a body there.
	StrictRedirects bool
	// RedirectHosts are hosts ("host" or "host:port") that redirects may lead to with all headers and the body, such as
	// the data nodes of a cluster.
	RedirectHosts []string

	// AllowAddrs are addresses that may be connected to although they are link-local, multicast or serve metadata of
	// cloud machines.
	AllowAddrs []netip.Prefix

	ConnectTimeout  time.Duration // of one connection attempt with its name lookup; 0 means 10 s
	TLSTimeout      time.Duration // of the TLS handshake; 0 means 10 s
	StallTimeout    time.Duration // from the end of the request to the head of the reply; 0 means 30 s
	IdleTimeout     time.Duration // without a byte of a body, up or down; 0 means 60 s
	MaxConnsPerHost int           // 0 means no bound
	Resolver        *net.Resolver // nil means the system's
	Log             *slog.Logger  // nil means none
}

// New returns a client with a connection pool of its own. There is no time limit on a whole request, no cookie jar, and
// no transparent decompression: the bytes of a body are those that the service sent.
func New(o Options) (*http.Client, error) {
	for d, def := range map[*time.Duration]time.Duration{&o.ConnectTimeout: 10 * time.Second, &o.TLSTimeout: 10 * time.Second,
		&o.StallTimeout: 30 * time.Second, &o.IdleTimeout: 60 * time.Second} {
		if *d <= 0 {
			*d = def
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if o.Insecure {
		o.Log.Warn("TLS certificates are not checked: anyone on the way can read and change what is sent", "name", o.Name)
	}
	if len(o.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, fault.Hinted(fault.InvalidArgument, "Give a file of certificates in PEM form (-----BEGIN CERTIFICATE-----).", "ca_file holds no certificate")
		}
		conf.RootCAs = pool
	}
	guard := newGuard(o.AllowAddrs)
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver, ControlContext: guard.control}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    o.TLSTimeout,
		MaxConnsPerHost:        o.MaxConnsPerHost,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 1 << 20,
		WriteBufferSize:        20 << 10, // a small object and its head; the rest of a large one goes past it
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(!o.HTTP1)
	var connect time.Duration
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
			return nil, fault.New(fault.InvalidArgument, "the proxy is not a URL with the scheme http, https or socks5")
		}
		t.Proxy = http.ProxyURL(u)
		if o.MaxConnsPerHost == 0 { // net/http lets a proxy take any time to open a tunnel
			connect = o.ConnectTimeout + 2*o.TLSTimeout + o.StallTimeout
		}
	}
	return &http.Client{Transport: &transport{t, guard, connect, o.StallTimeout, o.IdleTimeout}, CheckRedirect: newRedirects(o).check}, nil
}

// transport watches over requests on their way through an http.Transport.
type transport struct {
	*http.Transport
	guard                *guard
	connect, stall, idle time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.guard.host(req.URL.Hostname()); err != nil { // a proxy would resolve the name for us
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	return watched(t.Transport, req, t.connect, t.stall, t.idle)
}
