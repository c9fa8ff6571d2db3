package s3

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkKey refuses keys that the service cannot hold or would take for another.
func (d *Driver) checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case strings.IndexByte(key, 0) >= 0:
		return fault.New(fault.InvalidArgument, "the key has a NUL byte")
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	}
	if d.exact {
		return nil
	}
	if !inXML(key) {
		return fault.New(fault.InvalidArgument, "the key has a character that the service's listings cannot show")
	}
	segments := strings.Split(key, "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && (i < len(segments)-1 || i == 0) {
			return fault.Hinted(fault.InvalidArgument, "Choose a key without empty, `.` and `..` segments.",
				"the segment %q of the key could be dropped by the service, which would take the key for another", s)
		}
	}
	return nil
}

// inXML reports whether a key can stand in an XML document.
func inXML(k string) bool {
	for _, c := range k {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xfffe || c == 0xffff {
			return false
		}
	}
	return true
}

const upperHex = "0123456789ABCDEF"

// plain are the bytes that stand for themselves in a signed path or query: the unreserved ones of RFC 3986, section 2.3.
var plain = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		t[c] = true
	}
	return t
}()

// escape percent-encodes s; with slash, "/" stands for itself.
func escape(s string, slash bool) string {
	n := 0
	for i := range len(s) {
		if !plain[s[i]] && !(slash && s[i] == '/') {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain[c] || slash && c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}
