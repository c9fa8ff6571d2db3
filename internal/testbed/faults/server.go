// Package faults is a server that fails on purpose: it serves a handler, or passes requests on to a real server, and at a
// chosen request and byte it cuts, resets, stalls, trickles, alters or answers something else. It records what it was
// asked, so that a test can count requests and look for secrets.
//
//	f := faults.New(t, handler)
//	f.Add(faults.Rule{Match: faults.Method("GET"), Times: 2, Fault: faults.Reset(1 << 20)})
package faults

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Rule says which requests meet a fault. Of several rules that match, the first that is not used up acts.
type Rule struct {
	Match func(*http.Request) bool // nil: every request
	Skip  int                      // let this many matching requests pass first
	Times int                      // act on this many; 0 means on all that follow
	Fault Fault
}

// Request is what was asked and what became of it.
type Request struct {
	Method, Host, Path, Query string // Path as sent, still escaped
	Header                    http.Header
	Faulty                    bool  // a rule acted on it
	Received                  int64 // bytes of its body that were read
	Sent                      int64 // bytes of the answer's body that were written
	Status                    int
}

// Server is a fault server on loopback. It ends with its test.
type Server struct {
	*httptest.Server
	next http.Handler
	stop chan struct{} // closed at the end, for what stalls

	mu       sync.Mutex
	buffer   int
	rules    []*rule
	requests []*Request
	onAccept func(n int) Accept
}

type rule struct {
	Rule
	seen int
}

// Accept says what becomes of a connection before any byte is read.
type Accept int

// The ways to treat a new connection.
const (
	Serve  Accept = iota
	Refuse        // reset at once
	Hold          // accepted, then silence: neither TLS nor HTTP gets an answer
)

// New starts a fault server over a handler.
func New(t testing.TB, next http.Handler) *Server { return start(t, next, false) }

// NewTLS starts one that speaks TLS with httptest's certificate; Server.Client trusts it.
func NewTLS(t testing.TB, next http.Handler) *Server { return start(t, next, true) }

// NewProxy starts one in front of the server at target (http://host:port). The Host header stays the client's, as
// signatures cover it.
func NewProxy(t testing.TB, target string) *Server {
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return start(t, &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host
	}}, false)
}

func start(t testing.TB, next http.Handler, secure bool) *Server {
	s := &Server{next: next, stop: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Listener = &listener{Listener: s.Listener, s: s}
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	s.Config.ErrorLog = quiet
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		close(s.stop)
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

type connKey struct{}

// Add appends a rule.
func (s *Server) Add(r Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &rule{Rule: r})
}

// Clear removes all rules and forgets all requests.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.requests, s.onAccept = nil, nil, nil
}

// OnAccept sets what becomes of the n-th connection from now, from 0.
func (s *Server) OnAccept(f func(n int) Accept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAccept = f
}

// SmallBuffer makes connections from now take no more than about n bytes that no one has read yet: what a client sent is
// then what a slow server took, as over a slow network.
func (s *Server) SmallBuffer(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffer = n
}

// Requests returns what was asked so far, in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.requests))
	for i, r := range s.requests {
		out[i] = Request{Method: r.Method, Host: r.Host, Path: r.Path, Query: r.Query, Header: r.Header, Faulty: r.Faulty, Status: r.Status,
			Received: atomic.LoadInt64(&r.Received), Sent: atomic.LoadInt64(&r.Sent)} // field by field: bodies may be under way
	}
	return out
}

// Count returns how many requests had the method; "" counts all.
func (s *Server) Count(method string) (n int) {
	for _, r := range s.Requests() {
		if method == "" || r.Method == method {
			n++
		}
	}
	return n
}

// Sent returns the bytes of all answers' bodies.
func (s *Server) Sent() (n int64) {
	for _, r := range s.Requests() {
		n += r.Sent
	}
	return n
}

// pick records a request and returns the fault that it meets, or nil.
func (s *Server) pick(r *http.Request) (*Request, Fault) {
	rec := &Request{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header.Clone()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, rec)
	for _, x := range s.rules {
		if x.Match != nil && !x.Match(r) {
			continue
		}
		if x.seen++; x.seen <= x.Skip || x.Times > 0 && x.seen > x.Skip+x.Times {
			continue
		}
		rec.Faulty = true
		return rec, x.Fault
	}
	return rec, nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	rec, fault := s.pick(r)
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	x := &Exchange{Conn: conn, stop: s.stop, rec: rec, next: s.next}
	x.W = &writer{ResponseWriter: w, x: x}
	x.R = r
	r.Body = &reader{ReadCloser: r.Body, x: x}
	if fault == nil {
		s.next.ServeHTTP(x.W, r)
	} else {
		fault(x)
	}
	if x.W.status == 0 { // an answer without a body; its head may be changed too
		x.W.WriteHeader(http.StatusOK)
	}
	s.mu.Lock()
	rec.Status = x.W.status
	s.mu.Unlock()
}

// listener asks what becomes of each connection.
type listener struct {
	net.Listener
	s    *Server
	n    int
	mu   sync.Mutex
	held []net.Conn
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.s.mu.Lock()
		what := Serve
		if l.s.onAccept != nil {
			what = l.s.onAccept(l.n)
			l.n++
		}
		if t, ok := c.(*net.TCPConn); ok && l.s.buffer > 0 {
			t.SetReadBuffer(l.s.buffer)
		}
		l.s.mu.Unlock()
		switch what {
		case Refuse:
			reset(c)
		case Hold:
			l.mu.Lock()
			l.held = append(l.held, c)
			l.mu.Unlock()
		default:
			return c, nil
		}
	}
}

func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range slices.Backward(l.held) {
		c.Close()
	}
	l.held = nil
	return l.Listener.Close()
}

// reset ends a connection with RST.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
