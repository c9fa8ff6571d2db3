package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/internal/testbed"
)

// shellWorld is a project and a program dsrun on the PATH; it returns the folder and an environment.
func shellWorld(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, ".bin")
	for _, d := range []string{bin, filepath.Join(dir, "data/2024"), filepath.Join(dir, "env")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "dsrun"), []byte("#!/bin/sh\nDSRUN_TEST_CHILD=1 exec '"+exe+"' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "dsrun.hcl", "variable \"folder\" {\n  default = \"data\"\n}\n\ndatastore \"local\" \"raw\" {\n  path = var.folder\n  mode = \"read\"\n}\n\n"+
		"datastore \"local\" \"rare\" {\n  path   = \"none\"\n  create = true\n}\n\ntopic \"file\" \"events\" {\n  path = \"events.jsonl\"\n}\n")
	write(t, dir, "check.star", "def main(max_bad = 3):\n    print(max_bad)\n")
	write(t, dir, "env/prod.dsvars.hcl", "folder = \"data\"\n")
	write(t, dir, "data/README.md", "read me\n")
	write(t, dir, "data/2024/a.csv", "n\n1\n")
	write(t, dir, "data/2024/b c.csv", "n\n2\n")
	write(t, dir, "data/2024/esc\x1b[31m.csv", "n\n3\n")
	return dir, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "XDG_STATE_HOME=" + filepath.Join(dir, ".state"), "TMPDIR=" + os.TempDir()}
}

// TestCompletionInShells types half of command lines into real shells and presses Tab.
func TestCompletionInShells(t *testing.T) {
	for shell, start := range map[string][]string{
		"bash": {"bash", "--norc", "--noprofile", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
		"fish": {"fish", "--no-config", "-i"},
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			program := testbed.Program(t, shell)
			dir, env := shellWorld(t)
			term := testbed.NewTerminal(t, 100, 30, dir, append(env, "PS1=$ ", "fish_greeting=", "SHELL="+program), append([]string{program}, start[1:]...)...)
			n := 0
			ready := func() {
				t.Helper()
				n++
				term.Press("C-u")
				term.Type(fmt.Sprintf("clear; echo rea''dy%d", n))
				term.Press("Enter")
				term.Wait("ready", func(s string) bool { return strings.HasSuffix(s, fmt.Sprintf("ready%d\n$", n)) })
			}
			setup := map[string]string{
				"bash": "source <(dsrun completion bash)",
				"zsh":  "PS1='$ '; autoload -U compinit; compinit -D; source <(dsrun completion zsh)",
				"fish": "set -g fish_autosuggestion_enabled 0; function fish_prompt; echo '$ '; end; dsrun completion fish | source",
			}[shell]
			term.Type(setup)
			term.Press("Enter")
			ready()
			for _, c := range []struct{ typed, want string }{
				{"dsrun publ", "$ dsrun publish"},
				{"dsrun cat raw:REA", "$ dsrun cat raw:README.md"},
				{"dsrun cat raw:20", "$ dsrun cat raw:2024/"},
				{"dsrun cat raw:2024/a", "$ dsrun cat raw:2024/a.csv"},
				{"dsrun ls -l rar", "$ dsrun ls -l rare:"},
				{"dsrun cp raw:README.md rar", "$ dsrun cp raw:README.md rare:"},
				{"dsrun cp raw:README.md ./da", "$ dsrun cp raw:README.md ./data/"},
				{"dsrun publish ev", "$ dsrun publish events"},
				{"dsrun run che", "$ dsrun run check.star"},
				{"dsrun run check.star --max", "$ dsrun run check.star --max-bad"},
				{"dsrun sync --dele", "$ dsrun sync --delete"},
				{"dsrun ls --env pr", "$ dsrun ls --env prod"},
				{"dsrun docs store.cop", "$ dsrun docs store.copy"},
				{"dsrun schema datastore azure_b", "$ dsrun schema datastore azure_blob"},
			} {
				term.Type(c.typed)
				term.Press("Tab")
				term.Wait(c.want, func(s string) bool {
					for _, line := range strings.Split(s, "\n") {
						if line == c.want || strings.HasPrefix(line, c.want+" ") {
							return true
						}
					}
					return false
				})
				ready()
			}
			// A folder goes on, an object is the end of its word.
			for typed, want := range map[string]string{"dsrun cat raw:20\ta": "$ dsrun cat raw:2024/a", "dsrun cat raw:REA\t-": "$ dsrun cat raw:README.md -"} {
				before, after, _ := strings.Cut(typed, "\t")
				term.Type(before)
				term.Press("Tab")
				term.Wait("the word", func(s string) bool { return !strings.HasSuffix(s, before) })
				term.Type(after)
				term.WaitEnd(want)
				ready()
			}
			// A name with a blank arrives whole at the program, and what drives a terminal is not offered.
			term.Type("dsrun cat raw:2024/b")
			term.Press("Tab")
			term.Wait("the name with a blank", func(s string) bool { return strings.Contains(s, "c.csv") })
			term.Press("Enter")
			term.Wait("its rows", func(s string) bool { return strings.Contains(s, "\nn\n2\n") })
			ready()
			term.Type("dsrun cat raw:2024/e")
			term.Press("Tab")
			time.Sleep(time.Second)
			if s := term.Screen(); strings.Contains(s, "31m") {
				t.Errorf("a name with control characters is offered:\n%s", s)
			}
		})
	}
}

func complete(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	w := testWorld(dir, append([]string{"__complete"}, args...))
	var out bytes.Buffer
	w.Stdout = &out
	if code := Main(w); code != 0 {
		t.Errorf("%q: exit code %d", args, code)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	var got []string
	for _, l := range lines[:len(lines)-1] {
		word, _, _ := strings.Cut(l, "\t")
		got = append(got, word)
	}
	return got
}

// TestCompletionAnswers: what is offered, and that a look neither makes a folder nor fails on a broken configuration.
func TestCompletionAnswers(t *testing.T) {
	dir, _ := shellWorld(t)
	for args, want := range map[string]string{
		"cat|": "raw: rare:", "cat|raw:": "raw:2024/ raw:README.md", "cat|raw:2024/": "raw:2024/a.csv raw:2024/b c.csv", "cat|nothere:": "", "cat|raw:zz": "",
		"ls|raw:|": "", "cp|raw:README.md|ra": "raw: rare:", "cat|rare:": "", "publish|": "events", "events|flush|": "events",
		"--var|": "folder=", "--env|": "prod", "--log-level|": "debug info warn error", "schema|": "settings credential datastore topic script",
		"completion|": "bash zsh fish", "cp|--overwrite|": "never if_changed always", "docs|datastore|s": "s3 sftp",
	} {
		if got := strings.Join(complete(t, dir, strings.Split(args, "|")...), " "); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a look has made the folder of a datastore")
	}
	write(t, dir, "broken.hcl", "datastore \"local\" {\n")
	if got := complete(t, dir, "-c", "broken.hcl", "cat", ""); len(got) > 0 {
		t.Errorf("a broken configuration offers %q", got)
	}
	if got := complete(t, dir, "docs", "lin"); !slices.Contains(got, "lint") {
		t.Errorf("docs lin: %q", got)
	}
}

// TestCompletionIsBounded: a service that accepts and never answers holds a shell up for two seconds at the most.
func TestCompletionIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked <- struct{}{}
			defer c.Close()
		}
	}()
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", fmt.Sprintf("credential \"aws\" \"none\" {\n  method = \"anonymous\"\n}\n\ndatastore \"s3\" \"far\" {\n  bucket = \"far\"\n  region = \"us-east-1\"\n  endpoint = \"http://%s\"\n  credential = credential.aws.none\n}\n", l.Addr()))
	start := time.Now()
	if got := complete(t, dir, "cat", "far:"); len(got) > 0 {
		t.Errorf("offered %q", got)
	}
	if took := time.Since(start); took > shellTime+2*time.Second {
		t.Errorf("it took %v", took)
	}
	select {
	case <-asked:
	default:
		t.Error("the service was not asked")
	}
}
