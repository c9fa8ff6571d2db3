package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/starlib"
)

// TestStubsInPyright has Pyright, which is what VS Code and others check Python with, judge scripts by the stubs, as the
// README says to set it up: what is right passes, mistakes are found in their places.
func TestStubsInPyright(t *testing.T) {
	pyright := testbed.Program(t, "pyright")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := testWorld(dir, []string{"schema", "--stubs"})
	var out bytes.Buffer
	w.Stdout = &out
	if code := Main(w); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	write("__builtins__.pyi", out.String())
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile("(?s)pyrightconfig.json`.*?```json\n(.*?)```").FindSubmatch(readme)
	if config == nil || !json.Valid(config[1]) {
		t.Fatal("the README shows no pyrightconfig.json")
	}
	write("pyrightconfig.json", string(config[1]))
	scripts, err := filepath.Glob("../../examples/*.star")
	if err != nil || len(scripts) < 2 {
		t.Fatalf("%v: %v", scripts, err)
	}
	scripts = slices.DeleteFunc(scripts, func(s string) bool { return strings.HasSuffix(s, "_test.star") }) // they use assert, a keyword of Python
	for _, s := range scripts {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		write(strings.TrimSuffix(filepath.Base(s), ".star")+".py", string(b))
	}
	examples := 0
	for i, f := range starlib.Functions() {
		if f.Example != "" && !strings.HasPrefix(f.Name, "assert.") {
			examples++
			write(fmt.Sprintf("doc_%03d.py", i), "# "+f.Name+"\n"+f.Example+"\n")
		}
	}
	write("bad.py", `def main(n = 1):
    ds.raw.reed("x")
    ds.raw.list(patern = "x")
    nothing()
    ds.raw.write("a", [], overwrite = "yes")
    topics.events.publish()
    return ds.raw.stat("a").sise
`)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, pyright, "--outputjson", ".")
	cmd.Dir = dir          // the top of the project, where the stubs are looked for
	raw, _ := cmd.Output() // it fails when it finds something
	var report struct {
		General []struct {
			File     string `json:"file"`
			Severity string `json:"severity"`
			Message  string `json:"message"`
			Range    struct {
				Start struct {
					Line int `json:"line"` // from 0
				} `json:"start"`
			} `json:"range"`
		} `json:"generalDiagnostics"`
		Summary struct {
			Files int `json:"filesAnalyzed"`
		} `json:"summary"`
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatalf("%v in %.500s", err, raw)
	}
	if want := len(scripts) + examples + 2; report.Summary.Files != want {
		t.Errorf("%d files were judged, want %d", report.Summary.Files, want)
	}
	var lines []int
	for _, d := range report.General {
		name := filepath.Base(d.File)
		if name == "bad.py" {
			lines = append(lines, d.Range.Start.Line+1)
			continue
		}
		text, _ := os.ReadFile(d.File)
		at := strings.Split(string(text), "\n")
		t.Errorf("%s (%s) line %d: %s: %s\n%s", name, at[0], d.Range.Start.Line+1, d.Severity, d.Message, at[min(d.Range.Start.Line, len(at)-1)])
	}
	if want := []int{2, 3, 4, 5, 6, 7}; !slices.Equal(lines, want) {
		t.Errorf("mistakes are found on the lines %v, want %v", lines, want)
	}
}
