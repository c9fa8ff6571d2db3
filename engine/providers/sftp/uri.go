package sftp

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
)

// addressing reads sftp://[USER@]HOST[:PORT]/PATH, percent-encoded. The user who logs in is the credential's.
var addressing = provider.Addressing{
	Prefixes: []string{"sftp://"},
	Form:     "sftp://HOST/PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		host, port, path, err := locate(uri)
		if err != nil {
			return provider.Address{}, true, err
		}
		a := provider.Address{Attrs: []provider.Attr{{Name: "host", Value: host}}, Key: keyOf(strings.TrimPrefix(path, "/"))}
		if port != 22 {
			a.Attrs = append(a.Attrs, provider.Attr{Name: "port", Value: strconv.FormatInt(port, 10)})
		}
		return a, true, nil
	},
}

func locate(uri string) (host string, port int64, path string, err error) {
	refuse := func(hint, what string) (string, int64, string, error) {
		return "", 0, "", fault.Hinted(fault.InvalidArgument, hint, "the address %s", what) // it may hold a password, and is not repeated
	}
	_, rest := provider.CutScheme(uri)
	front, raw, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(front, '@'); i >= 0 {
		if strings.Contains(front[:i], ":") {
			return refuse("Leave it out; it belongs into a credential \"sftp\".", "holds a password")
		}
		front = front[i+1:]
	}
	if strings.ContainsAny(rest, "?#") {
		return refuse("Write %3F for a ? of a name, %23 for a #.", "has a query or a fragment")
	}
	host, port = strings.Trim(front, "[]"), 22
	if h, p, err := net.SplitHostPort(front); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return refuse("Write sftp://HOST:PORT/PATH.", "has a port that is none")
		}
		host, port = h, int64(n)
	}
	if path, err = url.PathUnescape(raw); err != nil {
		return refuse("Write %25 for a % of a name.", "has a wrong percent-encoding")
	}
	if checkHost(host) != nil {
		return refuse("Write sftp://HOST/PATH.", "names no host")
	}
	return host, port, "/" + path, nil
}

// keyOf returns the key of the file at a path below the root.
func keyOf(name string) string {
	pieces := strings.Split(name, "/")
	for i, p := range pieces {
		pieces[i] = filekeys.Decode(p, len(pieces) == 1)
	}
	return strings.Join(pieces, "/")
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	host, port, path, err := locate(uri)
	if err != nil || !strings.EqualFold(host, o.Host) || port != o.Port {
		return "", false, nil // Parse says what is wrong
	}
	name, ok := provider.Below(path, o.Root)
	return keyOf(name), ok, nil
}
