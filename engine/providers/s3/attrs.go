package s3

import (
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
	metaPrefix = "X-Amz-Meta-"
	// metaModified holds Attributes.Modified as seconds since 1970 with up to nine decimals, as rclone and s3fs do.
	metaModified = "mtime"
	octetStream  = "application/octet-stream"
)

// describe sets the headers of an object's attributes.
func describe(r *request, a store.Attributes) error {
	for _, x := range [][2]string{{"Content-Type", firstOf(a.ContentType, octetStream)}, {"Content-Encoding", a.ContentEncoding},
		{"Content-Disposition", a.ContentDisposition}, {"Cache-Control", a.CacheControl}, {"Content-Language", a.ContentLanguage}} {
		if !printable(x[1]) || strings.TrimSpace(x[1]) != x[1] {
			return fault.New(fault.InvalidArgument, "the %s %q cannot be sent in a header", x[0], x[1])
		}
		r.set(x[0], x[1])
	}
	for name, v := range a.User {
		if !token(name) {
			return fault.New(fault.InvalidArgument, "%q cannot be the name of user metadata: it has letters, digits, hyphens and underscores", name)
		}
		text, err := encodeMeta(v)
		if err != nil {
			return err
		}
		r.set(metaPrefix+name, text)
	}
	if _, taken := a.User[metaModified]; !taken && !a.Modified.IsZero() {
		r.set(metaPrefix+metaModified, seconds(a.Modified))
	}
	return nil
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

// encodeMeta writes a value of user metadata as S3 shows those that are no plain text: as an encoded word of RFC 2047.
func encodeMeta(v string) (string, error) {
	if !utf8.ValidString(v) || strings.IndexFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0 {
		return "", fault.New(fault.InvalidArgument, "the user metadata %q cannot be sent in a header", v)
	}
	if printable(v) && strings.TrimSpace(v) == v && !strings.Contains(v, "=?") && !strings.Contains(v, "  ") {
		return v, nil
	}
	return "=?UTF-8?B?" + base64Of([]byte(v)) + "?=", nil
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
	a := &store.Attributes{ContentType: h.Get("Content-Type"), ContentDisposition: h.Get("Content-Disposition"),
		CacheControl: h.Get("Cache-Control"), ContentLanguage: h.Get("Content-Language")}
	var enc []string // some services keep what only the transfer was meant to say
	for _, e := range strings.Split(h.Get("Content-Encoding"), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			enc = append(enc, e)
		}
	}
	a.ContentEncoding = strings.Join(enc, ",")
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

// entryOf describes an object by the head of a reply. A reply without ETag does not come from S3.
func entryOf(resp *http.Response, key string) (store.Entry, error) {
	h := resp.Header
	e := store.Entry{Key: key, Size: resp.ContentLength, ETag: quoted(h.Get("ETag")), Version: version(h), Attrs: attrsOf(h), Sums: sumsOf(h)}
	if e.ETag == "" {
		return e, notS3(resp, "it has no ETag")
	}
	e.Modified, _ = http.ParseTime(h.Get("Last-Modified"))
	return e, nil
}

// quoted returns an ETag in its one form, with quotes, which some services leave out here or there.
func quoted(etag string) string {
	if etag == "" || strings.HasPrefix(etag, `"`) || strings.HasPrefix(etag, "W/") {
		return etag
	}
	return `"` + etag + `"`
}

// version returns the id of the object's version. "null" stands for all objects without one, so that it pins nothing.
func version(h http.Header) string {
	if v := h.Get("X-Amz-Version-Id"); v != "null" {
		return v
	}
	return ""
}
