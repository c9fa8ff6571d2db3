package oci

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
	metaPrefix = "Opc-Meta-"
	// metaModified holds Attributes.Modified as seconds since 1970 with up to nine decimals, as rclone does.
	metaModified = "mtime"
	octetStream  = "application/octet-stream"
)

// described are the attributes of an object as the service names them, in headers and, in camel case, in JSON.
type described struct {
	std  [][3]string // header, JSON name, value
	meta map[string]string
}

// describe checks and encodes attributes.
func describe(a store.Attributes) (x described, err error) {
	x.std = [][3]string{{"Content-Type", "contentType", a.ContentType}, {"Content-Encoding", "contentEncoding", a.ContentEncoding},
		{"Content-Disposition", "contentDisposition", a.ContentDisposition}, {"Cache-Control", "cacheControl", a.CacheControl}, {"Content-Language", "contentLanguage", a.ContentLanguage}}
	if a.ContentType == "" {
		x.std[0][2] = octetStream
	}
	for _, s := range x.std {
		if !printable(s[2]) || strings.TrimSpace(s[2]) != s[2] {
			return x, fault.New(fault.InvalidArgument, "the %s %q cannot be sent in a header", s[0], s[2])
		}
	}
	x.meta = map[string]string{}
	for name, v := range a.User {
		if !token(name) {
			return x, fault.New(fault.InvalidArgument, "%q cannot be the name of user metadata: it has letters, digits, hyphens and underscores", name)
		}
		text, err := encodeMeta(v)
		if err != nil {
			return x, err
		}
		x.meta[strings.ToLower(name)] = text
	}
	if _, taken := x.meta[metaModified]; !taken && !a.Modified.IsZero() {
		x.meta[metaModified] = seconds(a.Modified)
	}
	return x, nil
}

// headers sets the headers of a put.
func (x described) headers(r *request) {
	for _, s := range x.std {
		r.set(s[0], s[2])
	}
	for n, v := range x.meta {
		r.set(metaPrefix+n, v)
		if v == "" {
			r.header[http.CanonicalHeaderKey(metaPrefix+n)] = []string{""}
		}
	}
}

// json returns the same for the body of a begin.
func (x described) json() map[string]any {
	out := map[string]any{}
	for _, s := range x.std {
		if s[2] != "" {
			out[s[1]] = s[2]
		}
	}
	meta := map[string]string{}
	for n, v := range x.meta {
		meta[strings.ToLower(metaPrefix)+n] = v
	}
	out["metadata"] = meta
	return out
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

// encodeMeta writes a value that is no plain text as an encoded word of RFC 2047: the service takes ASCII only.
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

func seconds(t time.Time) string {
	s := strconv.FormatInt(t.Unix(), 10)
	if ns := t.Nanosecond(); ns != 0 && t.Unix() >= 0 {
		s += strings.TrimRight("."+strconv.Itoa(1_000_000_000 + ns)[1:], "0")
	}
	return s
}

func parseSeconds(s string) (time.Time, bool) {
	whole, part, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(part) > 9 {
		return time.Time{}, false
	}
	ns, err := strconv.ParseUint((part + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(sec, int64(ns)).UTC(), true
}

// attrsOf reads the attributes of a reply.
func attrsOf(h http.Header) *store.Attributes {
	a := &store.Attributes{ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language")}
	for name, v := range h {
		if !strings.HasPrefix(name, metaPrefix) || len(v) == 0 {
			continue
		}
		name, text := strings.ToLower(name[len(metaPrefix):]), decodeMeta(strings.Join(v, ","))
		if name == metaModified {
			if t, ok := parseSeconds(text); ok {
				a.Modified = t
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

// entryOf describes an object by the head of a reply. A reply without ETag does not come from the service.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	e := store.Entry{Key: key, Size: resp.ContentLength, ETag: h.Get("Etag"), Version: h.Get("Version-Id"), Attrs: attrsOf(h), Sums: sumsOf(h)}
	if e.ETag == "" {
		return e, notOCI(resp, "it has no ETag")
	}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
}
