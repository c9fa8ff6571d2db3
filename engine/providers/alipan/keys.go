package alipan

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// hidden begins the names of folders that are not the user's: on their way out, or with copies on their way in.
const hidden = ".dsrun-"

// staging is the folder of copies on their way.
const staging = hidden + "staging"

// checkKey refuses keys that cannot be paths of the service, or that it or the way to it would take for another.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.Contains(key, `\`) || strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0:
		return fault.New(fault.InvalidArgument, "the key has a backslash or a control character, which names of the service cannot hold")
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fault.Hinted(fault.InvalidArgument, "Choose a key without empty, `.` and `..` segments.", "the segment %q of the key cannot be the name of a file or folder", name)
		case strings.TrimSpace(name) != name:
			return fault.New(fault.InvalidArgument, "the segment %q of the key begins or ends with space, which the service may take away", name)
		case strings.HasPrefix(name, hidden):
			return fault.New(fault.InvalidArgument, "names that begin with %q are reserved", hidden)
		}
	}
	return nil
}
