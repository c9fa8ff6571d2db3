package secret

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
		exposed bool
	}{
		"plain":   {"s3cret", 0o600, "s3cret", false},
		"newline": {"s3cret\n", 0o600, "s3cret", false},
		"crlf":    {"s3cret\r\n", 0o600, "s3cret", false},
		"two":     {"s3cret\n\n", 0o600, "s3cret\n", false},
		"group":   {"s3cret", 0o640, "s3cret", true},
		"all":     {"s3cret", 0o644, "s3cret", true},
		"empty":   {"", 0o600, "", false},
		"largest": {strings.Repeat("x", MaxSize), 0o600, strings.Repeat("x", MaxSize), false},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), c.mode); err != nil {
			t.Fatal(err)
		}
		v, exposed, err := File(root, name)
		if err != nil || v.Reveal() != c.want || exposed != c.exposed {
			t.Errorf("%s: %d bytes, exposed %v, %v", name, len(v.Reveal()), exposed, err)
		}
	}
}

func TestFileRefuses(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := errors.Join(os.Mkdir(below, 0o700), os.WriteFile(filepath.Join(dir, "outside"), []byte("x"), 0o600),
		os.Symlink("../outside", filepath.Join(below, "link")), syscall.Mkfifo(filepath.Join(below, "pipe"), 0o600),
		os.Mkdir(filepath.Join(below, "folder"), 0o700),
		os.WriteFile(filepath.Join(below, "big"), make([]byte, MaxSize+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(below)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"absent", "../outside", "link", "pipe", "folder", "big", filepath.Join(dir, "outside")} {
		done := make(chan error, 1)
		go func() { _, _, err := File(root, name); done <- err }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s was read", name)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: still waiting", name)
		}
	}
}

// TestMain lets the test binary be the command that is run: no other program is needed.
func TestMain(m *testing.M) {
	switch os.Getenv("SECRET_TEST_COMMAND") {
	case "print":
		os.Stdout.WriteString(os.Getenv("SECRET_TEST_TEXT") + "\n")
		os.Exit(0)
	case "env":
		os.Stdout.WriteString(strings.Join(os.Environ(), " "))
		os.Exit(0)
	case "args":
		os.Stdout.WriteString(strings.Join(os.Args[1:], "|"))
		os.Exit(0)
	case "dir":
		d, _ := os.Getwd()
		os.Stdout.WriteString(d)
		os.Exit(0)
	case "fail":
		os.Stdout.WriteString("half-of-the-value")
		os.Stderr.WriteString("denied for token-canary with half-of-the-value " + strings.Repeat("ä", 5000))
		os.Exit(3)
	case "sleep":
		child := exec.Command(os.Args[0])
		child.Env = []string{"SECRET_TEST_COMMAND=linger"}
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		if f := os.Getenv("SECRET_TEST_PID"); f != "" {
			os.WriteFile(f, []byte(strconv.Itoa(child.Process.Pid)), 0o600)
		}
		time.Sleep(time.Minute)
	case "linger":
		time.Sleep(time.Minute)
	case "flood":
		for {
			if _, err := os.Stdout.Write(make([]byte, 64<<10)); err != nil {
				os.Exit(1)
			}
		}
	case "input":
		n, err := os.Stdin.Read(make([]byte, 1))
		os.Stdout.WriteString(strconv.Itoa(n) + " " + err.Error())
		os.Exit(0)
	default:
		os.Exit(m.Run())
	}
}

func run(t *testing.T, o ExecOptions, command string, args ...string) (String, error) {
	t.Helper()
	o.Env = append(o.Env, "SECRET_TEST_COMMAND="+command)
	return Exec(t.Context(), append([]string{os.Args[0]}, args...), o)
}

func TestExec(t *testing.T) {
	t.Setenv("AMBIENT_CANARY", "must-not-be-seen")
	dir, _ := filepath.EvalSymlinks(t.TempDir())
	for _, c := range []struct {
		name, command string
		o             ExecOptions
		args          []string
		want          string
	}{
		{"value", "print", ExecOptions{Env: []string{"SECRET_TEST_TEXT=a b\nc"}}, nil, "a b\nc"},
		{"environment", "env", ExecOptions{Env: []string{"A=1"}}, nil, "A=1 SECRET_TEST_COMMAND=env"},
		{"no shell", "args", ExecOptions{}, []string{"$HOME", "a;b", "`id`", "*"}, "$HOME|a;b|`id`|*"},
		{"folder", "dir", ExecOptions{Dir: dir}, nil, dir},
		{"input", "input", ExecOptions{}, nil, "0 EOF"},
	} {
		v, err := run(t, c.o, c.command, c.args...)
		if err != nil || v.Reveal() != c.want {
			t.Errorf("%s: %q, %v", c.name, v.Reveal(), err)
		}
	}
}

func TestExecFindsCommandInItsOwnPath(t *testing.T) {
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "give-secret")); err != nil {
		t.Fatal(err)
	}
	env := []string{"SECRET_TEST_COMMAND=print", "SECRET_TEST_TEXT=v"}
	if v, err := Exec(t.Context(), []string{"give-secret"}, ExecOptions{Env: append(env, "PATH=.:/nowhere:"+bin)}); err != nil || v.Reveal() != "v" {
		t.Errorf("%q %v", v.Reveal(), err)
	}
	t.Setenv("PATH", bin)
	if _, err := Exec(t.Context(), []string{"give-secret"}, ExecOptions{Env: env}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("found without a PATH of its own: %v", err)
	}
	if _, err := Exec(t.Context(), []string{"give-secret"}, ExecOptions{Env: append(env, "PATH=."), Dir: bin}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("found in the working folder: %v", err)
	}
	if v, err := Exec(t.Context(), []string{"./give-secret"}, ExecOptions{Env: env, Dir: bin}); err != nil || v.Reveal() != "v" {
		t.Errorf("relative name: %q %v", v.Reveal(), err)
	}
}

func TestExecFailure(t *testing.T) {
	r := NewRedactor()
	r.Add("token-canary", "arg-canary")
	_, err := run(t, ExecOptions{Redactor: r}, "fail", "--password=arg-canary")
	if err == nil {
		t.Fatal("no error")
	}
	s := err.Error()
	for _, bad := range []string{"canary", "half-of-the-value", "\ufffd"} {
		if strings.Contains(s, bad) {
			t.Errorf("%q shows %q", s, bad)
		}
	}
	if !strings.Contains(s, "exit status 3") || !strings.Contains(s, "denied for "+Mask) || len(s) > 600 {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	for name, argv := range map[string][]string{"no command": nil, "empty name": {""}, "absent": {"/nowhere/x"}} {
		if _, err := Exec(t.Context(), argv, ExecOptions{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := run(t, ExecOptions{}, "print"); err == nil {
		t.Error("an empty output is taken as a secret")
	}
}

func TestExecEnds(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	_, err := run(t, ExecOptions{Timeout: 300 * time.Millisecond, Env: []string{"SECRET_TEST_PID=" + pidFile}}, "sleep")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("time limit: %v after %v", err, time.Since(start))
	}
	if b, err := os.ReadFile(pidFile); err == nil { // the grandchild has gone too
		pid, _ := strconv.Atoi(string(b))
		for i := 0; alive(pid); i++ {
			if i > 100 {
				t.Fatal("a process that the command started is still there")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if _, err := run(t, ExecOptions{}, "flood"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("flood: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	start = time.Now()
	_, err = Exec(ctx, []string{os.Args[0]}, ExecOptions{Env: []string{"SECRET_TEST_COMMAND=linger"}})
	if !errors.Is(err, context.Canceled) || time.Since(start) > time.Second {
		t.Errorf("cancelled: %v after %v", err, time.Since(start))
	}
}

// alive reports whether a process runs; one that ended and was not waited for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}
