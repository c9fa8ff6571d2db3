package local

import (
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// Some file systems take two names for one file when they differ only in case (APFS, FAT, ext4 with casefold) or in how
// accents are composed (APFS, ZFS). There a key must not reach the file of another key, so that every name is compared
// with the names in its folder, byte by byte. It costs a read of the folder; other file systems never pay it.

// spelled refuses a name that exists in h only under another spelling.
func (d *Driver) spelled(h *handle, name string) error {
	if !d.folds.Load() {
		return nil
	}
	found := false
	err := h.names(func(n []byte, _ kind) bool {
		found = string(n) == name
		return !found
	})
	if err != nil || found {
		return err
	}
	return &spelling{name}
}

// spelling says that a name exists under another spelling. To a reader the key is absent; a writer is refused.
type spelling struct{ name string }

func (e *spelling) Error() string {
	return "the file system takes " + fault.Printable(e.name) + " for a name that differs only in case or in accents"
}

// foldsCase reports whether the first names with a letter in h can be reached in the other case. It changes nothing.
func foldsCase(h *handle) bool {
	folds, tries := false, 0
	h.names(func(n []byte, _ kind) bool {
		name := string(n)
		other := swapCase(name)
		if other == name {
			return true
		}
		tries++
		a, err := h.stat(name)
		if err != nil || a.kind == kindFile && a.links != 1 { // two names of one file prove nothing
			return tries < 8
		}
		b, err := h.stat(other)
		folds = err == nil && a.ino == b.ino && a.dev == b.dev
		return false
	})
	return folds
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// learnFolds looks at the new file temp in h whether names are folded there.
func (d *Driver) learnFolds(h *handle, temp, name string) {
	if _, err := h.stat(swapCase(temp)); err == nil {
		d.folds.Store(true)
	}
	if isASCII(name) {
		return
	}
	d.mu.Lock()
	asked := d.accents
	d.accents = true
	d.mu.Unlock()
	if !asked && foldsAccents(h) {
		d.folds.Store(true)
	}
}

// foldsAccents reports whether a name in h can be reached in another composition of its accents.
func foldsAccents(h *handle) bool {
	id := strings.TrimSuffix(newTemp(), tempEnd)
	f, err := h.create(id + composed + tempEnd)
	if err != nil {
		return false
	}
	f.Close()
	defer h.unlink(id + composed + tempEnd)
	_, err = h.stat(id + decomposed + tempEnd)
	return err == nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
