package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const utimeOmit = unix.UTIME_OMIT

// renameNew gives an entry a name that nothing has; fs.ErrExist when something has it.
func (h *handle) renameNew(from, to string) error {
	err := again(func() error { return unix.Renameat2(h.fd(), from, h.fd(), h.as(to), unix.RENAME_NOREPLACE) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return h.renameByLink(from, to)
	}
	return pathError("rename", to, err)
}

// names calls fn for each entry of h, in the file system's own order, until it returns false. name is valid until fn
// returns. It reads linux_dirent64 records (getdents64(2)): inode 8 bytes, offset 8, length of the record 2, type 1, name.
func (h *handle) names(fn func(name []byte, k kind) bool) error {
	if _, err := unix.Seek(h.fd(), 0, 0); err != nil {
		return pathError("read", h.name, err)
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		err := again(func() (err error) { n, err = unix.Getdents(h.fd(), buf); return err })
		if err != nil {
			return pathError("read", h.name, err)
		}
		if n == 0 {
			return nil
		}
		for b := buf[:n]; len(b) > 0; {
			size := binary.NativeEndian.Uint16(b[16:])
			name, kind := b[19:size], direntKind(b[18])
			b = b[size:]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			if s := string(name); s == "." || s == ".." { // (the compiler makes no copy here)
				continue
			}
			if !fn(name, kind) {
				return nil
			}
		}
	}
}

func direntKind(t byte) kind {
	switch t {
	case unix.DT_REG:
		return kindFile
	case unix.DT_DIR:
		return kindFolder
	case unix.DT_LNK:
		return kindLink
	case unix.DT_UNKNOWN:
		return kindUnknown
	}
	return kindOther
}

// copyTo copies at most n bytes within the kernel, on file systems that share blocks without moving one. It returns
// io.EOF when the source ends before.
func (s *sourceFile) copyTo(to *os.File, n int64) (done int64, err error) {
	if s.f == nil {
		for done < n {
			// The kernel takes no more than 2 GiB less a page at once.
			got, err := unix.CopyFileRange(s.n, nil, int(to.Fd()), nil, int(min(n-done, 1<<30)), 0)
			runtime.KeepAlive(to)
			switch {
			case err == unix.EINTR:
			case err != nil && done == 0: // not between these file systems, or not at all: as bytes then
				goto bytes
			case err != nil:
				return done, pathError("copy", s.name, err)
			case got == 0 && done == 0: // some file systems in memory or in the kernel give nothing this way
				goto bytes
			case got == 0:
				return done, io.EOF
			}
			done += int64(max(got, 0))
		}
		return done, nil
	}
bytes:
	return io.CopyN(to, s.file(), n)
}
