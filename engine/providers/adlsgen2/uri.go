package adlsgen2

import (
	"strings"

	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
)

// URI implements store.Locator: abfss://FILESYSTEM@ACCOUNT.dfs.core.windows.net/KEY, the form of Hadoop and Spark, which
// names the account too.
func (d *Driver) URI(key string) string {
	host := d.Base.Host
	if d.o.Endpoint == "" {
		host = strings.TrimSuffix(host, ":443")
	}
	return "abfss://" + d.o.Filesystem + "@" + host + strings.TrimSuffix(d.Base.Path, "/") + "/" + key
}

// addressing reads the forms that are in use:
//
//	abfss://FILESYSTEM@ACCOUNT.dfs.core.windows.net/KEY      (abfs:// too)
//	azure-dl://FILESYSTEM/KEY
//	azure-dl://ACCOUNT.dfs.core.windows.net/FILESYSTEM/KEY
//	https://ACCOUNT.dfs.core.windows.net/FILESYSTEM/KEY      (percent-encoded)
//
// The two forms of azure-dl are told apart by the host: a name of a file system has no dots.
var addressing = provider.Addressing{
	Prefixes: []string{"abfss://", "abfs://", "azure-dl://", "https://", "http://"},
	Form:     "abfss://FILESYSTEM@ACCOUNT.dfs.core.windows.net/KEY",
	Parse: func(uri string) (provider.Address, bool, error) {
		l, ok, err := locate(uri)
		account, _, known := azureauth.AccountAt(l.host, "dfs")
		if err != nil && known {
			return provider.Address{}, true, err
		}
		if err != nil || !ok || l.host != "" && !known || l.filesystem == "" {
			return provider.Address{}, false, nil
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "account", Value: account}, {Name: "filesystem", Value: l.filesystem}}, Key: l.key}, true, nil
	},
}

// location is what an address says.
type location struct {
	host            string // of the Data Lake service; "" where the address does not name it
	filesystem, key string
}

func locate(uri string) (l location, ok bool, err error) {
	scheme, rest := provider.CutScheme(uri)
	switch scheme {
	case "abfss", "abfs":
		front, path, _ := strings.Cut(rest, "/")
		if l.filesystem, l.host, ok = strings.Cut(front, "@"); !ok {
			return location{}, false, nil
		}
		l.host, l.key = strings.ToLower(l.host), path
	case "azure-dl":
		host, path, _ := strings.Cut(rest, "/")
		if !strings.ContainsAny(host, ".:") {
			return location{filesystem: host, key: path}, host != "", nil
		}
		l.host = strings.ToLower(host)
		l.filesystem, l.key, _ = strings.Cut(path, "/")
	default:
		var path string
		if l.host, path, ok, err = provider.WebAddress(uri); !ok || err != nil {
			host, _ := provider.CutHost(rest)
			return location{host: host}, false, err
		}
		l.filesystem, l.key, _ = strings.Cut(path, "/")
	}
	return l, true, nil
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	l, ok, err := locate(uri)
	if !ok || err != nil {
		return "", false, nil // Parse says what is wrong
	}
	if account, _, known := azureauth.AccountAt(l.host, "dfs"); l.host == "" || known && account == o.Account {
		return l.key, l.filesystem == o.Filesystem, nil
	}
	if o.Endpoint == "" || l.host != provider.HostOf(o.Endpoint) {
		return "", false, nil
	}
	_, base, _, err := provider.WebAddress(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || base == "" {
		return l.key, err == nil && l.filesystem == o.Filesystem, nil
	}
	if strings.HasPrefix(strings.ToLower(uri), "abfs") { // what URI writes: the path of the endpoint stands before the key
		key, ok = provider.Below("/"+l.key, "/"+base)
		return key, ok && l.filesystem == o.Filesystem, nil
	}
	path, ok := provider.Below("/"+l.filesystem+"/"+l.key, "/"+base)
	l.filesystem, l.key, _ = strings.Cut(path, "/")
	return l.key, ok && l.filesystem == o.Filesystem, nil
}
