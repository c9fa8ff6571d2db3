package azurefiles

import (
	"net/http"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	metaPrefix = "X-Ms-Meta-"
	stamp      = "2006-01-02T15:04:05.0000000Z" // of the times that SMB has
)

// headers sets the content headers, all of which a file gets at once, and the time of the last write.
func headers(r *azurerest.Request, a store.Attributes, md5 string) error {
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
	r.Set("X-Ms-Content-Md5", md5)
	r.Set("X-Ms-File-Permission", "inherit")
	r.Set("X-Ms-File-Attributes", "None")
	r.Set("X-Ms-File-Creation-Time", "now")
	r.Set("X-Ms-File-Last-Write-Time", "now")
	if t := a.Modified; !t.IsZero() {
		if t.Year() < 1601 || t.Year() > 9999 {
			return fault.New(fault.InvalidArgument, "the time %v is none that a file can have", t)
		}
		r.Set("X-Ms-File-Last-Write-Time", t.UTC().Format(stamp))
	}
	return nil
}

// describe sets all headers of an object's attributes for a create.
func describe(r *azurerest.Request, a store.Attributes, md5 string) error {
	meta, err := azurerest.Metadata(a.User, time.Time{}) // files have a time of their own
	if err != nil {
		return err
	}
	for name, v := range meta {
		r.Set(metaPrefix+name, v)
	}
	return headers(r, a, md5)
}

func attrsOf(h http.Header) *store.Attributes {
	a := &store.Attributes{ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language")}
	meta := map[string]string{}
	for name, v := range h {
		if strings.HasPrefix(name, metaPrefix) && len(v) > 0 {
			meta[name[len(metaPrefix):]] = v[0]
		}
	}
	var mtime time.Time
	if a.User, mtime = azurerest.User(meta); !mtime.IsZero() { // of another kind of store, or of rclone
		a.Modified = mtime
	}
	return a
}

// getter tells azurerest of reads. The service has no conditions on them: the ETag of the reply is compared.
var getter = azurerest.Getter{Request: reading, Entry: entryOf, RangeSum: "Content-Md5"}

func reading(method, key string, _ store.Cond) *azurerest.Request {
	r := &azurerest.Request{Action: "Get File", Method: method, Key: key}
	if method == "HEAD" {
		r.Action = "Get File Properties"
	}
	return r
}

// entryOf describes an object by the head of a reply.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	e := store.Entry{Key: key, Size: resp.ContentLength, ETag: azurerest.Quoted(h.Get("ETag")), Attrs: attrsOf(h)}
	md5 := h.Get("X-Ms-Content-Md5")
	if md5 == "" && resp.StatusCode == http.StatusOK {
		md5 = h.Get("Content-Md5")
	}
	e.Sums = azurerest.Sum(md5)
	if e.ETag == "" {
		return e, azurerest.NotAzure(resp, "it has no ETag")
	}
	e.Modified = written(h)
	return e, nil
}

// written is when a file was written last: as SMB has it, which is what a writer can set.
func written(h http.Header) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, h.Get("X-Ms-File-Last-Write-Time")); err == nil {
		return t.UTC()
	}
	t, _ := http.ParseTime(h.Get("Last-Modified"))
	return t
}
