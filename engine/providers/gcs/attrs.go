package gcs

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	metaPrefix = "X-Goog-Meta-"
	// metaModified holds Attributes.Modified in RFC 3339 with up to nine decimals, as rclone does; gcloud's own is whole
	// seconds since 1970, which is read too.
	metaModified       = "mtime"
	metaModifiedGcloud = "goog-reserved-file-mtime"
	octetStream        = "application/octet-stream"
)

// described are the attributes of an object as the service names them.
type described struct {
	ContentType        string            `json:"contentType,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// describe checks and encodes attributes.
func describe(a store.Attributes) (x described, err error) {
	x = described{ContentType: a.ContentType, ContentEncoding: a.ContentEncoding, ContentDisposition: a.ContentDisposition, CacheControl: a.CacheControl, ContentLanguage: a.ContentLanguage}
	if x.ContentType == "" {
		x.ContentType = octetStream
	}
	for _, s := range x.standard() {
		if !printable(s[1]) || strings.TrimSpace(s[1]) != s[1] {
			return x, fault.New(fault.InvalidArgument, "the %s %q cannot be sent in a header", s[0], s[1])
		}
	}
	x.Metadata = map[string]string{}
	for name, v := range a.User {
		if !token(name) {
			return x, fault.New(fault.InvalidArgument, "%q cannot be the name of user metadata: it has letters, digits, hyphens and underscores", name)
		}
		text, err := encodeMeta(v)
		if err != nil {
			return x, err
		}
		x.Metadata[strings.ToLower(name)] = text
	}
	if _, taken := x.Metadata[metaModified]; !taken && !a.Modified.IsZero() {
		x.Metadata[metaModified] = a.Modified.UTC().Format(time.RFC3339Nano)
	}
	return x, nil
}

func (x described) standard() [][2]string {
	return [][2]string{{"Content-Type", x.ContentType}, {"Content-Encoding", x.ContentEncoding}, {"Content-Disposition", x.ContentDisposition},
		{"Cache-Control", x.CacheControl}, {"Content-Language", x.ContentLanguage}}
}

// headers sets the headers of a request of the XML API.
func (x described) headers(r *request) {
	for _, s := range x.standard() {
		r.set(s[0], s[1])
	}
	for n, v := range x.Metadata {
		r.header[http.CanonicalHeaderKey(metaPrefix+n)] = []string{v}
	}
}

// attributes reads them back.
func (x described) attributes() *store.Attributes {
	a := &store.Attributes{ContentType: x.ContentType, ContentEncoding: x.ContentEncoding, ContentDisposition: x.ContentDisposition, CacheControl: x.CacheControl, ContentLanguage: x.ContentLanguage}
	for name, v := range x.Metadata {
		name, text := strings.ToLower(name), decodeMeta(v)
		switch name {
		case metaModified:
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				a.Modified = t.UTC()
				continue
			}
		case metaModifiedGcloud:
			if s, err := strconv.ParseInt(text, 10, 64); err == nil {
				if a.Modified.IsZero() {
					a.Modified = time.Unix(s, 0).UTC()
				}
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

// attrsOf reads the attributes of a reply of the XML API.
func attrsOf(h http.Header) *store.Attributes {
	x := described{ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language"), Metadata: map[string]string{}}
	for name, v := range h {
		if strings.HasPrefix(name, metaPrefix) && len(v) > 0 {
			x.Metadata[name[len(metaPrefix):]] = strings.Join(v, ",")
		}
	}
	return x.attributes()
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// token reports whether s is a word of RFC 9110.
func token(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && !strings.ContainsRune("-_.!#$%&'*+^`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}

// encodeMeta writes a value that is no plain text as an encoded word of RFC 2047: the JSON API takes more, but what is
// read comes in headers.
func encodeMeta(v string) (string, error) {
	if !utf8.ValidString(v) || strings.IndexFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0 {
		return "", fault.New(fault.InvalidArgument, "the user metadata %q cannot be sent in a header", v)
	}
	if printable(v) && strings.TrimSpace(v) == v && !strings.Contains(v, "=?") && !strings.Contains(v, "  ") {
		return v, nil
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?=", nil
}

func decodeMeta(v string) string {
	if strings.HasPrefix(v, "=?") && strings.HasSuffix(v, "?=") {
		if s, err := new(mime.WordDecoder).Decode(v); err == nil {
			return s
		}
	}
	return v
}

// resource is an object as the JSON API describes it. Numbers come as text there.
type resource struct {
	Name       string    `json:"name"`
	Size       *int64    `json:"size,string"`
	Generation int64     `json:"generation,string"`
	CRC32C     string    `json:"crc32c"`
	MD5        string    `json:"md5Hash"`
	Updated    time.Time `json:"updated"`
	described
}

// resourceFields names what of a resource is wanted.
const resourceFields = "name,size,generation,crc32c,md5Hash,updated"

// entry describes the object; ok is false where the description is not one of the service's.
func (x *resource) entry(attrs bool) (e store.Entry, ok bool) {
	if x.Size == nil || *x.Size < 0 || x.Generation <= 0 || x.Name == "" {
		return e, false
	}
	g := strconv.FormatInt(x.Generation, 10)
	e = store.Entry{Key: x.Name, Size: *x.Size, Modified: x.Updated, ETag: g, Version: g}
	for _, s := range [][2]string{{algoCRC32C, x.CRC32C}, {algoMD5, x.MD5}} {
		if sum, ok := parseSum(s[0], s[1]); ok {
			e.Sums = append(e.Sums, sum)
		}
	}
	if attrs {
		e.Attrs = x.attributes()
	}
	return e, true
}
