package httpclient

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

func TestAddresses(t *testing.T) {
	g := newGuard(nil)
	for a, ok := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.0.0.5": true, "192.168.1.1": true, "172.16.0.1": true, "8.8.8.8": true, "fd12::1": true, "2606:4700::1": true, "100.64.0.1": true,
		"169.254.169.254": false, "169.254.170.2": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "fd20:ce::254": false,
		"100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false, "::ffff:169.254.169.254": false, "::ffff:a9fe:a9fe": false,
		"64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "224.0.0.1": false, "255.255.255.255": false, "ff02::1": false,
	} {
		if err := g.addr(netip.MustParseAddr(a)); (err == nil) != ok || err != nil && !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("%s: %v", a, err)
		}
	}
	allowed := newGuard([]netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")})
	if allowed.addr(netip.MustParseAddr("169.254.169.254")) != nil || allowed.addr(netip.MustParseAddr("169.254.169.253")) == nil {
		t.Error("an allowed address")
	}
	for name, ok := range map[string]bool{"metadata.google.internal": false, "METADATA.google.internal.": false, "example.com": true, "169.254.1.1": false, "": true} {
		if err := g.host(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if g.control(context.Background(), "tcp", "not an address", nil) == nil {
		t.Error("what is no address is connected to")
	}
}

// nameServer answers every question for an IPv4 address with the next of the given ones.
func nameServer(t *testing.T, answers ...string) (*net.Resolver, *atomic.Int32) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	var n atomic.Int32
	go func() {
		buf := make([]byte, 512)
		for {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[:size]
			end := 12
			for end < size && q[end] != 0 {
				end += int(q[end]) + 1
			}
			end += 5 // the root label, type and class
			kind := binary.BigEndian.Uint16(q[end-4:])
			out := append([]byte{}, q[:end]...)
			binary.BigEndian.PutUint16(out[2:], 0x8180) // an answer without error
			clear(out[6:12])
			if kind == 1 {
				binary.BigEndian.PutUint16(out[6:], 1)
				i := int(n.Add(1)) - 1
				ip := netip.MustParseAddr(answers[min(i, len(answers)-1)]).As4()
				out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the same name, A, IN, no caching, four bytes
				out = append(out, ip[:]...)
			}
			_, _ = pc.WriteTo(out, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}, &n
}

// A name server that gives a good address first and that of the metadata service then gains nothing.
func TestRebinding(t *testing.T) {
	hits := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hits++ }))
	defer s.Close()
	resolver, asked := nameServer(t, "127.0.0.1", "169.254.169.254")
	c := client(t, Options{Resolver: resolver})
	url := strings.Replace(s.URL, "127.0.0.1", "rebind.example.test.", 1)
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c.CloseIdleConnections()
	_, err = c.Get(url)
	if !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("the second answer: %v", err)
	}
	if asked.Load() < 2 || hits != 1 {
		t.Errorf("the name was asked %d times, the server %d times", asked.Load(), hits)
	}
}

func TestProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, "by proxy: "+r.URL.String())
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer s.Close()
	if resp, err := client(t, Options{}).Get(s.URL); err != nil || asked.Load() != 0 {
		t.Errorf("the proxy of the environment was used: %v", err)
	} else {
		resp.Body.Close()
	}
	c := client(t, Options{Proxy: proxy.URL})
	resp, err := c.Get("http://store.example.test/x")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "by proxy: http://store.example.test/x" {
		t.Errorf("%s", b)
	}
	for _, u := range []string{"http://169.254.169.254/latest", "http://metadata.google.internal/x", "http://[fe80::1]/"} {
		if _, err := c.Get(u); !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("%s by proxy: %v", u, err)
		}
	}
	for _, p := range []string{"::", "ftp://x", "localhost:3128"} {
		if _, err := New(Options{Proxy: p}); err == nil {
			t.Errorf("proxy %q is taken", p)
		}
	}
}
