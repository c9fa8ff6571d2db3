package testbed

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a program that tests can start.
type Server struct {
	Name     string                                       // what the summary calls it
	Program  string                                       // its file name; "" means Name
	Command  func(t testing.TB, i *Instance) []string     // instead of Program: program and first arguments, such as python3 -m; it may skip
	Args     func(i *Instance) []string                   // arguments, given the instance's port and folder
	Env      func(i *Instance) []string                   // NAME=value besides PATH, HOME (the instance's folder) and TMPDIR
	Version  []string                                     // arguments that make it print its version; nil means that it has none
	Ready    func(ctx context.Context, i *Instance) error // asked until it gives nil; nil means that its port accepts
	Setup    func(ctx context.Context, i *Instance) error // before the start: prepares files in i.Dir
	Patience time.Duration                                // for Ready; 0 means 30 s
}

// Instance is a server that runs. Its port and folder are its own; it ends with the test that started it.
type Instance struct {
	Addr string // 127.0.0.1:port
	Port int
	Dir  string // empty at first, gone after the test
	URL  string // http://Addr

	server Server
	cmd    *exec.Cmd
	out    *tail
	done   chan struct{} // closed when the process has ended
}

// Start starts the server for the test, and ends it with the test.
func (s Server) Start(t testing.TB) *Instance {
	t.Helper()
	var last error
	for range 3 { // a port that was free may be taken before the server has it
		i := &Instance{server: s, Dir: t.TempDir(), out: &tail{}, done: make(chan struct{})}
		command := s.command(t, i)
		if last = i.start(t, command); last == nil {
			note(strings.TrimSpace(s.Name + " " + s.version(command)))
			t.Cleanup(func() {
				i.Stop()
				if t.Failed() {
					t.Logf("the last output of %s:\n%s", s.Name, i.out)
				}
			})
			return i
		}
		t.Logf("%v; its output:\n%s", last, i.out)
	}
	t.Fatal(last)
	return nil
}

func (s Server) command(t testing.TB, i *Instance) []string {
	t.Helper()
	if s.Command != nil {
		return s.Command(t, i)
	}
	name := s.Program
	if name == "" {
		name = s.Name
	}
	return []string{Program(t, name)}
}

func (i *Instance) start(t testing.TB, command []string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	i.Port, i.Addr = port, fmt.Sprintf("127.0.0.1:%d", port)
	i.URL = "http://" + i.Addr
	patience := i.server.Patience
	if patience == 0 {
		patience = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if i.server.Setup != nil {
		if err := i.server.Setup(ctx, i); err != nil {
			return fmt.Errorf("%s: setup: %w", i.server.Name, err)
		}
	}
	args := command[1:]
	if i.server.Args != nil {
		args = append(args[:len(args):len(args)], i.server.Args(i)...)
	}
	i.cmd = exec.Command(command[0], args...)
	i.cmd.Dir = i.Dir
	// Nothing of the developer's own settings and credentials reaches a server.
	i.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.Dir, "TMPDIR=" + i.Dir, "LANG=C.UTF-8"}
	if i.server.Env != nil {
		i.cmd.Env = append(i.cmd.Env, i.server.Env(i)...)
	}
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.out
	i.cmd.WaitDelay = 5 * time.Second // a grandchild that keeps the pipe open must not hold the test
	own(i.cmd)
	if err := i.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", i.server.Name, err)
	}
	go func() { i.cmd.Wait(); close(i.done) }()
	if err := i.wait(ctx); err != nil {
		i.Stop()
		return err
	}
	return nil
}

// wait asks until the server is ready, has ended or ctx ends.
func (i *Instance) wait(ctx context.Context) error {
	ready := i.server.Ready
	if ready == nil {
		ready = Accepts
	}
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		last = ready(try, i)
		cancel()
		select {
		case <-i.done:
			return fmt.Errorf("%s ended at its start: %v", i.server.Name, i.cmd.ProcessState)
		default:
		}
		if last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", i.server.Name, last)
		case <-time.After(20 * time.Millisecond):
		case <-i.done:
		}
	}
}

// Stop ends the server: it is asked first and killed after 5 s.
func (i *Instance) Stop() {
	if i.cmd == nil || i.cmd.Process == nil {
		return
	}
	i.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-i.done:
	case <-time.After(5 * time.Second):
		i.cmd.Process.Kill()
		<-i.done
	}
	reap(i.cmd)
}

// Kill ends the server at once, as a crash would.
func (i *Instance) Kill() {
	i.cmd.Process.Kill()
	<-i.done
}

// Output returns the last of what the server printed.
func (i *Instance) Output() string { return i.out.String() }

// Path returns a path in the instance's folder.
func (i *Instance) Path(name string) string { return filepath.Join(i.Dir, name) }

// Accepts is a Ready that asks whether the port accepts connections.
func Accepts(ctx context.Context, i *Instance) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", i.Addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// Answers returns a Ready that asks for any HTTP answer below 500 at the path.
func Answers(path string) func(ctx context.Context, i *Instance) error {
	return func(ctx context.Context, i *Instance) error {
		req, err := http.NewRequestWithContext(ctx, "GET", i.URL+path, nil)
		if err != nil {
			return err
		}
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			return fmt.Errorf("%s answers %s", path, resp.Status)
		}
		return nil
	}
}

// version returns the first line that the program prints for its version.
func (s Server) version(command []string) string {
	if s.Version == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], s.Version...)...).CombinedOutput()
	if err != nil {
		return "(version unknown)"
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}

// freePort returns a port that nothing listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// tail keeps the last 32 KiB written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - 32<<10; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
