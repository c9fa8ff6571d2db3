package azureblob

import (
	"strings"

	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// addressing reads the forms that are in use:
//
//	azure://CONTAINER/KEY
//	azure://ACCOUNT.blob.core.windows.net/CONTAINER/KEY
//	wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/KEY      (wasb:// too)
//	https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY      (percent-encoded)
//
// The two forms of azure are told apart by the host: a name of a container has no dots.
var addressing = provider.Addressing{
	Prefixes: []string{"azure://", "wasbs://", "wasb://", "https://", "http://"},
	Form:     "azure://CONTAINER/KEY",
	Parse: func(uri string) (provider.Address, bool, error) {
		l, ok, err := locate(uri)
		account, _, known := azureauth.AccountAt(l.host, "blob")
		if err != nil && known {
			return provider.Address{}, true, err
		}
		if err != nil || !ok || l.host != "" && !known || l.container == "" {
			return provider.Address{}, false, nil
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "account", Value: account}, {Name: "container", Value: l.container}}, Key: l.key}, true, nil
	},
}

// location is what an address says.
type location struct {
	host           string // of the Blob service; "" where the address does not name it
	container, key string
}

func locate(uri string) (l location, ok bool, err error) {
	scheme, rest := provider.CutScheme(uri)
	switch scheme {
	case "azure":
		host, path, _ := strings.Cut(rest, "/")
		if !strings.ContainsAny(host, ".:") {
			return location{container: host, key: path}, host != "", nil
		}
		l.host = strings.ToLower(host)
		l.container, l.key, _ = strings.Cut(path, "/")
	case "wasbs", "wasb":
		front, path, _ := strings.Cut(rest, "/")
		if l.container, l.host, ok = strings.Cut(front, "@"); !ok {
			return location{}, false, nil
		}
		l.host, l.key = strings.ToLower(l.host), path
	default:
		var path string
		if l.host, path, ok, err = provider.WebAddress(uri); !ok || err != nil {
			host, _ := provider.CutHost(rest)
			return location{host: host}, false, err
		}
		l.container, l.key, _ = strings.Cut(path, "/")
	}
	return l, true, nil
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	l, ok, err := locate(uri)
	if !ok || err != nil {
		return "", false, nil // Parse says what is wrong
	}
	if account, _, known := azureauth.AccountAt(l.host, "blob"); l.host == "" || known && account == o.Account {
		return l.key, l.container == o.Container, nil
	}
	if o.Endpoint == "" || l.host != provider.HostOf(o.Endpoint) {
		return "", false, nil
	}
	if _, base, _, err := provider.WebAddress(strings.TrimSuffix(o.Endpoint, "/")); err == nil && base != "" && !strings.HasPrefix(strings.ToLower(uri), "wasb") { // an emulator has the account in the path
		path, below := provider.Below("/"+l.container+"/"+l.key, "/"+base)
		if !below {
			return "", false, nil
		}
		l.container, l.key, _ = strings.Cut(path, "/")
	}
	return l.key, l.container == o.Container, nil
}
