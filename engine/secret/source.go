package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// MaxSize is the largest secret, in bytes, that a source yields.
const MaxSize = 1 << 20

// File reads a secret from the file name below root, without the line end that editors put at its end. exposed says
// that other users of the machine may read the file, which deserves a warning: mounted secrets are often like that.
func File(root *os.Root, name string) (v String, exposed bool, err error) {
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return String{}, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return String{}, false, err
	}
	if !info.Mode().IsRegular() {
		return String{}, false, &os.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return String{}, false, err
	}
	if len(b) > MaxSize {
		return String{}, false, &os.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d bytes", MaxSize)}
	}
	return New(trimLineEnd(string(b))), info.Mode().Perm()&0o077 != 0, nil
}

func trimLineEnd(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return strings.TrimSuffix(s, "\r")
}

// ExecOptions say how a command that prints a secret is run.
type ExecOptions struct {
	Dir      string        // the command's working folder; names with a slash are relative to it
	Env      []string      // its whole environment, "NAME=value"; PATH of it is where the command is looked for
	Timeout  time.Duration // 0 means 30 s
	Redactor *Redactor     // cleans what the command says on its standard error
}

// maxStderr is how many bytes of a command's standard error an error shows.
const maxStderr = 400

// Exec runs the command argv, without a shell and without input, and returns what it prints on its standard output
// without the line end. The command and the processes that it started in its group are killed when ctx or the time
// ends, or when it prints more than MaxSize bytes.
func Exec(ctx context.Context, argv []string, o ExecOptions) (String, error) {
	if len(argv) == 0 || argv[0] == "" {
		return String{}, errors.New("no command given")
	}
	name := filepath.Base(argv[0]) // arguments may hold secrets: errors do not show them
	path, err := lookPath(argv[0], o)
	if err != nil {
		return String{}, fmt.Errorf("run %q: %w", name, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	tooLong := fmt.Errorf("no answer within %v: %w", o.Timeout, context.DeadlineExceeded)
	ctx, cancelTime := context.WithTimeoutCause(ctx, o.Timeout, tooLong)
	defer cancelTime()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout := &capped{max: MaxSize, full: func() { cancel(fmt.Errorf("printed more than %d bytes", MaxSize)) }}
	stderr := &capped{max: MaxSize}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.Dir, stdout, stderr
	cmd.Env = append([]string{}, o.Env...) // not nil, which would mean this process's environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	value := trimLineEnd(stdout.b.String())
	if cause := context.Cause(ctx); cause != nil {
		return String{}, fmt.Errorf("run %q: %w", name, cause)
	}
	if err != nil {
		// What it printed before it failed may be the secret, or a part of it.
		own := NewRedactor()
		own.Add(value)
		said := cut(strings.TrimSpace(o.Redactor.Redact(own.Redact(stderr.b.String()))), maxStderr)
		if said != "" {
			return String{}, fmt.Errorf("run %q: %w: %s", name, err, said)
		}
		return String{}, fmt.Errorf("run %q: %w", name, err)
	}
	if value == "" {
		return String{}, fmt.Errorf("run %q: it printed nothing", name)
	}
	return New(value), nil
}

// lookPath finds the command in the PATH of the command's own environment. Relative folders of PATH are passed over:
// what stands in the working folder is not run by its bare name.
func lookPath(name string, o ExecOptions) (string, error) {
	if strings.Contains(name, "/") {
		if filepath.IsAbs(name) || o.Dir == "" {
			return name, nil
		}
		return filepath.Join(o.Dir, name), nil
	}
	for _, kv := range o.Env {
		list, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if !filepath.IsAbs(dir) {
				continue
			}
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", exec.ErrNotFound
}

// cut shortens s to at most n bytes at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + " ..."
}

// capped keeps the first max bytes and calls full once when there are more.
type capped struct {
	b    bytes.Buffer
	max  int
	full func()
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.max - c.b.Len(); len(p) > room {
		c.b.Write(p[:room])
		if c.full != nil {
			c.full()
			c.full = nil
		}
		return len(p), nil
	}
	return c.b.Write(p)
}
