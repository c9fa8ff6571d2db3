//go:build linux || darwin

package httpclient

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes the kernel may hold of what was not sent yet.
const unsent = 256 << 10

// boundUnsent keeps the kernel from taking megabytes that a slow connection then needs minutes for: the request would
// count as sent, and the wait for its reply as a stall.
func boundUnsent(c syscall.RawConn) {
	if c == nil {
		return
	}
	// Where the option is not known the default stays.
	_ = c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}
