package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test program is its own server when this is set.
const asServer = "TESTBED_TEST_SERVER"

func TestMain(m *testing.M) {
	switch mode := os.Getenv(asServer); mode {
	case "":
		os.Exit(m.Run())
	case "ends":
		fmt.Println("no licence")
		os.Exit(3)
	default:
		if len(os.Args) > 1 && os.Args[1] == "-version" {
			fmt.Println("9.9.9")
			os.Exit(0)
		}
		fmt.Println("home is", os.Getenv("HOME"))
		time.Sleep(100 * time.Millisecond)
		if mode == "deaf" {
			signal.Ignore(syscall.SIGTERM)
		}
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, os.Getenv("CANARY")) })
		fmt.Println(http.ListenAndServe(os.Args[1], nil))
	}
}

func fake(t *testing.T, mode string) Server {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Server{
		Name:    "fake",
		Command: func(testing.TB, *Instance) []string { return []string{self} },
		Args:    func(i *Instance) []string { return []string{i.Addr} },
		Env:     func(i *Instance) []string { return []string{asServer + "=" + mode} },
		Ready:   Answers("/"),
	}
}

func TestStartAndStop(t *testing.T) {
	t.Setenv("CANARY", "a developer's secret")
	log := filepath.Join(t.TempDir(), "used.log")
	t.Setenv("DSRUN_TESTBED_LOG", log)
	var i *Instance
	t.Run("running", func(t *testing.T) {
		i = fake(t, "serves").Start(t)
		resp, err := http.Get(i.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); len(b) > 0 {
			t.Errorf("the environment reaches the server: %q", b)
		}
		if !strings.Contains(i.Output(), "home is "+i.Dir) {
			t.Errorf("the server's home is not its folder: %q", i.Output())
		}
		j := fake(t, "serves").Start(t)
		if j.Addr == i.Addr || j.Dir == i.Dir {
			t.Error("two servers share a port or a folder")
		}
		http.DefaultClient.CloseIdleConnections()
	})
	if c, err := net.DialTimeout("tcp", i.Addr, time.Second); err == nil {
		c.Close()
		t.Error("the server still runs after the test that started it")
	}
	if _, err := os.Stat(i.Dir); err == nil {
		t.Error("the server's folder is still there")
	}
	if b, err := os.ReadFile(log); err != nil || string(b) != "fake\nfake\n" {
		t.Errorf("the log says %q, %v", b, err)
	}
}

func TestServerThatWillNotStop(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signals to ignore")
	}
	i := fake(t, "deaf").Start(t)
	begin := time.Now()
	i.Stop()
	if took := time.Since(begin); took < 4*time.Second || took > 9*time.Second {
		t.Errorf("a server that ignores SIGTERM was ended after %v", took)
	}
	if i.cmd.Process.Signal(syscall.Signal(0)) == nil {
		t.Error("it still runs")
	}
}

// recorded runs f as a test and returns how it ended.
func recorded(t *testing.T, f func(testing.TB)) (skipped, failed bool, text string) {
	r := &recordTB{TB: t}
	done := make(chan struct{})
	go func() { defer close(done); f(r) }()
	<-done
	return r.skipped, r.failed, r.text
}

type recordTB struct {
	testing.TB
	skipped, failed bool
	text            string
}

func (r *recordTB) Helper()                   {}
func (r *recordTB) Logf(f string, a ...any)   { r.text += fmt.Sprintf(f, a...) + "\n" }
func (r *recordTB) Skipf(f string, a ...any)  { r.Logf(f, a...); r.skipped = true; runtime.Goexit() }
func (r *recordTB) Fatalf(f string, a ...any) { r.Logf(f, a...); r.failed = true; runtime.Goexit() }
func (r *recordTB) Fatal(a ...any)            { r.Logf("%s", fmt.Sprint(a...)); r.failed = true; runtime.Goexit() }

func TestMissingProgram(t *testing.T) {
	s := Server{Name: "none", Program: "no-such-program-of-the-testbed"}
	log := filepath.Join(t.TempDir(), "used.log")
	t.Setenv("DSRUN_TESTBED_LOG", log)
	t.Setenv("DSRUN_TESTBED", "")
	if skipped, failed, text := recorded(t, func(t testing.TB) { s.Start(t) }); !skipped || failed || !strings.Contains(text, "no-such-program") {
		t.Errorf("a missing program: skipped %v, failed %v: %s", skipped, failed, text)
	}
	t.Setenv("DSRUN_TESTBED", "require")
	if skipped, failed, _ := recorded(t, func(t testing.TB) { s.Start(t) }); skipped || !failed {
		t.Errorf("a missing program that is required: skipped %v, failed %v", skipped, failed)
	}
	if b, _ := os.ReadFile(log); !strings.Contains(string(b), "skipped no-such-program") {
		t.Errorf("the log says %q", b)
	}
}

// A server that is there and does not work is a failure, not a skip.
func TestServerThatEnds(t *testing.T) {
	skipped, failed, text := recorded(t, func(t testing.TB) { fake2(t, "ends").Start(t) })
	if skipped || !failed || !strings.Contains(text, "no licence") || !strings.Contains(text, "exit status 3") {
		t.Errorf("skipped %v, failed %v: %s", skipped, failed, text)
	}
}

func fake2(t testing.TB, mode string) Server { return fake(t.(*recordTB).TB.(*testing.T), mode) }

func TestServerThatIsNeverReady(t *testing.T) {
	s := fake(t, "serves")
	s.Patience = 200 * time.Millisecond
	s.Ready = func(context.Context, *Instance) error { return errors.New("still asleep") }
	_, failed, text := recorded(t, func(t testing.TB) { s.Start(t) })
	if !failed || !strings.Contains(text, "still asleep") {
		t.Errorf("failed %v: %s", failed, text)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "some-tool"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DSRUN_TESTBED_BIN", dir)
	if runtime.GOOS != "windows" {
		if got := Program(t, "some-tool"); got != filepath.Join(dir, "some-tool") {
			t.Errorf("found %s", got)
		}
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "testbed", "find.go")); err != nil {
		t.Errorf("%s is not the module's root: %v", root, err)
	}
}

func TestToxiproxy(t *testing.T) {
	i := Toxiproxy.Start(t)
	resp, err := http.Get(i.URL + "/proxies")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}
