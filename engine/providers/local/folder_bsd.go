//go:build darwin || freebsd

package local

import "io"

// utimeOmit is UTIME_OMIT: the time of access stays as it is.
const utimeOmit = -2

// renameNew gives an entry a name that nothing has; fs.ErrExist when something has it.
func (h *handle) renameNew(from, to string) error { return h.renameByLink(from, to) }

// names calls fn for each entry of h, in the file system's own order, until it returns false.
func (h *handle) names(fn func(name []byte, k kind) bool) error {
	if _, err := h.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		list, err := h.f.ReadDir(1024)
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
