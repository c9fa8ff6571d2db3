//go:build darwin || freebsd

package local

import (
	"os"
	"syscall"
	"time"
)

// infoFacts takes the facts out of what the os package found.
func infoFacts(info os.FileInfo) facts {
	st := info.Sys().(*syscall.Stat_t)
	return facts{kind: modeKind(info.Mode()), dev: uint64(st.Dev), ino: uint64(st.Ino), links: uint64(st.Nlink), size: st.Size,
		mtime: time.Unix(st.Mtimespec.Unix()), ctime: time.Unix(st.Ctimespec.Unix())}
}
