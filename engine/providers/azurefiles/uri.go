package azurefiles

import (
	"strings"

	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// addressing reads https://ACCOUNT.file.core.windows.net/SHARE/KEY, percent-encoded.
var addressing = provider.Addressing{
	Prefixes: []string{"https://", "http://"},
	Form:     "https://ACCOUNT.file.core.windows.net/SHARE/KEY",
	Parse: func(uri string) (provider.Address, bool, error) {
		_, rest := provider.CutScheme(uri)
		host, _ := provider.CutHost(rest)
		account, _, ok := azureauth.AccountAt(host, "file")
		if !ok {
			return provider.Address{}, false, nil
		}
		_, path, ok, err := provider.WebAddress(uri)
		share, key, _ := strings.Cut(path, "/")
		if err != nil || !ok || share == "" {
			return provider.Address{}, err != nil, err
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "account", Value: account}, {Name: "share", Value: share}}, Key: key}, true, nil
	},
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	host, path, ok, err := provider.WebAddress(uri)
	if !ok || err != nil {
		return "", false, nil // Parse says what is wrong
	}
	account, _, known := azureauth.AccountAt(host, "file")
	root := o.Share
	switch {
	case known && account == o.Account:
	case o.Endpoint != "" && host == provider.HostOf(o.Endpoint):
		if _, base, _, err := provider.WebAddress(strings.TrimSuffix(o.Endpoint, "/")); err == nil && base != "" {
			root = base + "/" + root
		}
	default:
		return "", false, nil
	}
	key, ok = provider.Below(path, root)
	return key, ok, nil
}
