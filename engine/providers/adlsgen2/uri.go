package adlsgen2

import (
	"strings"

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

// Location is what a URI of the service names.
type Location struct {
	Account    string // "" where the URI does not name it
	Filesystem string
	Key        string
	Cloud      string // the name of one of azureauth's clouds, "" where the URI does not tell
}

// ParseURI reads the forms that are in use:
//
//	abfss://FILESYSTEM@ACCOUNT.dfs.core.windows.net/KEY      (abfs:// too)
//	azure-dl://FILESYSTEM/KEY
//	azure-dl://ACCOUNT.dfs.core.windows.net/FILESYSTEM/KEY
//	https://ACCOUNT.dfs.core.windows.net/FILESYSTEM/KEY
//
// The two forms of azure-dl are told apart by the host: a name of a file system has no dots.
func ParseURI(uri string) (l Location, ok bool) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || strings.ContainsAny(rest, "?#") {
		return Location{}, false
	}
	host, path, _ := strings.Cut(rest, "/")
	switch strings.ToLower(scheme) {
	case "abfss", "abfs":
		var at string
		if l.Filesystem, at, ok = strings.Cut(host, "@"); !ok {
			return Location{}, false
		}
		host, l.Key = at, path
	case "azure-dl":
		if !strings.Contains(host, ".") {
			return Location{Filesystem: host, Key: path}, host != ""
		}
		l.Filesystem, l.Key, _ = strings.Cut(path, "/")
	case "https":
		l.Filesystem, l.Key, _ = strings.Cut(path, "/")
	default:
		return Location{}, false
	}
	host = strings.ToLower(host)
	for _, c := range azureauth.Clouds() {
		if account, ok := strings.CutSuffix(host, ".dfs."+c.Suffix); ok && account != "" && !strings.Contains(account, ".") && l.Filesystem != "" {
			l.Account, l.Cloud = account, c.Name
			return l, true
		}
	}
	return Location{}, false
}
