//go:build darwin || freebsd

package local

import (
	"io"
	"os"
)

// utimeOmit is UTIME_OMIT: the time of access stays as it is.
const utimeOmit = -2

// renameNew gives an entry a name that nothing has; fs.ErrExist when something has it.
func (h *handle) renameNew(from, to string) error { return h.renameByLink(from, to) }

// names calls fn for each entry of h, in the file system's own order, until it returns false.
func (h *handle) names(fn func(name []byte, k kind) bool) error {
	again, err := h.sub(".") // with a place of its own
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(again.fd()), h.name)
	defer f.Close()
	for {
		list, err := f.ReadDir(1024)
		for _, e := range list {
			if !fn([]byte(e.Name()), modeKind(e.Type())) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyTo copies at most n bytes. It returns io.EOF when the source ends before.
func (s *sourceFile) copyTo(to *os.File, n int64) (int64, error) { return io.CopyN(to, s.file(), n) }
