package httpclient

import (
	"context"
	"net"
	"time"
)

// Dialer returns a function that connects to "host:port" for protocols other than HTTP, with the same rules on addresses
// and the same time-out of a connection attempt as New's clients. Only ConnectTimeout, AllowAddrs and Resolver of o count.
func Dialer(o Options) func(ctx context.Context, address string) (net.Conn, error) {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	guard := newGuard(o.AllowAddrs)
	d := &net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second, Resolver: o.Resolver, ControlContext: guard.control}
	return func(ctx context.Context, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if err := guard.host(host); err != nil {
			return nil, err
		}
		return d.DialContext(ctx, "tcp", address)
	}
}
