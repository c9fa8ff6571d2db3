package httpclient

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A connection that has died without a word is given up, and the next request goes over another.
func TestDeadHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	var dead atomic.Bool // the first connection passes nothing on
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close(); to.Close() })
			pass := func(dst, src net.Conn) {
				b := make([]byte, 4096)
				for {
					k, err := src.Read(b)
					if err != nil {
						return
					}
					if n == 0 && dead.Load() {
						continue
					}
					if _, err := dst.Write(b[:k]); err != nil {
						return
					}
				}
			}
			go pass(c, to)
			go pass(to, c)
		}
	}()
	c := WithHTTP2(client(t, Options{StallTimeout: time.Minute}))
	pings := c.Transport.(*transport).HTTP2
	if pings.SendPingTimeout+pings.PingTimeout >= 30*time.Second {
		t.Errorf("the stall of 30 s comes before %v and %v", pings.SendPingTimeout, pings.PingTimeout)
	}
	pings.SendPingTimeout, pings.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	get := func() error {
		resp, err := c.Get("http://" + l.Addr().String())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	begun := time.Now()
	if err := get(); err == nil || time.Since(begun) > 20*time.Second {
		t.Errorf("over the dead connection: %v after %v", err, time.Since(begun))
	}
	if err := get(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	c.CloseIdleConnections()
}
