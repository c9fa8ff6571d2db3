package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// nasty drives terminals: escape sequences of 7 and of 8 bits, OSC 52 and 8, line ends, bells, deletes, turned text, a tag
// character beyond the first plane.
const nasty = "x\x1b[2J\u009b31m\x1b]52;c;aGk=\x07\x1b]8;;http://x\x1b\\\r\ny\b\x7f\u202e\u2066z\U000E0041"

func nastyWorld(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"data", "out", "n" + nasty} {
		if err := os.MkdirAll(filepath.Join(dir, strings.ReplaceAll(d, "/", "_")), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	name := strings.ReplaceAll(nasty, "/", "_")
	write(t, dir, "dsrun.hcl", "datastore \"local\" \"raw\" {\n  path = \"data\"\n}\n\ndatastore \"local\" \"out\" {\n  path   = \"out\"\n  create = true\n}\n\ntopic \"file\" \"events\" {\n  path = \"events.jsonl\"\n}\n")
	for _, d := range []string{"data", "n" + name} {
		write(t, filepath.Join(dir, d), name+".csv", "name,n\n\""+nasty+"\",1\n")
		write(t, filepath.Join(dir, d), "bad.csv", "name,n\n"+nasty+"\n")
	}
	write(t, dir, name+".star", "# "+nasty+"\n\"\"\"Doc "+strings.ReplaceAll(nasty, `\`, "")+"\"\"\"\ndef main(p = \"x\"):\n  fail(p)\n")
	write(t, dir, name+".hcl", "datastore \"locall\" \"a\" {\n  description = \""+strings.NewReplacer("\r", "", "\n", "", `\`, "").Replace(nasty)+"\"\n}\n")
	write(t, dir, "make.star", "for o in ds.raw.list():\n  print(o.path, o, [o.path], {o.path: o})\nlog.info(o.path, key = o.path)\n")
	write(t, dir, "rows.star", "ds.raw.read(\"x*.csv\").show()\nds.raw.read(\"x*.csv\").each(lambda r: print(r))\n")
	write(t, dir, "badrow.star", "print(ds.raw.read(\"bad.csv\", types = {\"n\": \"int\"}).collect())\n")
	write(t, dir, "plan.star", "ds.out.write_text(ds.raw.list(\"x*\").first().path, \"x\")\ntopics.events.publish(ds.raw.list(\"x*\").first().path[:20], {\"p\": ds.raw.list(\"x*\").first().path})\n")
	return dir
}

// TestNothingDrivesTheTerminal runs every command over names and contents that try to, on a terminal and as JSON.
func TestNothingDrivesTheTerminal(t *testing.T) {
	name := strings.ReplaceAll(nasty, "/", "_")
	for _, line := range []string{
		"ls", "ls|raw:", "ls|-l|raw:", "ls|-r|raw:", "ls|raw:**", "ls|NOWHERE:", "ls|raw:NASTY/", "ls|./nNASTY",
		"stat|raw:NASTY.csv", "stat|raw:NASTY", "cat|raw:NASTY.csv", "cat|raw:*.csv", "cat|NASTY", "cat|raw:NASTY",
		"cp|-r|raw:|out:|--dry-run", "cp|-r|raw:|out:", "cp|-r|raw:|out:", "cp|raw:NASTY|out:", "cp|NASTY|out:", "cp|raw:NASTY.csv|./NASTY.csv",
		"sync|raw:|out:|--delete|--dry-run", "sync|raw:|out:", "mv|out:NASTY.csv|out:b.csv|--dry-run", "mv|out:NASTY.csv|out:b/", "mv|out:NASTY|out:b",
		"rm|raw:NASTY.csv|--dry-run", "rm|raw:*|--dry-run", "rm|out:NASTY", "rm|out:b/NASTY.csv", "uploads|ls|raw:", "uploads|abort|raw:NASTY",
		"publish|events|--type|NASTY", "publish|events|--type|a|--id|NASTY", "publish|events|--type|a|--data|NASTY", "publish|events|--type|a|--id|NASTY|--dry-run|--data|\"x\"", "publish|NASTY|--type|a",
		"events|ls", "events|ls|NASTY", "events|replay|NASTY",
		"run|make.star", "run|rows.star", "run|badrow.star", "run|plan.star|--dry-run", "run|plan.star", "run|plan.star|--summary", "run|NASTY.star", "run|NASTY.star|--p|NASTY", "run|NASTY.star|--help", "run|NASTY.star|--NASTY", "run|NASTY",
		"run|make.star|--run-id|NASTY", "validate|NASTY.star", "validate|-c|NASTY.hcl", "validate|-c|NASTY", "validate|.", "validate|.|--sarif", "fmt|--check", "fmt|--diff", "fmt|NASTY", "fmt|-|--stdin-name|NASTY",
		"docs|NASTY", "schema|NASTY", "schema|datastore|NASTY", "man|NASTY/NASTY", "man|NASTYman", "completion|NASTY", "NASTY", "--NASTY", "ls|--env|NASTY", "ls|--var|NASTY", "ls|--var|NASTY=1", "ls|--var-file|NASTY", "ls|-c|NASTY.hcl", "ls|--log-level|NASTY", "version|NASTY",
		"repl", "test|.", "test|NASTY",
	} {
		for _, as := range []string{"terminal", "json"} {
			t.Run(as+" "+line, func(t *testing.T) {
				dir := nastyWorld(t)
				write(t, filepath.Join(dir, "out"), name+".csv", "x")
				args := strings.Split(strings.ReplaceAll(line, "NASTY", name), "|")
				if as == "json" {
					args = append(args, "--json")
				}
				w := testWorld(dir, args)
				var out, errs bytes.Buffer
				w.Stdout, w.Stderr, w.StdoutTTY, w.StderrTTY = &out, &errs, as == "terminal", as == "terminal"
				w.StateDir = filepath.Join(dir, ".state")
				w.LookupEnv = func(n string) (string, bool) { return "1", n == "NO_COLOR" }
				w.Stdin = strings.NewReader("ds.raw.list(\"x*\").first()\nprint(ds.raw.list(\"x*\").first().path)\nfail(\"" + strings.NewReplacer("\r", `\r`, "\n", `\n`, `\`, `\\`).Replace(nasty) + "\")\n")
				code := Main(w)
				if out.Len()+errs.Len() == 0 && code != 0 {
					t.Errorf("exit code %d and nothing is said", code)
				}
				prints := strings.HasPrefix(line, "run|make.star") || line == "run|rows.star" || line == "repl"
				for stream, text := range map[string]string{"output": out.String(), "errors": errs.String()} {
					if as == "json" && stream == "output" && prints {
						continue // what a script prints into a pipe is the script's
					}
					text = strings.ReplaceAll(text, eraseLine, "") // ours, of the progress line
					for i, r := range text {
						if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
							t.Errorf("%s hold %q in %q", stream, r, text[max(0, i-60):min(len(text), i+20)])
							break
						}
					}
					if as == "json" && stream == "output" && args[0] != "completion" {
						for l := range strings.Lines(text) {
							if !json.Valid([]byte(l)) && !strings.HasPrefix(line, "cat|raw:NASTY.csv") && !strings.HasPrefix(line, "run|NASTY.star|--help") {
								t.Errorf("a line of the output is no JSON: %q", l)
							}
						}
					}
				}
			})
		}
	}
}

// TestColors: colors are for terminals, and not against NO_COLOR or TERM=dumb.
func TestColors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", "datastore \"locall\" \"a\" {\n}\n")
	for _, c := range []struct {
		env  string
		tty  bool
		want bool
	}{{"", true, true}, {"", false, false}, {"NO_COLOR=1", true, false}, {"TERM=dumb", true, false}, {"NO_COLOR=", true, true}} {
		for _, args := range [][]string{{"validate"}, {"ls"}, {"docs", "cat"}} {
			w := testWorld(dir, args)
			var out bytes.Buffer
			w.Stdout, w.Stderr, w.StdoutTTY, w.StderrTTY = &out, &out, c.tty, c.tty
			key, value, _ := strings.Cut(c.env, "=")
			w.LookupEnv = func(n string) (string, bool) { return value, n == key && key != "" }
			Main(w)
			if got := strings.Contains(out.String(), "\x1b["); got != c.want || out.Len() == 0 {
				t.Errorf("%q %v terminal=%v: colors %v, want %v", c.env, args, c.tty, got, c.want)
			}
		}
	}
}

// TestTTYWriter gives it a text in pieces of every size.
func TestTTYWriter(t *testing.T) {
	text := "a\r\nbü\x1b[31m€\U0001F600\t\xff\r!\xe2\x82"
	want := "a\nbü\\x1b[31m€\U0001F600\t\\xff\\r!\\xe2\\x82"
	for n := 1; n <= len(text); n++ {
		var b bytes.Buffer
		w := &ttyWriter{w: &b}
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{strings.NewReader(text)}, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", n, b.String(), want)
		}
	}
}

// TestJSONWriter changes no value.
func TestJSONWriter(t *testing.T) {
	var b bytes.Buffer
	if err := newEncoder(&b).Encode(map[string]string{nasty: nasty + "ü€\U0001F600"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if !unicode.IsPrint(r) {
			t.Errorf("it holds %q", r)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back[nasty] != nasty+"ü€\U0001F600" {
		t.Errorf("%v: %s", err, fmt.Sprintf("%q", back))
	}
}
