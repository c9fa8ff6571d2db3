package oci

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkKey refuses names that the service does not allow.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case strings.ContainsAny(key, "\x00\r\n"):
		return fault.New(fault.InvalidArgument, "the key has a line break or a NUL, which the service does not allow")
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// escape percent-encodes all but the unreserved characters of RFC 3986, section 2.3. A "." that would stand alone as a
// segment of a path is encoded too: proxies and clients take "/./" away.
func escape(s string) string {
	dots := s == "." || s == ".."
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '~' || c == '.' && !dots {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}
