package httpclient

import "net/http"

// WithHTTP1 returns a client as c is that speaks HTTP/1.1 only, with a connection pool of its own: large bodies over TLS
// go twice as fast, and each transfer has a connection of its own. One that does so already, or is of another making, is
// returned as it is.
func WithHTTP1(c *http.Client) *http.Client {
	t, ok := c.Transport.(*transport)
	if !ok || !t.Protocols.HTTP2() {
		return c
	}
	mine, client := *t, *c
	mine.Transport = t.Transport.Clone()
	mine.Transport.Protocols = new(http.Protocols)
	mine.Transport.Protocols.SetHTTP1(true)
	// What HTTP/2 left there when the client was first used.
	mine.Transport.TLSNextProto, mine.Transport.TLSClientConfig.NextProtos = nil, nil
	client.Transport = &mine
	return &client
}
