package databricks

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// hidden is the folder in the root of a store on DBFS that holds files under way.
const hidden = ".dsrun"

// splitPath takes a path of the configuration apart. Volumes may be written with "dbfs:" too, as Databricks's tools do.
func splitPath(s string) (root string, volume bool) {
	root = strings.TrimPrefix(s, "dbfs:")
	volume = root == "/Volumes" || strings.HasPrefix(root, "/Volumes/")
	return strings.TrimRight(root, "/"), volume
}

func checkPath(s string) error {
	root, volume := splitPath(s)
	parts := strings.Split(strings.TrimPrefix(root, "/"), "/")
	switch {
	case strings.HasPrefix(s, "dbfs://"):
		return fmt.Errorf("The path has one slash after dbfs, such as \"dbfs:/data\".")
	case !volume && strings.EqualFold(parts[0], "Volumes"):
		return fmt.Errorf("The path of a volume begins with \"/Volumes/\", in this spelling.")
	case !volume && !strings.HasPrefix(s, "dbfs:/"):
		return fmt.Errorf("The path must be that of a volume, such as \"/Volumes/catalog/schema/volume\", or of a folder of DBFS, such as \"dbfs:/data\".")
	case volume && len(parts) < 4:
		return fmt.Errorf("The path of a volume names its catalog, its schema and itself: \"/Volumes/catalog/schema/volume\".")
	}
	if root != "" && checkKey(strings.TrimPrefix(root, "/")) != nil {
		return fmt.Errorf("The path must have no empty parts, no \".\" and \"..\", and no control characters.")
	}
	return nil
}

// checkKey refuses keys that cannot be paths of files, or that something on the way would take for another.
func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.InvalidArgument, "the key is empty")
	case len(key) > maxKey:
		return fault.New(fault.InvalidArgument, "the key has %d bytes, %d are allowed", len(key), maxKey)
	case !utf8.ValidString(key):
		return fault.New(fault.InvalidArgument, "the key is not valid UTF-8")
	case strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0:
		return fault.New(fault.InvalidArgument, "the key has a control character")
	}
	for _, name := range strings.Split(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fault.Hinted(fault.InvalidArgument, "Choose a key without empty, `.` and `..` segments.", "the segment %q of the key cannot be the name of a file or folder", name)
		case len(name) > maxName:
			return fault.New(fault.InvalidArgument, "a segment of the key has %d bytes, %d are allowed", len(name), maxName)
		}
	}
	return nil
}
