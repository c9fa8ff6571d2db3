package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/internal/testbed"
)

var updateTour = flag.Bool("update", false, "write internal/docs/tour.md instead of comparing it")

//go:generate go test -run ^TestTour$ . -args -update

const tourPage = "../../internal/docs/tour.md"

// chapter is a part of the tour: what is said, and what is typed on a terminal of its own. All of them share one project
// and one home.
type chapter struct {
	title string
	text  string // what is on the screen at the end stands below it
	run   []string
	do    func(p *player)
}

// player types.
type player struct {
	*testbed.Terminal
	t *testing.T
}

// line types a line and waits for the prompt.
func (p *player) line(text, prompt string) {
	p.t.Helper()
	p.Type(text)
	p.Wait("what was typed", func(s string) bool { return strings.HasSuffix(s, strings.TrimRight(text, " ")) })
	p.Press("Enter")
	p.WaitEnd(prompt)
}

// shell types command lines.
func (p *player) shell(lines ...string) {
	p.t.Helper()
	for _, l := range lines {
		p.line(l, "$")
	}
}

// statements types statements at dsrun's own prompt.
func (p *player) statements(lines ...string) {
	p.t.Helper()
	for _, l := range lines {
		p.line(l, ">>>")
	}
}

var bashShell = []string{"bash", "--norc", "--noprofile", "-i"}
var replShell = []string{"dsrun", "repl"}

var tour = []chapter{
	{"Look around", "The example of the README: two folders, one topic. Nothing is opened by `validate`; `ls` and `cat` go through the same datastores as scripts do.", bashShell, func(p *player) {
		p.shell("dsrun validate quickstart.star", "dsrun ls", "dsrun ls -l raw:", "dsrun cat raw:birdstrikes.csv | head -2 | cut -c 1-72")
	}},
	{"Run a script", "The parameters of `main()` are flags.", bashShell, func(p *player) {
		p.shell("dsrun run quickstart.star --help", "dsrun run quickstart.star --max-bad 0.5", "dsrun ls clean:")
	}},
	{"Run it dry", "Nothing is written and nothing is sent; what would have been is listed.", bashShell, func(p *player) {
		p.shell("dsrun rm clean:summary.json", "dsrun run quickstart.star --dry-run | tail -4")
	}},
	{"Mistakes", "All of them at once, each with its place and a remedy.", bashShell, func(p *player) {
		p.shell("cat wrong.hcl", "dsrun validate -c wrong.hcl", "dsrun run typo.star")
	}},
	{"What is right and not good", "Rules have names and pages (`dsrun docs lint`); a comment with a reason silences one. `fmt` brings files into shape.", bashShell, func(p *player) {
		p.shell("dsrun validate -c lint.hcl", "dsrun fmt --diff lint.hcl", "dsrun docs endpoint-bucket | head -8")
	}},
	{"The reference", "`dsrun docs` knows every command, flag, attribute, function, error and rule by its name or the beginning of it.", bashShell, func(p *player) {
		p.shell("dsrun docs assume_role", "dsrun docs stream.coun", "dsrun docs asume_role")
	}},
	{"Tab in the shell", "Tab was pressed after `cle`, after `stri`, and after `--fail`.", bashShell, func(p *player) {
		p.shell("source <(dsrun completion bash)")
		p.Type("dsrun stat cle")
		p.Press("Tab")
		p.WaitEnd("$ dsrun stat clean:")
		p.Type("stri")
		p.Press("Tab")
		p.WaitEnd("$ dsrun stat clean:strikes.jsonl")
		p.line("--json | cut -d , -f 1", "$")
		p.Type("dsrun ls --fail")
		p.Press("Tab")
		p.WaitEnd("$ dsrun ls --fail-empty")
		p.line("clean:none/", "$")
	}},
	{"Move data", "The plan first. A second run finds nothing to do.", bashShell, func(p *player) {
		p.shell("dsrun sync raw: clean:copy/ --dry-run", "dsrun sync raw: clean:copy/", "dsrun sync raw: clean:copy/")
	}},
	{"The prompt", "Statements one by one. Streams show their first rows; `_` is the last value; a function takes several lines; `x?` tells what is known of `x`.", replShell, func(p *player) {
		p.WaitEnd(">>>")
		p.statements(`rows = ds.raw.read("birdstrikes.csv", types = {"Cost Total $": "int"})`, "rows.count()", "_ // 2",
			`rows.group("Wildlife Size", n = agg.count(), cost = agg.sum("Cost Total $")).sort("n", desc = True)`)
		p.line("def dear(r):", "...")
		p.line(`    return r["Cost Total $"] != None and r["Cost Total $"] > 1000000`, "...")
		p.line("", ">>>")
		p.statements(`rows.filter(dear).count()`, `:explain rows.filter(dear).select("Airport Name")`, "ds.raw.exists?", "ds.raw.exists(1)")
	}},
	{"Tab at the prompt", "Tab was pressed after `ds.ra`, `.exi`, inside of the string after `bir`, after `read_l`, after `lim`, and twice after `re`. Paths are asked of the datastore.", replShell, func(p *player) {
		p.WaitEnd(">>>")
		for _, step := range [][2]string{{"ds.ra", ">>> ds.raw"}, {".exi", ">>> ds.raw.exists"}, {`("bir`, `>>> ds.raw.exists("birdstrikes.csv`}} {
			p.Type(step[0])
			p.Press("Tab")
			p.WaitEnd(step[1])
		}
		p.line(`")`, ">>>")
		p.Type("ds.raw.read_l")
		p.Press("Tab")
		p.WaitEnd(">>> ds.raw.read_lines")
		p.line(`("birdstrikes.csv").first()[:20]`, ">>>")
		p.Type(`ds.raw.list(lim`)
		p.Press("Tab")
		p.WaitEnd(`>>> ds.raw.list(limit =`)
		p.line("1).count()", ">>>")
		p.Type("ds.raw.re")
		p.Press("Tab")
		p.Press("Tab")
		p.Wait("a choice", func(s string) bool { return strings.Contains(s, "read_json") && strings.Contains(s, "read_bytes") })
	}},
	{"Ctrl-C stops the statement only", "The loop would have run for hours. What was there before is still there, and Ctrl-C on a half-typed line drops the line.", replShell, func(p *player) {
		p.WaitEnd(">>>")
		p.statements("kept = 41")
		p.line("for i in range(1000000000000): pass", "...")
		p.Press("Enter")
		p.Wait("the interrupt", func(s string) bool { // again where the loop had not begun
			time.Sleep(500 * time.Millisecond)
			if strings.HasSuffix(s, "\n>>>") {
				return true
			}
			p.Press("C-c")
			return false
		})
		p.statements("kept + 1")
		p.Type("kept + ")
		p.Press("C-c")
		p.WaitEnd(">>>")
		p.line("def half():", "...")
		p.Press("C-c")
		p.WaitEnd(">>>")
		p.statements("kept + 2")
	}},
	{"History", "Another session, which knows the lines of earlier ones: Up brought back the last one, and the third line here was found with Ctrl-R and `expl`.", replShell, func(p *player) {
		p.WaitEnd(">>>")
		p.Press("Up")
		p.WaitEnd(">>> kept + 2")
		p.Press("C-u")
		p.WaitEnd(">>>")
		p.statements(`rows = ds.raw.read("birdstrikes.csv")`, "dear = lambda r: True")
		p.Press("C-r")
		p.Type("expl")
		p.Wait("what was found", func(s string) bool {
			return strings.Contains(s, "bck-i-search: expl") && strings.Contains(s, ":explain rows")
		})
		p.Press("Enter")
		p.WaitEnd(">>>")
	}},
	{"Save and leave", "`:save` writes what succeeded as a script; Ctrl-D leaves. The script runs like any other.", bashShell, func(p *player) {
		p.line("dsrun repl", ">>>")
		p.statements(`found = ds.clean.list("strikes*").first()`, "found.sise", "print(found.path, found.size > 0)", ":save first.star")
		p.Press("C-d")
		p.WaitEnd("$")
		p.shell("cat first.star", "dsrun run first.star")
	}},
}

// TestTour types the whole tour on real terminals and compares what they show with internal/docs/tour.md, which
// `go test ./cmd/dsrun -run TestTour -update` writes. It is the test of the prompt's terminal side, too: each chapter
// waits for what is to happen.
func TestTour(t *testing.T) {
	bash := testbed.Program(t, "bash")
	dir := tourProject(t)
	bin := filepath.Join(dir, ".bin")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "dsrun"), []byte("#!/bin/sh\nDSRUN_TEST_CHILD=1 exec '"+exe+"' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "XDG_STATE_HOME=" + dir + "/.state", "TMPDIR=" + os.TempDir(), "PS1=$ ", "TZ=UTC", "NO_COLOR=1", "HISTFILE=/dev/null"}
	var page strings.Builder
	page.WriteString("# A tour\n\nWhat stands in the boxes was typed on a terminal and is what the terminal showed. `go test ./cmd/dsrun -run TestTour -update`\nwrites this page, and the test fails when it is not true any more.\n")
	for _, c := range tour {
		ok := t.Run(c.title, func(t *testing.T) {
			command := append([]string{}, c.run...)
			if command[0] == "bash" {
				command[0] = bash
			} else {
				command[0] = filepath.Join(bin, command[0])
			}
			p := &player{testbed.NewTerminal(t, 120, 45, dir, env, command...), t}
			if c.run[0] == "bash" {
				p.WaitEnd("$")
			}
			c.do(p)
			screen := p.Screen()
			screen = strings.TrimSuffix(strings.TrimSuffix(screen, "\n$"), "\n>>>")
			page.WriteString("\n## " + c.title + "\n\n" + c.text + "\n\n```text\n" + tourText(screen, dir) + "\n```\n")
		})
		if !ok {
			t.FailNow()
		}
	}
	got := page.String()
	if *updateTour {
		if err := os.WriteFile(tourPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(tourPage)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(have); got != want {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Errorf("line %d of the tour is not fresh; see whether that is right, and run this test with -update\ngot:  %s\nwant: %s", i+1, g[i], w[i])
				break
			}
		}
		if len(g) != len(w) {
			t.Errorf("the tour has %d lines, want %d", len(g), len(w))
		}
	}
}

var (
	tourTime = regexp.MustCompile(`20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( \+0000 UTC|Z)`)
	tourID   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}|[0-9A-HJKMNP-TV-Z]{26}`)
	tourRun  = regexp.MustCompile(`run \d{8}T\d{6}Z-[0-9a-f]{8} `)
	tourCost = regexp.MustCompile(`requests \d+, [0-9.hmsµ]+, peak memory [0-9.]+ MiB`)
	notDash  = regexp.MustCompile(`[^-]`)
	tourETag = regexp.MustCompile(`("etag": ?)"[^"]*"`)
)

// tourText replaces what is another on every run and every machine.
func tourText(screen, dir string) string {
	screen = strings.ReplaceAll(screen, dir, "/home/you/birds")
	screen = tourTime.ReplaceAllString(screen, "2026-01-02 03:04:05Z")
	screen = tourRun.ReplaceAllString(screen, "run 20260102T030405Z-00000000 ")
	screen = tourCost.ReplaceAllString(screen, "requests 8, 0.8s, peak memory 40 MiB")
	screen = tourETag.ReplaceAllString(screen, `$1"..."`)
	return tourID.ReplaceAllStringFunc(screen, func(id string) string { return notDash.ReplaceAllString(id, "0") })
}

// tourProject is the example of the README with a few files that have mistakes.
func tourProject(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS("../../examples/data")); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"quickstart.hcl": "dsrun.hcl", "quickstart.star": "quickstart.star"} {
		b, err := os.ReadFile(filepath.Join("../../examples", from))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, to, string(b))
	}
	write(t, dir, "wrong.hcl", "datastore \"local\" \"raw\" {\n  pth = \"data\"\n}\n\ndatastore \"locl\" \"out\" {\n}\n")
	write(t, dir, "typo.star", "def main():\n    for o in ds.raw.list(\"*.csv\"):\n        print(o.path, o.sise)\n")
	write(t, dir, "lint.hcl", "datastore \"s3\" \"raw\" {\n  bucket = \"birds\"\n  endpoint = \"https://birds.minio.example.com\"\n}\n")
	return dir
}
