package awsauth

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkFile looks at a shared file before the SDK reads it, because the SDK takes one that it may not read for an empty
// one. A missing file is none. One with secrets that others can read is warned of once.
func (w *world) checkFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fault.Hinted(fault.Unauthenticated, "Make the file readable to the user that dsrun runs as.", "%w", err)
	}
	_, cred := w.files()
	if path == cred && info.Mode().Perm()&0o044 != 0 && runtime.GOOS != "windows" {
		w.exposed.Do(func() { w.log.Warn("other users of this machine can read the file of access keys", "file", path) })
	}
	return nil
}

// readFile reads a small file whose path the environment gives.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(b), err
}
