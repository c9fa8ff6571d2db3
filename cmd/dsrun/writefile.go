package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile makes or replaces a file that the person named, whole or not at all, durably. A file that exists keeps its mode.
func (a *app) writeFile(abs string, data []byte, mode fs.FileMode) error {
	if real, err := a.w.RealPath(abs); err == nil {
		abs = real
	}
	root, err := a.w.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(abs)
	if st, err := root.Stat(name); err == nil {
		if !st.Mode().IsRegular() { // /dev/stdout, a pipe
			return writeInto(root, name, data)
		}
		mode = st.Mode().Perm()
	}
	temp := "." + name + ".dsrun-new"
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

func writeInto(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
