package httpclient

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// secretHeaders are headers of services that must not reach a host that they were not meant for.
var secretHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Amz-Security-Token", "X-Amz-Server-Side-Encryption-Customer-Key",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key", "X-Ms-Encryption-Key", "X-Goog-Encryption-Key", "X-Goog-Copy-Source-Encryption-Key",
	"Aeg-Sas-Key", "Api-Key", "X-Vault-Token", "X-Ms-Copy-Source-Authorization", "X-Something-New"}

// host is a server that records the headers and bodies that it sees.
type host struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
	body []string
}

func (h *host) requests() []http.Header { h.mu.Lock(); defer h.mu.Unlock(); return h.seen }

// newHost answers /ok itself and redirects /to/CODE to the target.
func newHost(t *testing.T, tls bool, target func() string) *host {
	h := &host{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.seen, h.body = append(h.seen, r.Header.Clone()), append(h.body, string(b))
		h.mu.Unlock()
		var code int
		if n, _ := fmt.Sscanf(r.URL.Path, "/to/%d", &code); n == 1 {
			w.Header().Set("Location", target())
			w.WriteHeader(code)
		}
	}))
	s.Config.ErrorLog = quiet
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	h.Server = s
	return h
}

// as returns the server's URL under another name for the same machine, which is another host to a client.
func as(u, name string) string { return strings.Replace(u, "127.0.0.1", name, 1) }

func client(t *testing.T, o Options) *http.Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range secretHeaders {
		req.Header.Set(h, "canary-"+h)
	}
	req.Header.Set("Range", "bytes=0-1")
	return req
}

func canaries(list []http.Header) (n int) {
	for _, h := range list {
		for _, v := range h {
			if strings.Contains(strings.Join(v, " "), "canary") {
				n++
			}
		}
	}
	return n
}

func TestRedirects(t *testing.T) {
	secretsSeen := 0
	for _, c := range []struct {
		name        string
		fromTLS     bool
		toTLS       bool
		toName      string // of the second host
		method      string
		code        int
		o           Options
		follow      bool // the second host is asked
		withSecrets bool // and sees everything
	}{
		{"same host, other port", false, false, "127.0.0.1", "GET", 302, Options{}, true, false},
		{"other host, get", false, false, "localhost", "GET", 302, Options{}, true, false},
		{"other host, get 307", false, false, "localhost", "GET", 307, Options{}, true, false},
		{"other host, head 308", false, false, "localhost", "HEAD", 308, Options{}, true, false},
		{"other host over TLS, get", true, true, "localhost", "GET", 307, Options{Insecure: true}, true, false},
		{"other host, put 307", false, false, "localhost", "PUT", 307, Options{}, false, false},
		{"other host, post 308", false, false, "localhost", "POST", 308, Options{}, false, false},
		{"other host, delete 307", false, false, "localhost", "DELETE", 307, Options{}, false, false},
		{"other host, strict", false, false, "localhost", "GET", 302, Options{StrictRedirects: true}, false, false},
		{"named host, put 307", false, false, "localhost", "PUT", 307, Options{RedirectHosts: []string{"LOCALHOST"}}, true, true},
		{"named host, strict", false, false, "localhost", "GET", 307, Options{RedirectHosts: []string{"localhost"}, StrictRedirects: true}, true, true},
		{"https to http", true, false, "127.0.0.1", "GET", 302, Options{Insecure: true}, false, false},
		{"https to http, named", true, false, "localhost", "GET", 302, Options{Insecure: true, RedirectHosts: []string{"localhost"}}, false, false},
	} {
		var second *host
		second = newHost(t, c.toTLS, nil)
		first := newHost(t, c.fromTLS, func() string { return as(second.URL, c.toName) + "/ok" })
		body := ""
		if c.method == "PUT" || c.method == "POST" {
			body = "canary of the data"
		}
		resp, err := client(t, c.o).Do(request(t, c.method, first.URL+"/to/"+fmt.Sprint(c.code)+"?sig=canary", body))
		if err == nil {
			resp.Body.Close()
		}
		got := second.requests()
		if !c.follow {
			if err == nil || len(got) != 0 || !fault.Is(err, fault.PermissionDenied) {
				t.Errorf("%s: %d requests reached the second host, %v", c.name, len(got), err)
			}
			continue
		}
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d requests reached the second host, %v", c.name, len(got), err)
			continue
		}
		if n := canaries(got); c.withSecrets && n < len(secretHeaders) {
			t.Errorf("%s: %d secret headers arrived", c.name, n)
		} else if !c.withSecrets {
			secretsSeen += n
			if n > 0 {
				t.Errorf("%s: %d secret headers arrived: %v", c.name, n, got)
			}
		}
		if got[0].Get("Range") != "bytes=0-1" || got[0].Get("Referer") != "" {
			t.Errorf("%s: range %q, referer %q", c.name, got[0].Get("Range"), got[0].Get("Referer"))
		}
	}
	t.Logf("secret headers seen by hosts that they were not meant for: %d", secretsSeen)
}

// A redirect that leads away and back, or on within the other host, gets no secrets again.
func TestRedirectChain(t *testing.T) {
	var third, second *host
	third = newHost(t, false, nil)
	second = newHost(t, false, func() string { return as(third.URL, "localhost") + "/ok" })
	first := newHost(t, false, func() string { return as(second.URL, "localhost") + "/to/302" })
	resp, err := client(t, Options{}).Do(request(t, "GET", first.URL+"/to/302", ""))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := canaries(second.requests()) + canaries(third.requests()); n != 0 || len(third.requests()) != 1 {
		t.Errorf("%d secret headers after two hops", n)
	}
}

func TestRedirectsEnd(t *testing.T) {
	var h *host
	h = newHost(t, false, func() string { return h.URL + "/to/302" })
	_, err := client(t, Options{}).Do(request(t, "GET", h.URL+"/to/302", ""))
	if n := len(h.requests()); err == nil || n != 6 {
		t.Errorf("%d requests, %v", n, err)
	}
	h = newHost(t, false, func() string { return "http://169.254.169.254/latest/meta-data/" })
	if _, err := client(t, Options{}).Do(request(t, "GET", h.URL+"/to/302", "")); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("to a metadata address: %v", err)
	}
	_, portText, _ := net.SplitHostPort(strings.TrimPrefix(h.URL, "http://"))
	h2 := newHost(t, false, func() string { return "http://user:canary-password@127.0.0.1:" + portText + "/ok" })
	if resp, err := client(t, Options{}).Do(request(t, "GET", h2.URL+"/to/302", "")); err != nil || resp.Request.URL.User != nil {
		t.Errorf("credentials in a location are used: %v", err)
	} else {
		resp.Body.Close()
	}
}
