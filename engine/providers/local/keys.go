package local

import (
	"path"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// Keys and file names are one to one, and nearly all are the same. A key is cut at each "/"; a piece that cannot be a file
// name is written with mark before it:
//
//	piece of the key        name of the file or folder
//	(empty)                 %
//	.                       %.
//	..                      %..
//	a name of our own       %.dsrun-0123456789abcdef.tmp
//	any of these names      the name with one more % before it
//
// So "a//b" is the file a/%/b, "tr/" is tr/% and the key "%." is the file %%. ; every other name, "100%.txt" too, stands
// for itself. Because the names that have a mark are exactly those that the table gives, every file that a user puts
// into the folder has a key of its own. (In the top folder the name % stands for itself: there is no empty key.)
const mark = "%"

// maxName is the longest file name of common file systems, in bytes.
const maxName = 255

// marked reports whether piece is one of the names of the table: any number of marks and then what cannot be a name.
func marked(piece string, lone bool) bool {
	base := strings.TrimLeft(piece, mark)
	return base == "" && !lone || base == "." || base == ".." || hidden(base)
}

// encode returns the file name of a piece of a key. lone says that the piece is the whole key.
func encode(piece string, lone bool) string {
	if marked(piece, lone) {
		return mark + piece
	}
	return piece
}

// decode returns the piece of a key that name stands for. lone says that name is a file in the top folder.
func decode(name string, lone bool) string {
	if rest, ok := strings.CutPrefix(name, mark); ok && marked(rest, lone) {
		return rest
	}
	return name
}

// file returns the path below the folder of the file that holds key.
func file(key string) (string, error) {
	if key == "" {
		return "", fault.New(fault.InvalidArgument, "the key is empty")
	}
	if i := strings.IndexByte(key, 0); i >= 0 {
		return "", fault.New(fault.InvalidArgument, "the key has a NUL byte at %d, which no file name can hold", i)
	}
	pieces := strings.Split(key, "/")
	for i, p := range pieces {
		name := encode(p, len(pieces) == 1)
		if err := nameable(name); err != nil {
			return "", err
		}
		pieces[i] = name
	}
	return strings.Join(pieces, "/"), nil
}

// folder returns the path of the folder for the keys below dir, which is "" or ends with "/". It is "." for the top.
func folder(dir string) (string, error) {
	if dir == "" {
		return ".", nil
	}
	f, err := file(dir + "x")
	return path.Dir(f), err
}

// nameable refuses a name that the file system would not take or would take for another.
func nameable(name string) error {
	if len(name) > maxName {
		return fault.New(fault.InvalidArgument, "the part %.40q... of the key has %d bytes, and a file name at most %d", name, len(name), maxName)
	}
	if (runtime.GOOS == "darwin" || runtime.GOOS == "ios") && !utf8.ValidString(name) {
		return fault.New(fault.InvalidArgument, "the part %q of the key is not valid UTF-8, as a file name here must be", name)
	}
	return nil
}

// Our own files: temp + 16 hexadecimal digits + ".tmp", and the register of writers. Listings do not show them.
const (
	tempStart = ".dsrun-"
	tempEnd   = ".tmp"
	register  = ".dsrun-writers"
	// An accented letter may stand before tempEnd, composed or not: see foldsAccents.
	composed   = "\u00e9"
	decomposed = "e\u0301"
)

// hidden reports whether name is one of our own.
func hidden(name string) bool {
	if !strings.HasPrefix(name, tempStart) {
		return false
	}
	if name == register {
		return true
	}
	id, ok := strings.CutSuffix(name[len(tempStart):], tempEnd)
	if !ok {
		return false
	}
	id = strings.TrimSuffix(strings.TrimSuffix(id, composed), decomposed)
	return len(id) == 16 && strings.Trim(id, "0123456789abcdef") == ""
}
