package httpclient

import (
	"context"
	"net/netip"
	"strings"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
)

// refused are addresses that no service of a user has: link-local and multicast ones, and those at which clouds hand
// credentials to whoever asks from inside of a machine. The link-local range holds the metadata address of AWS, Azure,
// GCP, OCI and DigitalOcean (169.254.169.254) and that of AWS containers (169.254.170.2).
var refused = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS over IPv6
	netip.MustParsePrefix("fd20:ce::254/128"),   // GCP over IPv6
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's host
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud, classic
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("ff00::/8"),
}

// refusedNames are names of those addresses, for requests that a proxy resolves.
var refusedNames = []string{"metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}

// guard decides which addresses may be connected to. Loopback and private addresses may: stores stand there.
type guard struct{ allow []netip.Prefix }

func newGuard(allow []netip.Prefix) *guard { return &guard{allow} }

// control is called with the address that is about to be connected to, after the name was resolved, so that a name
// server that changes its answer gains nothing.
func (g *guard) control(_ context.Context, _, address string, c syscall.RawConn) error {
	boundUnsent(c)
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.New(fault.PermissionDenied, "connecting to %q is refused: it is no address", address)
	}
	return g.addr(ap.Addr())
}

// host refuses literal addresses and known names before anything is sent.
func (g *guard) host(name string) error {
	if a, err := netip.ParseAddr(name); err == nil {
		return g.addr(a)
	}
	if len(g.allow) > 0 {
		return nil // the resolved address decides
	}
	for _, n := range refusedNames {
		if strings.EqualFold(strings.TrimSuffix(name, "."), n) {
			return refusal(name)
		}
	}
	return nil
}

func (g *guard) addr(a netip.Addr) error {
	for _, form := range forms(a) {
		for _, p := range g.allow {
			if p.Contains(form) {
				return nil
			}
		}
	}
	for _, form := range forms(a) {
		for _, p := range refused {
			if p.Contains(form) {
				return refusal(a.String())
			}
		}
	}
	return nil
}

// forms returns the address and the IPv4 address that an IPv6 one stands for: mapped (RFC 4291), translated by NAT64
// (RFC 6052, the well-known prefix) or tunnelled by 6to4 (RFC 3056).
func forms(a netip.Addr) []netip.Addr {
	a = a.WithZone("").Unmap()
	out := []netip.Addr{a}
	if a.Is6() {
		b := a.As16()
		if netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
			out = append(out, netip.AddrFrom4([4]byte(b[12:])))
		}
		if netip.MustParsePrefix("2002::/16").Contains(a) {
			out = append(out, netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	return out
}

func refusal(where string) error {
	return fault.Hinted(fault.PermissionDenied, "Link-local and metadata addresses are closed to stores and topics; check the endpoint in the configuration and what its name resolves to.",
		"connecting to %s is refused", where)
}
