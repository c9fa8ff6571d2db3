package config

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// hostile returns sources that end a process whose parser recurses without a limit, by name. n is the number of
// repetitions.
func hostile(n int) map[string][]byte {
	rep := func(before, s, after string) []byte {
		return []byte(before + strings.Repeat(s, n) + after)
	}
	nest := func(before, open, core, close, after string) []byte {
		return []byte(before + strings.Repeat(open, n) + core + strings.Repeat(close, n) + after)
	}
	return map[string][]byte{
		"parens":         rep("locals { a = ", "(", ""),
		"parens closed":  nest("locals {\n a = ", "(", "1", ")", "\n}\n"),
		"brackets":       rep("locals { a = ", "[", ""),
		"braces":         rep("locals { a = ", "{", ""),
		"objects":        nest("locals {\n a = ", "{a=", "1", "}", "\n}\n"),
		"blocks":         rep("", "a {\n", ""),
		"blocks closed":  nest("", "a {", "", "}", "\n"),
		"templates":      rep("locals {\n a = ", "\"${", ""),
		"interpolations": rep("locals {\n a = \"", "${", ""),
		"templates full": nest("locals {\n a = ", "\"${", "1", "}\"", "\n}\n"),
		"directives":     rep("locals {\n a = \"", "%{if true}", "\"\n}\n"),
		"directives for": nest("locals {\n a = \"", "%{for x in []}", "", "%{endfor}", "\"\n}\n"),
		"minus":          rep("locals {\n a = ", "-", "1\n}\n"),
		"not":            rep("locals {\n a = ", "!", "true\n}\n"),
		"minus apart":    rep("locals {\n a = ", "- ", "1\n}\n"),
		"plus":           rep("locals {\n a = 1", "+1", "\n}\n"),
		"and":            rep("locals {\n a = true", "&&true", "\n}\n"),
		"ternary":        rep("locals {\n a = 1", "?1:1", "\n}\n"),
		"ternary left":   rep("locals {\n a = ", "true?", "1"),
		"index":          rep("locals {\n a = b", "[0]", "\n}\n"),
		"index nested":   nest("locals {\n a = ", "b[", "0", "]", "\n}\n"),
		"splat":          rep("locals {\n a = b", "[*]", "\n}\n"),
		"splat dot":      rep("locals {\n a = b", ".*", "\n}\n"),
		"dots":           rep("locals {\n a = b", ".b", "\n}\n"),
		"calls":          nest("locals {\n a = ", "f(", "", ")", "\n}\n"),
		"namespaces":     rep("locals {\n a = a", "::a", "()\n}\n"),
		"for":            nest("locals {\n a = ", "[for x in ", "[]", ":x]", "\n}\n"),
		"heredocs":       rep("locals {\n a = ", "<<A\n${", ""),
		"heredoc long":   rep("locals {\n a = <<-A\n", "  line\n", "A\n}\n"),
		"types":          nest("variable \"a\" {\n type = ", "list(", "string", ")", "\n}\n"),
		"types object":   nest("variable \"a\" {\n type = ", "object({a=", "string", "})", "\n}\n"),
		"labels":         rep("a ", "\"a\" ", "{\n}\n"),
		"label words":    rep("", "a ", "{\n}\n"),
		"attributes":     rep("locals {\n", "a = 1\n", "}\n"),
		"closers":        rep("", "}", ""),
		"mixed closers":  rep("", ")]}", ""),
		"quotes":         rep("", "\"", ""),
		"words":          rep("locals { a = ", "a", "\n}\n"),
		"digits":         rep("locals {\n a = 1", "1", "\n}\n"),
		"exponent":       rep("locals {\n a = 1e1", "0", "\n}\n"),
		"list":           rep("locals {\n a = [", "1,", "]\n}\n"),
		"comments":       rep("", "#\n", ""),
		"comment open":   rep("/*", "/*", ""),
		"escapes":        rep("locals {\n a = \"", "\\u0041", "\"\n}\n"),
		"combining":      rep("locals {\n a = \"a", "\u0301", "\"\n}\n"),
		"newlines":       rep("locals { a = (", "\n", ")\n}\n"),
		"semicolons":     rep("", ";", ""),
		"bad utf8":       rep("a = \"", "\xff", "\""),
		"nul":            rep("", "\x00", ""),
		"utf16":          rep("\xff\xfe", "a\x00", ""),
	}
}

// hostileJSON is the like for the JSON variant.
func hostileJSON(n int) map[string][]byte {
	nest := func(before, open, core, close, after string) []byte {
		return []byte(before + strings.Repeat(open, n) + core + strings.Repeat(close, n) + after)
	}
	return map[string][]byte{
		"arrays open":  []byte(`{"locals":{"a":` + strings.Repeat("[", n)),
		"arrays":       nest(`{"locals":{"a":`, "[", "1", "]", "}}"),
		"objects":      nest(`{"locals":{"a":`, `{"a":`, "1", "}", "}}"),
		"blocks":       nest("", `{"datastore":`, "{}", "}", ""),
		"root arrays":  nest("", "[", "{}", "]", ""),
		"template":     nest(`{"locals":{"a":"`, "${(", "1", ")}", `"}}`),
		"parens":       nest(`{"locals":{"a":"${`, "(", "1", ")", `}"}}`),
		"escaped":      nest(`{"locals":{"a":"\u0024\u007b`, `\u0028`, "1", ")", `}"}}`),
		"minus":        []byte(`{"locals":{"a":"${` + strings.Repeat("-", n) + `1}"}}`),
		"type":         nest(`{"variable":{"a":{"type":"`, "list(", "string", ")", `"}}}`),
		"type escaped": nest(`{"variable":{"a":{"type":"`, `list\u0028`, "string", `\u0029`, `"}}}`),
		"key":          nest(`{"locals":{"a":{"${`, "(", "1", ")", `}":1}}}`),
		"digits":       []byte(`{"locals":{"a":` + strings.Repeat("1", n) + `}}`),
		"exponent":     []byte(`{"locals":{"a":1e` + strings.Repeat("9", n) + `}}`),
		"commas":       []byte(`{"locals":{"a":[1` + strings.Repeat(",1", n) + `]}}`),
		"backslashes":  []byte(`{"locals":{"a":"` + strings.Repeat(`\`, n)),
		"strings":      []byte(`{"locals":{"a":["x"` + strings.Repeat(`,"${1}"`, n) + `]}}`),
		"bad utf8":     []byte(`{"locals":{"a":"` + strings.Repeat("\xff", n) + `"}}`),
	}
}

// loadHostile loads one source and checks that it gave a diagnostic with a place, in bounded time.
func loadHostile(t *testing.T, file string, src []byte, values bool) {
	t.Helper()
	o := Options{Schemas: testSchemas()}
	files := []File{{Name: file, Dir: "/conf", Bytes: src}}
	if values {
		o.VarFiles, files = files, nil
	}
	start := time.Now()
	c, diags := Load(files, o)
	out := c.Diags(diags)
	var b bytes.Buffer
	if err := Render(&b, out, 80, false); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 20*time.Second && !raceOn {
		t.Errorf("took %v", d)
	}
	if !diags.HasErrors() {
		return
	}
	for _, d := range out {
		if d.Severity == "error" && d.Summary != "Too many mistakes" && (d.File == "" || d.Line == 0) {
			t.Errorf("no place: %+v", d)
		}
	}
	if b.Len() > 200<<10 {
		t.Errorf("%d bytes of diagnostics: %.300s", b.Len(), b.Bytes())
	}
}

const childEnv = "DSRUN_TEST_HOSTILE"

// TestHostileFiles proves that no source crashes the process (promise R38): each is loaded in a child process, because a
// stack that outgrows its limit cannot be recovered from.
func TestHostileFiles(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		hostileChild(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHostileFiles$", "-test.v", "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if len(out) > 4000 {
			out = append(out[:2000:2000], out[len(out)-2000:]...)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("loaded ")) {
		t.Fatalf("the child did nothing:\n%s", out)
	}
	i := bytes.LastIndex(out, []byte("loaded "))
	t.Logf("%s", bytes.SplitN(out[i:], []byte("\n"), 2)[0])
}

func hostileChild(t *testing.T) {
	counts := []int{150, 600, 100_000}
	if raceOn {
		counts = counts[:2]
	}
	if os.Getenv("DSRUN_TEST_LONG") == "1" {
		counts = []int{3, 150, 190, 600, 5_000, 100_000, 1_000_000, 3_000_000}
	}
	total, refused := 0, 0
	for _, n := range counts {
		for _, kind := range []struct {
			file   string
			values bool
			all    map[string][]byte
		}{{"a.dsrun.hcl", false, hostile(n)}, {"a.dsvars.hcl", true, hostile(n)}, {"a.dsrun.hcl.json", false, hostileJSON(n)}, {"a.dsvars.hcl.json", true, hostileJSON(n)}} {
			if kind.values && n > 600 && os.Getenv("DSRUN_TEST_LONG") != "1" {
				continue
			}
			for name, src := range kind.all {
				fmt.Printf("load %s %s x%d\n", kind.file, name, n)
				at := time.Now()
				loadHostile(t, kind.file, src, kind.values)
				if d := time.Since(at); d > 3*time.Second {
					t.Logf("slow: %s %s x%d: %v", kind.file, name, n, d)
				}
				total++
				if prescan(File{Name: kind.file, Bytes: src}, strings.HasSuffix(kind.file, ".json")).HasErrors() {
					refused++
				}
			}
		}
	}
	fmt.Printf("loaded %d hostile files, %d refused before parsing\n", total, refused)
}

// TestHugeFile refuses a file of 30 MB without looking at it.
func TestHugeFile(t *testing.T) {
	big := bytes.Repeat([]byte("# a comment\n"), 30<<20/12)
	nested := bytes.Repeat([]byte("("), 3_000_000)
	if _, diags := Load([]File{{Name: "a.dsrun.hcl", Bytes: nested}}, Options{Schemas: testSchemas()}); len(diags) != 1 || diags[0].Subject == nil {
		t.Errorf("3,000,000 brackets: %v", diags)
	}
	for _, name := range []string{"a.dsrun.hcl", "a.dsrun.hcl.json"} {
		_, diags := Load([]File{{Name: name, Bytes: big}}, Options{Schemas: testSchemas()})
		if len(diags) != 1 || diags[0].Summary != "File too large" || diags[0].Subject == nil {
			t.Errorf("%s: %v", name, diags)
		}
	}
	if _, _, diags := Format(File{Name: "a.dsrun.hcl", Bytes: big}); !diags.HasErrors() {
		t.Error("formatted")
	}
}

// TestDepthAllowed shows that the limits leave room for what people write.
func TestDepthAllowed(t *testing.T) {
	for name, src := range map[string]string{
		"100 brackets": "locals {\n a = " + strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100) + "\n}\n",
		"300 terms":    "locals {\n a = 1" + strings.Repeat(" + 1", 300) + "\n}\n",
		"10000 lines":  "locals {\n" + manyLocals(10_000) + "}\n",
		"long list":    "locals {\n a = [" + strings.Repeat("\"x\", ", 5_000) + "]\n}\n",
	} {
		_, diags := Load([]File{{Name: "a.dsrun.hcl", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
		if diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func manyLocals(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x%d = \"value\"\n", i)
	}
	return b.String()
}

// TestBlowUp loads configurations whose evaluation would take more memory or time than there is.
func TestBlowUp(t *testing.T) {
	doubling := func(expr string) string {
		var b strings.Builder
		b.WriteString("locals {\n x0 = \"0123456789\"\n")
		for i := 1; i <= 60; i++ {
			fmt.Fprintf(&b, " x%d = %s\n", i, strings.ReplaceAll(expr, "PREV", fmt.Sprintf("local.x%d", i-1)))
		}
		return b.String() + "}\n"
	}
	list := "[" + strings.Repeat("1,", 1000) + "]"
	long := strings.Repeat("x", 100_000)
	for name, src := range map[string]string{
		"text":          doubling(`"${PREV}${PREV}"`),
		"list":          doubling(`[PREV, PREV]`),
		"object":        doubling(`{ a = PREV, b = PREV }`),
		"concat":        doubling(`concat(try(tolist(PREV), [PREV]), try(tolist(PREV), [PREV]))`),
		"join":          doubling(`join(PREV, [PREV, PREV])`),
		"replace":       doubling(`replace(PREV, "0", PREV)`),
		"format":        doubling(`format("%s%[1]s%[1]s", PREV)`),
		"jsonencode":    doubling(`jsonencode([PREV, PREV])`),
		"merge":         doubling(`{ for k in ["a", "b"] : "${PREV}${k}" => PREV }`),
		"multiply":      strings.Replace(doubling(`PREV * PREV`), `"0123456789"`, "10", 1),
		"loops":         "locals {\n l = " + list + "\n a = [for a in local.l : [for b in local.l : [for c in local.l : [for d in local.l : a]]]]\n}\n",
		"loops in try":  "locals {\n l = " + list + "\n a = try([for a in local.l : [for b in local.l : [for c in local.l : a]]], 1)\n}\n",
		"template loop": "locals {\n l = " + list + "\n a = \"%{for a in local.l}%{for b in local.l}%{for c in local.l}x%{endfor}%{endfor}%{endfor}\"\n}\n",
		"regex":         "locals {\n a = regexall(\"" + strings.Repeat("(x*)", 200) + "\", \"" + long + "\")\n}\n",
		"distinct":      "locals {\n a = distinct([for i in split(\"\", \"" + long + "\") : i])\n}\n",
		"json depth":    "locals {\n a = jsondecode(\"" + strings.Repeat("[", 100_000) + "\")\n}\n",
		"repeat refs":   "locals {\n s = \"" + long + "\"\n a = \"" + strings.Repeat("${local.s}", 5_000) + "\"\n}\n",
		"deep chain":    deepChain(5_000),
		"deep value":    deepValue(5_000),
		"number text":   "locals {\n a = \"" + strings.Repeat("9", 300_000) + "\" * 1\n}\n",
		"index by text": "locals {\n s = \"" + strings.Repeat("9", 300_000) + "\"\n a = [for i in range(1000) : try([1, 2][local.s], 1)]\n}\n",
		"digits often":  "locals {\n s = \"" + strings.Repeat("9", 30_000) + "\"\n a = [for i in range(1000) : try([1, 2][local.s], 1)]\n}\n",
	} {
		start := time.Now()
		c, diags := Load([]File{{Name: "a.dsrun.hcl", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
		c.Diags(diags)
		if !diags.HasErrors() {
			t.Errorf("%s: no error", name)
		}
		t.Logf("%s: %v", name, time.Since(start))
		if d := time.Since(start); d > time.Minute && !raceOn {
			t.Errorf("%s: took %v", name, d)
		}
		for _, d := range diags {
			if d.Summary == "Evaluation failure" {
				t.Errorf("%s: %v", name, d)
			}
		}
	}
}

// deepChain is a chain of locals where the first needs the last.
func deepChain(n int) string {
	var b strings.Builder
	b.WriteString("locals {\n")
	for i := range n {
		fmt.Fprintf(&b, " a%06d = local.a%06d\n", i, i+1)
	}
	fmt.Fprintf(&b, " a%06d = 1\n}\n", n)
	return b.String()
}

// deepValue nests a value by one at a time, each local small on its own.
func deepValue(n int) string {
	var b strings.Builder
	b.WriteString("locals {\n a000000 = 1\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, " a%06d = [local.a%06d]\n", i, i-1)
	}
	return b.String() + "}\n"
}
