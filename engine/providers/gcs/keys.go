package gcs

import (
	"crypto/rand"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkKey refuses names that the service does not allow, and those of objects that uploads hide (see hidden).
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
	case key == "." || key == "..":
		return fault.New(fault.InvalidArgument, "the service allows no object of the name %q", key)
	case strings.HasPrefix(key, ".well-known/acme-challenge/"):
		return fault.New(fault.InvalidArgument, "the service allows no names that begin with .well-known/acme-challenge/")
	}
	if _, is := shown(key); is {
		return fault.New(fault.InvalidArgument, "names of this form are those of uploads that are not yet complete")
	}
	return nil
}

const (
	hiddenMark = ".dsrun~"
	hiddenID   = 16 // letters of a hidden name's id
)

// hidden returns the name that a conditional upload in parts has for the moment between its completion and the rename
// that checks the condition. It is in the target's folder, so that rights on a folder suffice.
func hidden(key string) string {
	i := strings.LastIndexByte(key, '/') + 1
	return key[:i] + hiddenMark + rand.Text()[:hiddenID] + "~" + key[i:]
}

// shown returns the key that a hidden name stands for.
func shown(name string) (key string, is bool) {
	i := strings.LastIndexByte(name, '/') + 1
	rest, ok := strings.CutPrefix(name[i:], hiddenMark)
	if !ok || len(rest) <= hiddenID || rest[hiddenID] != '~' {
		return name, false
	}
	return name[:i] + rest[hiddenID+1:], true
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
