package testbed

import (
	"os/exec"
	"syscall"
)

// own makes the server a group of its own that dies with this process, also when a test is killed.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap ends what the server started and left.
func reap(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
