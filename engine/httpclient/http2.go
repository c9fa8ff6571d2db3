package httpclient

import (
	"net/http"
	"time"
)

// WithHTTP2 returns a client as c is that speaks HTTP/2 only, also without TLS (with prior knowledge, RFC 9113, section
// 3.3), with a connection pool of its own: what gRPC needs. A connection that is silent while it is waited for is asked
// for a sign of life and given up without one, because all requests share it: each try would stall on it anew. One of
// another making is returned as it is.
func WithHTTP2(c *http.Client) *http.Client {
	t, ok := c.Transport.(*transport)
	if !ok {
		return c
	}
	mine, client := *t, *c
	mine.Transport = t.Transport.Clone()
	mine.Transport.Protocols = new(http.Protocols)
	mine.Transport.Protocols.SetHTTP2(true)
	mine.Transport.Protocols.SetUnencryptedHTTP2(true)
	mine.Transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second} // together less than a stall
	// What HTTP/2 left there when the client was first used.
	mine.Transport.TLSNextProto, mine.Transport.TLSClientConfig.NextProtos = nil, nil
	client.Transport = &mine
	return &client
}
