package main

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile is writeWith for a text that is all there.
func (a *app) writeFile(abs string, data []byte, mode fs.FileMode) error {
	return a.writeWith(abs, mode, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// writeWith makes or replaces a file that the person named, whole or not at all, durably. A file that exists keeps its
// mode; what is no file, such as /dev/stdout, is written as it is.
func (a *app) writeWith(abs string, mode fs.FileMode, write func(io.Writer) error) error {
	if real, err := a.w.RealPath(abs); err == nil {
		abs = real
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(abs)
	st, err := root.Stat(name)
	switch {
	case err == nil && !st.Mode().IsRegular():
		f, err := root.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return closing(f, write(f))
	case err == nil:
		mode = st.Mode().Perm()
	}
	temp := "." + name + ".dsrun-" + rand.Text()[:12]
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil && st != nil {
		err = f.Chmod(mode) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	if err = closing(f, err); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

// closing closes f and returns the first error.
func closing(f *os.File, err error) error {
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
