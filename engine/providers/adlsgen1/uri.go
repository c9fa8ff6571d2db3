package adlsgen1

import (
	"strings"

	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads adl://ACCOUNT.azuredatalakestore.net/PATH, the form of Hadoop.
var addressing = provider.Addressing{
	Prefixes: []string{"adl://"},
	Form:     "adl://ACCOUNT.azuredatalakestore.net/PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		account, path, ok := locate(uri)
		if !ok {
			return provider.Address{}, false, nil
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "account", Value: account}}, Key: path}, true, nil
	},
}

func locate(uri string) (account, path string, ok bool) {
	_, rest := provider.CutScheme(uri)
	host, path := provider.CutHost(rest)
	account, ok = strings.CutSuffix(host, "."+suffix)
	return account, path, ok && account != ""
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	account, path, ok := locate(uri)
	if !ok || account != o.Account {
		return "", false, nil
	}
	key, ok = provider.Below("/"+path, o.Root)
	return key, ok, nil
}
