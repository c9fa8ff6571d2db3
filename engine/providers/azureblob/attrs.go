package azureblob

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	metaPrefix   = "X-Ms-Meta-"
	metaModified = "mtime"   // Attributes.Modified in RFC 3339, as rclone keeps it
	metaEncoded  = "dsrun64" // names of metadata whose values are base64, as they are no plain text
)

// describe sets the headers of an object's attributes.
func describe(r *request, a store.Attributes) error {
	if a.ContentType == "" {
		a.ContentType = "application/octet-stream"
	}
	for _, x := range [][2]string{{"Content-Type", a.ContentType}, {"Content-Encoding", a.ContentEncoding}, {"Content-Disposition", a.ContentDisposition},
		{"Cache-Control", a.CacheControl}, {"Content-Language", a.ContentLanguage}} {
		if !printable(x[1]) {
			return fault.New(fault.InvalidArgument, "the %s %q cannot be sent in a header", x[0], x[1])
		}
		r.set("X-Ms-Blob-"+x[0], x[1])
	}
	var encoded []string
	seen := map[string]bool{}
	for name, v := range a.User {
		if lower := strings.ToLower(name); seen[lower] || lower == metaEncoded {
			return fault.New(fault.InvalidArgument, "the user metadata %q is there twice, in another case, or is a name of dsrun's own", name)
		} else {
			seen[lower] = true
		}
		if !identifier(name) {
			return fault.New(fault.InvalidArgument, "%q cannot be the name of user metadata: Azure takes letters, digits and underscores, with a letter first", name)
		}
		if !utf8.ValidString(v) {
			return fault.New(fault.InvalidArgument, "the user metadata %q is not valid UTF-8", name)
		}
		if v == "" || !printable(v) || strings.Contains(v, "  ") {
			encoded = append(encoded, strings.ToLower(name))
			v = base64.StdEncoding.EncodeToString([]byte(v))
			if v == "" {
				v = "="
			}
		}
		r.meta(name, v)
	}
	if len(encoded) > 0 {
		r.meta(metaEncoded, strings.Join(encoded, ","))
	}
	if _, taken := a.User[metaModified]; !taken && !a.Modified.IsZero() {
		r.meta(metaModified, a.Modified.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// meta sets user metadata. The service keeps the case of its names, which the canonical form of headers would change.
func (r *request) meta(name, value string) {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header["x-ms-meta-"+name] = []string{value}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// identifier reports whether s can name metadata: the service wants identifiers of C#.
func identifier(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && s[i] != '_' && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}

func attrsOf(h http.Header) *store.Attributes {
	a := &store.Attributes{ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language")}
	encoded := "," + h.Get(metaPrefix+metaEncoded) + ","
	for name, v := range h {
		if !strings.HasPrefix(name, metaPrefix) || len(v) == 0 {
			continue
		}
		name, text := strings.ToLower(name[len(metaPrefix):]), v[0]
		if name == metaEncoded {
			continue
		}
		if strings.Contains(encoded, ","+name+",") {
			if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "=")); err == nil || text == "=" {
				text = string(b)
			}
		} else if name == metaModified {
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				a.Modified = t.UTC()
				continue
			}
		}
		if a.User == nil {
			a.User = map[string]string{}
		}
		a.User[name] = text
	}
	return a
}

// entryOf describes an object by the head of a reply.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	e := store.Entry{Key: key, Size: resp.ContentLength, ETag: quoted(h.Get("ETag")), Version: h.Get("X-Ms-Version-Id"), Attrs: attrsOf(h)}
	md5 := h.Get("X-Ms-Blob-Content-Md5")
	if md5 == "" && resp.StatusCode == http.StatusOK {
		md5 = h.Get("Content-Md5")
	}
	if b, err := base64.StdEncoding.DecodeString(md5); err == nil && len(b) == 16 {
		e.Sums = []store.Sum{{Algo: "md5", Value: b}}
	}
	if e.ETag == "" {
		return e, notAzure(resp, "it has no ETag")
	}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
}

// quoted returns an ETag in its one form, with quotes, which listings leave out.
func quoted(etag string) string {
	if etag == "" || strings.HasPrefix(etag, `"`) || strings.HasPrefix(etag, "W/") {
		return etag
	}
	return `"` + etag + `"`
}

// checkKey refuses names that the service cannot hold or would take for another.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.Contains(key, `\`):
		return fault.New(fault.InvalidArgument, "the key has a backslash, which the service takes for a slash")
	case strings.Count(key, "/") > 253:
		return fault.New(fault.InvalidArgument, "the key has more than 254 segments")
	}
	for _, c := range key {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfffe || c == 0xffff {
			return fault.New(fault.InvalidArgument, "the key has a control character")
		}
	}
	for i, s := range strings.Split(key, "/") {
		if strings.HasSuffix(s, ".") {
			return fault.New(fault.InvalidArgument, "the segment %q of the key ends with a dot, which the service could drop", s)
		}
		if i == 0 && s == "" {
			return fault.New(fault.InvalidArgument, "the key begins with a slash, which the service could drop")
		}
	}
	return nil
}
