package webhdfs

import (
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads Hadoop's addresses: webhdfs://HOST:PORT/PATH and, over TLS, swebhdfs, with the port of the name node's
// web server; and hdfs://HOST:PORT/PATH, whose port is that of another protocol and does not count. hdfs:///PATH means any
// cluster.
var addressing = provider.Addressing{
	Prefixes: []string{"webhdfs://", "swebhdfs://", "hdfs://"},
	Form:     "webhdfs://HOST:PORT/PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		scheme, rest := provider.CutScheme(uri)
		host, path := provider.CutHost(rest)
		if host == "" && scheme != "hdfs" || strings.Contains(host, "@") {
			return provider.Address{}, false, nil
		}
		endpoint := ""
		switch {
		case scheme == "swebhdfs":
			endpoint = "https://" + host
		case scheme == "webhdfs":
			endpoint = "http://" + host
		case host != "":
			name, _, _ := strings.Cut(host, ":")
			endpoint = "http://" + name + ":9870" // where a name node's web server listens unless it is told otherwise
		}
		return provider.Address{Attrs: []provider.Attr{{Name: "endpoint", Value: endpoint}}, Key: path}, true, nil
	},
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	scheme, rest := provider.CutScheme(uri)
	host, path := provider.CutHost(rest)
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return "", false, nil
	}
	switch scheme {
	case "hdfs":
		name, _, _ := strings.Cut(host, ":")
		ok = host == "" || name == strings.ToLower(u.Hostname())
	case "webhdfs":
		ok = u.Scheme == "http" && provider.HostOf("http://"+host) == provider.HostOf(o.Endpoint)
	case "swebhdfs":
		ok = u.Scheme == "https" && provider.HostOf("https://"+host) == provider.HostOf(o.Endpoint)
	}
	if !ok {
		return "", false, nil
	}
	key, ok = provider.Below("/"+path, o.Root)
	return key, ok, nil
}
