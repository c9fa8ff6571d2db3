package local

import (
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/filekeys"
)

// Keys become names as package filekeys says.
const (
	mark       = filekeys.Mark
	maxName    = filekeys.MaxName
	tempStart  = filekeys.TempStart
	tempEnd    = filekeys.TempEnd
	register   = filekeys.Register
	composed   = filekeys.Composed
	decomposed = filekeys.Decomposed
)

func encode(piece string, lone bool) string { return filekeys.Encode(piece, lone) }
func decode(name string, lone bool) string  { return filekeys.Decode(name, lone) }
func hidden(name string) bool               { return filekeys.Hidden(name) }

// file returns the path below the folder of the file that holds key.
func file(key string) (string, error) {
	name, err := filekeys.File(key)
	if err == nil {
		err = nameable(name)
	}
	return name, err
}

// folder returns the path of the folder for the keys below dir, which is "" or ends with "/". It is "." for the top.
func folder(dir string) (string, error) {
	name, err := filekeys.Folder(dir)
	if err == nil {
		err = nameable(name)
	}
	return name, err
}

// nameable refuses a path that the file system would not take or would take for another.
func nameable(path string) error {
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" || utf8.ValidString(path) {
		return nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if !utf8.ValidString(name) {
			return fault.New(fault.InvalidArgument, "the part %q of the key is not valid UTF-8, as a file name here must be", name)
		}
	}
	return nil
}
