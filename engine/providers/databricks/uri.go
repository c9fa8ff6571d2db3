package databricks

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads dbfs:/Volumes/CATALOG/SCHEMA/VOLUME/PATH and, of DBFS, dbfs:/PATH: the form of Databricks's own tools,
// with one slash.
var addressing = provider.Addressing{
	Prefixes: []string{"dbfs:/"},
	Form:     "dbfs:/Volumes/CATALOG/SCHEMA/VOLUME/PATH or dbfs:/PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		path := uri[len("dbfs:"):]
		if strings.HasPrefix(path, "//") {
			return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write dbfs:/PATH, with one slash.", "the address has no path")
		}
		parts := strings.SplitN(path[1:], "/", 5)
		at := func(root string, n int) (provider.Address, bool, error) {
			return provider.Address{Attrs: []provider.Attr{{Name: "path", Value: root}}, Key: strings.Join(parts[n:], "/")}, true, nil
		}
		switch {
		case parts[0] == "Volumes" && len(parts) < 4:
			return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write dbfs:/Volumes/CATALOG/SCHEMA/VOLUME/PATH.", "the address names no volume")
		case parts[0] == "Volumes":
			return at("/"+strings.Join(parts[:4], "/"), 4)
		case len(parts) > 1:
			return at("dbfs:/"+parts[0], 1)
		}
		return at("dbfs:/", 0)
	},
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	root, _ := splitPath(o.Path)
	key, ok = provider.Below(uri[len("dbfs:"):], root)
	return key, ok, nil
}
