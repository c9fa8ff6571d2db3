package huggingface

import (
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// URI implements store.Locator, in the form of the hub's own client: hf://datasets/ORG/NAME@REVISION/PATH, without the
// revision where it is main.
func (d *Driver) URI(key string) string {
	s := "hf://" + d.o.Type + "s/" + d.o.Repo
	if d.o.Revision != "main" {
		s += "@" + revisionText(d.o.Revision)
	}
	return s + "/" + key
}

// addressing reads what URI writes; models may stand without "models/".
var addressing = provider.Addressing{
	Prefixes: []string{"hf://"},
	Form:     "hf://datasets/ORG/NAME/PATH",
	Parse: func(uri string) (provider.Address, bool, error) {
		o, key, err := locate(uri)
		if err != nil {
			return provider.Address{}, true, err
		}
		a := provider.Address{Attrs: []provider.Attr{{Name: "repo", Value: o.Repo}}, Key: key}
		if o.Type != "dataset" {
			a.Attrs = append(a.Attrs, provider.Attr{Name: "type", Value: o.Type})
		}
		if o.Revision != "main" {
			a.Attrs = append(a.Attrs, provider.Attr{Name: "revision", Value: o.Revision})
		}
		return a, true, nil
	},
}

func locate(uri string) (o Options, key string, err error) {
	_, rest := provider.CutScheme(uri)
	o = Options{Type: "model", Revision: "main"}
	if kind, more, _ := strings.Cut(rest, "/"); kind == "datasets" || kind == "models" || kind == "spaces" {
		o.Type, rest = strings.TrimSuffix(kind, "s"), more
	}
	org, rest, _ := strings.Cut(rest, "/")
	name, key, _ := strings.Cut(rest, "/")
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name = name[:i]
		rev, path := cutRevision(rest[i+1:])
		if o.Revision, err = url.PathUnescape(rev); err != nil {
			o.Revision = ""
		}
		key = path
	}
	o.Repo = org + "/" + name
	if checkRepo(o.Repo) != nil || checkRevision(o.Revision) != nil {
		return o, "", fault.Hinted(fault.InvalidArgument, "Write hf://datasets/ORG/NAME/PATH or hf://datasets/ORG/NAME@REVISION/PATH, also with models or spaces; a slash of a revision is %2F.",
			"the address names no repository of the hub")
	}
	return o, key, nil
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	x, key, err := locate(uri)
	return key, err == nil && x.Repo == o.Repo && x.Type == o.Type && x.Revision == o.Revision, nil
}

// revisionText writes a revision so that its end can be found: the hub's references keep their slashes, since readers
// know how many segments those have, others lose them.
func revisionText(rev string) string {
	rev = strings.ReplaceAll(rev, "%", "%25")
	if isReference(rev) {
		return rev
	}
	return strings.ReplaceAll(rev, "/", "%2F")
}

// isReference reports whether a revision is one of the hub's own with two slashes: refs/pr/1, refs/convert/parquet.
func isReference(rev string) bool {
	return (strings.HasPrefix(rev, "refs/pr/") || strings.HasPrefix(rev, "refs/convert/")) && strings.Count(rev, "/") == 2
}

// cutRevision splits what stands behind "@": the revision and the path.
func cutRevision(s string) (rev, path string) {
	n := 1
	if strings.HasPrefix(s, "refs/pr/") || strings.HasPrefix(s, "refs/convert/") {
		n = 3
	}
	parts := strings.SplitN(s, "/", n+1)
	if len(parts) <= n {
		return s, ""
	}
	return strings.Join(parts[:n], "/"), parts[n]
}
