package adlsgen2

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

// describe sets the headers of an object's attributes for a create.
func describe(r *azurerest.Request, a store.Attributes) error {
	if a.ContentType == "" {
		a.ContentType = "application/octet-stream"
	}
	for _, x := range [][2]string{{"Content-Type", a.ContentType}, {"Content-Encoding", a.ContentEncoding}, {"Content-Disposition", a.ContentDisposition},
		{"Cache-Control", a.CacheControl}, {"Content-Language", a.ContentLanguage}} {
		if !azurerest.Printable(x[1]) {
			return fault.New(fault.InvalidArgument, "the %s %q cannot be sent in a header", x[0], x[1])
		}
		r.Set("X-Ms-"+x[0], x[1])
	}
	meta, err := azurerest.Metadata(a.User, a.Modified)
	if err != nil {
		return err
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		list = append(list, name+"="+base64.StdEncoding.EncodeToString([]byte(meta[name])))
	}
	r.Set("X-Ms-Properties", strings.Join(list, ","))
	return nil
}

func attrsOf(h http.Header) *store.Attributes {
	a := &store.Attributes{ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language")}
	meta := map[string]string{}
	for pair := range strings.SplitSeq(h.Get("X-Ms-Properties"), ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if b, err := base64.StdEncoding.DecodeString(v); ok && err == nil {
			meta[name] = string(b)
		}
	}
	a.User, a.Modified = azurerest.User(meta)
	return a
}

// getter tells azurerest of reads: https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path/read.
var getter = azurerest.Getter{Request: reading, Entry: entryOf, RangeSum: "Content-Md5"}

func reading(method, key string, c store.Cond) *azurerest.Request {
	r := &azurerest.Request{Action: "Path Read", Method: method, Key: key}
	if method == "HEAD" {
		r.Action = "Path Get Properties"
	}
	r.Set("If-Match", c.IfMatch)
	return r
}

// entryOf describes an object by the head of a reply.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	if h.Get("X-Ms-Resource-Type") == "directory" {
		return store.Entry{}, fault.New(fault.NotFound, "there is a directory of this name, and no file")
	}
	e := store.Entry{Key: key, Size: resp.ContentLength, ETag: azurerest.Quoted(h.Get("ETag")), Attrs: attrsOf(h)}
	md5 := h.Get("X-Ms-Content-Md5")
	if md5 == "" && resp.StatusCode == http.StatusOK {
		md5 = h.Get("Content-Md5")
	}
	e.Sums = azurerest.Sum(md5)
	if e.ETag == "" {
		return e, azurerest.NotAzure(resp, "it has no ETag")
	}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
}
