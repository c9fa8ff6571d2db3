package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamples validates every configuration and runs every script of examples/, in a copy of it.
func TestExamples(t *testing.T) {
	dir := copyExamples(t)
	configs, _ := filepath.Glob(filepath.Join(dir, "*.hcl"))
	scripts, _ := filepath.Glob(filepath.Join(dir, "*.star"))
	if len(configs) < 2 || len(scripts) < 2 {
		t.Fatalf("found %d configurations and %d scripts", len(configs), len(scripts))
	}
	for _, c := range configs {
		t.Run(filepath.Base(c), func(t *testing.T) {
			mustRun(t, dir, "validate", "-c", c)
			mustRun(t, dir, "fmt", "--check", c)
		})
	}
	for _, s := range scripts {
		t.Run(filepath.Base(s), func(t *testing.T) {
			if strings.HasSuffix(s, testSuffix) {
				if out := mustRun(t, dir, "test", s); !strings.Contains(out, " 0 failed") || strings.Contains(out, "0 passed") {
					t.Errorf("got %s", out)
				}
			} else {
				mustRun(t, dir, "run", s)
			}
			mustRun(t, dir, "fmt", "--check", s)
		})
	}
}

func copyExamples(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "examples")
	if err := os.CopyFS(dir, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mustRun runs a command line in process and returns what it printed.
func mustRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	w := testWorld(dir, args)
	var out, errs bytes.Buffer
	w.Stdout, w.Stderr = &out, &errs
	if code := Main(w); code != 0 {
		t.Fatalf("dsrun %s: exit code %d\n%s%s", strings.Join(args, " "), code, &out, &errs)
	}
	return out.String()
}

var (
	block   = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")
	command = regexp.MustCompile(`(?m)^    go run \./cmd/dsrun (.*)$`)
)

// TestReadme runs what the README shows: its commands in order, its configuration, and its script against a store in
// memory.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(copyExamples(t))
	commands := command.FindAllStringSubmatch(string(readme), -1)
	if len(commands) < 4 {
		t.Fatalf("found %d commands", len(commands))
	}
	for _, c := range commands {
		if out := mustRun(t, dir, strings.Fields(c[1])...); out == "" {
			t.Errorf("dsrun %s printed nothing", c[1])
		}
	}
	seen := map[string]int{}
	for _, b := range block.FindAllStringSubmatch(string(readme), -1) {
		lang, text := b[1], b[2]
		seen[lang]++
		work := t.TempDir()
		switch lang {
		case "hcl":
			write(t, work, "dsrun.hcl", text)
			mustRun(t, work, "validate")
		case "python":
			if err := os.Mkdir(filepath.Join(work, "in"), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(work, "in"), "a.csv", "item,price\nx,1.5\ny,2\nz,-1\n")
			write(t, work, "dsrun.hcl", "datastore \"memory\" \"raw\" {\n  fixtures = \"in\"\n}\ndatastore \"memory\" \"clean\" {}\ntopic \"file\" \"events\" {\n  path = \"events.jsonl\"\n}\n")
			write(t, work, "readme.star", text)
			mustRun(t, work, "run", "readme.star")
			events, err := os.ReadFile(filepath.Join(work, "events.jsonl"))
			if err != nil || !strings.Contains(string(events), `"data":{"bad":1}`) {
				t.Errorf("events: %s %v", events, err)
			}
		}
	}
	if seen["hcl"] == 0 || seen["python"] == 0 {
		t.Errorf("blocks: %v", seen)
	}
}
