// Package filekeys maps keys to the names of files, one to one, for the kinds of stores that keep an object as a file.
package filekeys

import (
	"path"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// Keys and file names are one to one, and nearly all are the same. A key is cut at each "/"; a piece that cannot be a file
// name is written with Mark before it:
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
const Mark = "%"

// MaxName is the longest file name of common file systems, in bytes.
const MaxName = 255

// marked reports whether piece is one of the names of the table: any number of marks and then what cannot be a name.
func marked(piece string, lone bool) bool {
	base := strings.TrimLeft(piece, Mark)
	return base == "" && !lone || base == "." || base == ".." || Hidden(base)
}

// Encode returns the file name of a piece of a key. lone says that the piece is the whole key.
func Encode(piece string, lone bool) string {
	if marked(piece, lone) {
		return Mark + piece
	}
	return piece
}

// Decode returns the piece of a key that name stands for. lone says that name is a file in the top folder.
func Decode(name string, lone bool) string {
	if rest, ok := strings.CutPrefix(name, Mark); ok && marked(rest, lone) {
		return rest
	}
	return name
}

// File returns the path below the folder of the file that holds key.
func File(key string) (string, error) {
	if key == "" {
		return "", fault.New(fault.InvalidArgument, "the key is empty")
	}
	if i := strings.IndexByte(key, 0); i >= 0 {
		return "", fault.New(fault.InvalidArgument, "the key has a NUL byte at %d, which no file name can hold", i)
	}
	pieces := strings.Split(key, "/")
	for i, p := range pieces {
		name := Encode(p, len(pieces) == 1)
		if err := nameable(name); err != nil {
			return "", err
		}
		pieces[i] = name
	}
	return strings.Join(pieces, "/"), nil
}

// Folder returns the path of the folder for the keys below dir, which is "" or ends with "/". It is "." for the top.
func Folder(dir string) (string, error) {
	if dir == "" {
		return ".", nil
	}
	f, err := File(dir + "x")
	return path.Dir(f), err
}

// nameable refuses a name that file systems would not take.
func nameable(name string) error {
	if len(name) > MaxName {
		return fault.New(fault.InvalidArgument, "the part %.40q... of the key has %d bytes, and a file name at most %d", name, len(name), MaxName)
	}
	return nil
}

// Our own files: temp + 16 hexadecimal digits + ".tmp", and the register of writers. Listings do not show them.
const (
	TempStart = ".dsrun-"
	TempEnd   = ".tmp"
	Register  = ".dsrun-writers"
	// An accented letter may stand before TempEnd, Composed or not: see the kind local.
	Composed   = "\u00e9"
	Decomposed = "e\u0301"
)

// Hidden reports whether name is one of our own.
func Hidden(name string) bool {
	if !strings.HasPrefix(name, TempStart) {
		return false
	}
	if name == Register {
		return true
	}
	id, ok := strings.CutSuffix(name[len(TempStart):], TempEnd)
	if !ok {
		return false
	}
	id = strings.TrimSuffix(strings.TrimSuffix(id, Composed), Decomposed)
	return len(id) == 16 && strings.Trim(id, "0123456789abcdef") == ""
}
