package adlsgen2

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
)

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
	}
	for _, c := range key {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfffe || c == 0xffff {
			return fault.New(fault.InvalidArgument, "the key has a control character")
		}
	}
	for s := range strings.SplitSeq(key, "/") {
		switch {
		case s == "":
			return fault.New(fault.InvalidArgument, "the key has an empty segment, which the service drops")
		case strings.HasSuffix(s, "."):
			return fault.New(fault.InvalidArgument, "the segment %q of the key ends with a dot, which the service could drop", s)
		case len(s) > maxName && len(utf16.Encode([]rune(s))) > maxName:
			return fault.New(fault.InvalidArgument, "a segment of the key has more than %d characters", maxName)
		}
		if _, _, hidden := azurerest.Hidden(s); hidden {
			return fault.New(fault.InvalidArgument, "the segment %q of the key is a name of files on their way", s)
		}
	}
	return nil
}

// parent is the directory of a path, "" at the top.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}
