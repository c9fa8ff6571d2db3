package testbed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Terminal is a program that runs on a terminal of its own, made by tmux.
type Terminal struct {
	t    testing.TB
	tmux string
	sock string
}

// NewTerminal starts a command in a folder, on a terminal of the given size. The environment is env and nothing else. It
// ends with the test.
func NewTerminal(t testing.TB, width, height int, dir string, env []string, command ...string) *Terminal {
	t.Helper()
	// The path of a socket has 108 bytes at the most, and t.TempDir may be longer.
	sock, err := os.MkdirTemp("", "tmux")
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{t: t, tmux: Program(t, "tmux"), sock: filepath.Join(sock, "s")}
	t.Cleanup(func() {
		if t.Failed() {
			if out, err := term.try("capture-pane", "-p", "-S", "-200"); err == nil {
				t.Logf("the terminal at the end:\n%s", out)
			}
		}
		pid, _ := term.try("display-message", "-p", "#{pane_pid}")
		_, _ = term.try("kill-server") // of this socket alone
		if n, err := strconv.Atoi(strings.TrimSpace(pid)); err == nil {
			for range 250 { // what it does at its end is not to meet the removal of its folder
				if syscall.Kill(n, 0) != nil {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		_ = os.RemoveAll(sock)
	})
	config := filepath.Join(sock, "conf")
	if err := os.WriteFile(config, []byte("set -g remain-on-exit on\nset -g status off\nset -g history-limit 5000\nset -g default-terminal screen-256color\nset -s escape-time 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", config, "new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "-c", dir, "env", "-i", "TERM=screen-256color", "LC_ALL=C.UTF-8"}
	args = append(append(args, env...), command...)
	if out, err := term.try(args...); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	note("tmux")
	return term
}

func (x *Terminal) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, x.tmux, append([]string{"-S", x.sock, "-u"}, args...)...).CombinedOutput()
	return string(out), err
}

func (x *Terminal) do(args ...string) string {
	x.t.Helper()
	out, err := x.try(args...)
	if err != nil {
		x.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return out
}

// Type types a text.
func (x *Terminal) Type(text string) { x.t.Helper(); x.do("send-keys", "-l", "--", text) }

// Press presses keys by tmux's names, such as Enter, Tab, Up, C-c.
func (x *Terminal) Press(keys ...string) {
	x.t.Helper()
	x.do(append([]string{"send-keys"}, keys...)...)
}

// Screen returns what is to be seen and what has been, without blanks at the ends of lines and empty lines at the end.
// Lines that the terminal has wrapped are whole.
func (x *Terminal) Screen() string {
	x.t.Helper()
	return trimScreen(x.do("capture-pane", "-p", "-J", "-S", "-"))
}

func trimScreen(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// Wait waits until the screen fits, for 30 s at the most, and returns it.
func (x *Terminal) Wait(what string, fits func(screen string) bool) string {
	x.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s := x.Screen()
		if fits(s) {
			return s
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("after 30 s the terminal does not show %s:\n%s", what, s)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// WaitFor waits until the screen holds a text.
func (x *Terminal) WaitFor(text string) string {
	x.t.Helper()
	return x.Wait(text, func(s string) bool { return strings.Contains(s, text) })
}

// WaitEnd waits until the screen's last line is this.
func (x *Terminal) WaitEnd(line string) string {
	x.t.Helper()
	return x.Wait("the last line "+line, func(s string) bool { return s == line || strings.HasSuffix(s, "\n"+line) })
}
