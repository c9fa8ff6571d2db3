package webhdfs

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkKey refuses keys that cannot be paths of HDFS, which has rules for each name (DFSUtil.isValidName), or that it or
// the way to it would take for another.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.ContainsAny(key, ":\\") || strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0:
		return fault.New(fault.InvalidArgument, "the key has a colon, a backslash or a control character, which names of HDFS cannot hold")
	}
	for i, name := range strings.Split(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fault.Hinted(fault.InvalidArgument, "Choose a key without empty, `.` and `..` segments.", "the segment %q of the key cannot be the name of a file or folder", name)
		case len(name) > maxName:
			return fault.New(fault.InvalidArgument, "a segment of the key has %d bytes, %d are allowed", len(name), maxName)
		case i == 0 && (name == hidden || name == ".reserved"):
			return fault.New(fault.InvalidArgument, "the name %q is reserved", name)
		}
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// escape percent-encodes all but unreserved characters; with slash, "/" stands for itself.
func escape(s string, slash bool) string {
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || c == '/' && slash {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// isFileOnWay reports whether a refusal says that a name on the way is a file: HDFS reports it as one of access,
// "/a/b (is not a directory)".
func isFileOnWay(message string) bool { return strings.Contains(message, "is not a directory") }

func isUnderFile(err error) bool { return fault.Is(err, fault.InvalidArgument) }
