package httpclient

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// Connections for other protocols keep to the rules on addresses.
func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dialer(Options{})(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, address := range []string{"169.254.169.254:22", "[fe80::1]:22", "[::ffff:169.254.169.254]:22", "metadata.google.internal:22", "[64:ff9b::a9fe:a9fe]:22"} {
		if _, err := Dialer(Options{})(t.Context(), address); !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("%s: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// What is allowed gets as far as connecting.
	_, err = Dialer(Options{AllowAddrs: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}})(ctx, "169.254.169.254:22")
	if err == nil || fault.Is(err, fault.PermissionDenied) {
		t.Errorf("an allowed address: %v", err)
	}
	if _, err := Dialer(Options{})(t.Context(), "no-port"); err == nil {
		t.Error("an address without port")
	}
}
