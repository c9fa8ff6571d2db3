package httpclient

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dsrun/dsrun/engine/fault"
)

// timeouts at a small scale.
func quick() Options {
	return Options{ConnectTimeout: 500 * time.Millisecond, TLSTimeout: 500 * time.Millisecond, StallTimeout: 500 * time.Millisecond, IdleTimeout: 500 * time.Millisecond}
}

// noneStay fails the test when goroutines stay after all its cleanups.
func noneStay(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// wire is a server on the bare connection: handle is given it after the head of the request was read.
func wire(t *testing.T, handle func(c net.Conn, head string)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				n, _ := c.Read(buf)
				handle(c, string(buf[:n]))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func wantStall(t *testing.T, name string, err error, phase string, took, limit time.Duration) {
	t.Helper()
	var s *StallError
	if !errors.As(err, &s) || s.Phase != phase || !fault.ClassOf(err).Retryable() || errors.Is(err, context.Canceled) {
		t.Errorf("%s: %v", name, err)
	}
	if took < limit*9/10 || took > limit*3 {
		t.Errorf("%s: ended after %v, the limit is %v", name, took, limit)
	}
}

func TestStalls(t *testing.T) {
	noneStay(t)
	hold := make(chan struct{})
	defer close(hold)
	c := client(t, quick())
	limit := 500 * time.Millisecond

	begun := time.Now()
	_, err := c.Get(wire(t, func(net.Conn, string) { <-hold }))
	wantStall(t, "no reply", err, "reply", time.Since(begun), limit)

	url := wire(t, func(c net.Conn, _ string) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		<-hold
	})
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	wantStall(t, "body", err, "reply body", time.Since(begun), limit)
	if string(b) != "half" {
		t.Errorf("%q", b)
	}

	url = wire(t, func(net.Conn, string) { <-hold }) // takes nothing of the body
	begun = time.Now()
	_, err = c.Post(url, "", io.LimitReader(zeros{}, 1<<30))
	wantStall(t, "upload", err, "request body", time.Since(begun), limit)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What moves, however slowly, is not ended; neither is a request whose own sender or reader takes its time.
func TestSlowIsFine(t *testing.T) {
	steps, step := 8, 200*time.Millisecond // longer than any limit, in steps shorter than all
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := 0
		buf := make([]byte, 1)
		for {
			n, err := r.Body.Read(buf)
			got += n
			if err != nil {
				break
			}
		}
		fmt.Fprintf(w, "%d ", got)
		for range steps {
			w.(http.Flusher).Flush()
			time.Sleep(step)
			io.WriteString(w, ".")
		}
	}))
	defer s.Close()
	pr, pw := io.Pipe()
	go func() {
		for range steps {
			time.Sleep(step)
			io.WriteString(pw, "x")
		}
		time.Sleep(700 * time.Millisecond) // longer than the idle limit: the sender's own time
		pw.Close()
	}()
	begun := time.Now()
	resp, err := client(t, quick()).Post(s.URL, "", pr)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := resp.Body.Read(first); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // the reader's own time
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if want := fmt.Sprintf("%d ", steps) + strings.Repeat(".", steps); err != nil || string(first)+string(b) != want {
		t.Errorf("%q%q, %v after %v", first, b, err, time.Since(begun))
	}
}

// A reply that comes before the body was sent is read in peace.
func TestEarlyReply(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	url := wire(t, func(c net.Conn, _ string) {
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nabc")
		time.Sleep(300 * time.Millisecond)
		io.WriteString(c, "def")
		<-hold
	})
	pr, pw := io.Pipe()
	defer pw.Close()
	go io.WriteString(pw, "x")
	resp, err := client(t, quick()).Post(url, "", pr)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(800 * time.Millisecond)
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "abcdef" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

func TestConnectStalls(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing: the handshake stands still
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := time.Now()
	_, err = client(t, quick()).Get("https://" + l.Addr().String())
	if c := fault.ClassOf(err); c.Code != fault.DeadlineExceeded || !c.Retryable() || time.Since(begun) > 2*time.Second {
		t.Errorf("handshake: %v (%v) after %v", err, c, time.Since(begun))
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	o := quick()
	o.Resolver = resolver
	begun = time.Now()
	_, err = client(t, o).Get("http://slow.example.test./")
	if err == nil || time.Since(begun) > 2*time.Second {
		t.Errorf("name lookup: %v after %v", err, time.Since(begun))
	}
	stuck := wire(t, func(net.Conn, string) { time.Sleep(5 * time.Second) })
	o = quick()
	o.Proxy = stuck
	o.ConnectTimeout, o.TLSTimeout, o.StallTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	begun = time.Now()
	_, err = client(t, o).Get("https://store.example.test/")
	if err == nil || time.Since(begun) > 2*time.Second {
		t.Errorf("a proxy that opens no tunnel: %v after %v", err, time.Since(begun))
	}
}

func TestCancel(t *testing.T) {
	noneStay(t)
	hold := make(chan struct{})
	defer close(hold)
	url := wire(t, func(c net.Conn, _ string) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		<-hold
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	resp, err := client(t, Options{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	begun := time.Now()
	_, err = io.ReadAll(resp.Body)
	resp.Body.Close()
	if !errors.Is(err, context.Canceled) || time.Since(begun) > time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestBytesAsSent(t *testing.T) {
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	g.Write([]byte("hello"))
	g.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asks for encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(z.Bytes())
	}))
	defer s.Close()
	resp, err := client(t, Options{}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); !bytes.Equal(b, z.Bytes()) {
		t.Errorf("%q", b)
	}
}
