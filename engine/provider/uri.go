package provider

import (
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// Addressing is how a kind of datastore reads the addresses of its objects (s3://bucket/key), so that a URI finds the
// declared block that holds it, and a message can show the block to declare. Nothing is opened and no secret of a
// credential is needed for it. A kind adds it in its Provider function:
//
//	func Provider() provider.Provider {
//		return provider.Addressed(provider.Store("s3", "...", Open), provider.Addressing{
//			Prefixes: []string{"s3://"},
//			Form:     "s3://BUCKET/KEY",
//			Parse:    parse,
//		}, (*Options).holds)
//	}
//
//	func parse(uri string) (provider.Address, bool, error) {
//		_, rest := provider.CutScheme(uri)
//		bucket, key, _ := strings.Cut(rest, "/")
//		return provider.Address{Attrs: []provider.Attr{{Name: "bucket", Value: bucket}}, Key: key}, true, nil
//	}
//
//	func (o *Options) holds(uri string) (key string, ok bool, err error) {
//		a, ok, err := parse(uri)
//		return a.Key, ok && a.Attr("bucket") == o.Bucket, err
//	}
//
// What Parse and holds read must be what Locator.URI of the kind's driver writes, key for key; engine/providers has a
// table and a fuzz test of it, in which each kind has its rows.
type Addressing struct {
	// Prefixes begin the addresses that the kind reads, in lower case: "s3://", "dbfs:/", "https://". Case does not count.
	Prefixes []string
	// Form shows how an address is written, for messages.
	Form string
	// Parse says which block holds an address, and the key in it. ok is false for an address that is none of the kind's;
	// with an error the address is the kind's and written wrongly, and the hint shows the right form.
	Parse func(uri string) (a Address, ok bool, err error)

	holds func(options any, uri string) (key string, ok bool, err error)
}

// Address is what an address says: the attributes of a block that holds it, the necessary ones first, and the key.
type Address struct {
	Attrs []Attr
	Key   string
}

// Attr is an attribute of a block. Without a value it has to be given although the address does not tell it.
type Attr struct{ Name, Value string }

// Attr returns the value of an attribute, "" where it is not there.
func (a Address) Attr(name string) string {
	for _, x := range a.Attrs {
		if x.Name == name {
			return x.Value
		}
	}
	return ""
}

// Addressed returns the provider with its addresses. holds reports whether a declared block of the kind holds an address,
// and its key there, without the block's prefix; it has an error for an address that means the block and is written
// wrongly, such as one that begins with the block's endpoint.
func Addressed[O any, P fielder[O]](p Provider, a Addressing, holds func(o P, uri string) (key string, ok bool, err error)) Provider {
	a.holds = func(options any, uri string) (string, bool, error) { return holds(options.(P), uri) }
	p.Addresses = &a
	return p
}

// Holds reports whether a block with these options holds an address, and its key there.
func (a *Addressing) Holds(options any, uri string) (key string, ok bool, err error) {
	return a.holds(options, uri)
}

// Reads reports whether an address begins as the kind's do.
func (a *Addressing) Reads(uri string) bool {
	for _, p := range a.Prefixes {
		if len(uri) >= len(p) && strings.EqualFold(uri[:len(p)], p) {
			return true
		}
	}
	return false
}

// CutScheme returns the scheme of an address in lower case, and what follows "://".
func CutScheme(uri string) (scheme, rest string) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return "", uri
	}
	return strings.ToLower(scheme), rest
}

// CutHost splits what follows the scheme into the host with its port, in lower case, and the path without its slash.
func CutHost(rest string) (host, path string) {
	host, path, _ = strings.Cut(rest, "/")
	return strings.ToLower(host), path
}

// WebAddress reads an address of https or http: the host with its port, and the path with its percent-encoding undone.
// ok is false for another scheme. What such an address has besides is refused, and never repeated: it may be a signature
// or a password.
func WebAddress(uri string) (host, path string, ok bool, err error) {
	scheme, rest := CutScheme(uri)
	if scheme != "https" && scheme != "http" {
		return "", "", false, nil
	}
	if strings.ContainsAny(rest, "?#") {
		return "", "", true, fault.Hinted(fault.InvalidArgument, "Leave out what follows ? or #; a signature belongs into a credential.", "the address has a query or a fragment")
	}
	host, raw := CutHost(rest)
	if strings.Contains(host, "@") {
		return "", "", true, fault.Hinted(fault.InvalidArgument, "Leave them out; they belong into a credential.", "the address has a user or a password")
	}
	if path, err = url.PathUnescape(raw); err != nil {
		return "", "", true, fault.New(fault.InvalidArgument, "the address has a wrong percent-encoding")
	}
	return host, path, true, nil
}

// HostOf returns the host with its port of a URL, in lower case, without the port that its scheme implies; "" for no URL.
func HostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return host
}

// Below returns what is left of a path below a folder such as "/data" or "/": the key without its first slash.
func Below(path, root string) (key string, ok bool) {
	root = strings.TrimRight(root, "/")
	if path == root {
		return "", true
	}
	return strings.CutPrefix(path, root+"/")
}
