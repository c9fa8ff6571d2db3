//go:build !linux && !darwin

package httpclient

import "syscall"

func boundUnsent(syscall.RawConn) {}
