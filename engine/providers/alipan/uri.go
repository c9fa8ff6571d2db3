package alipan

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads alipan:///PATH: a drive has no name, and the block says whose it is.
var addressing = provider.Addressing{
	Prefixes: []string{"alipan://"},
	Form:     "alipan:///PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		_, path := provider.CutScheme(uri)
		if !strings.HasPrefix(path, "/") {
			return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write alipan:///PATH, with three slashes.", "the address names a host, which drives do not have")
		}
		root, key := "/", path[1:]
		if first, rest, ok := strings.Cut(key, "/"); ok && first != "" {
			root, key = "/"+first, rest
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "root", Value: root}}, Key: key}, true, nil
	},
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	_, path := provider.CutScheme(uri)
	if !strings.HasPrefix(path, "/") {
		return "", false, nil
	}
	key, ok = provider.Below(path, o.Root)
	return key, ok, nil
}
