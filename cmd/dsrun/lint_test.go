package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/testbed"
)

func lintText(t *testing.T, name, text string) []config.Diag {
	t.Helper()
	project, diags := engine.New(engine.Options{Providers: providers.All()}).Load(engine.Source{Files: []config.File{engine.File(name, t.TempDir(), text)}})
	return project.Config().Lint(diags)
}

// TestRules checks each rule against its own page: the bad example has exactly its finding, the good one none.
func TestRules(t *testing.T) {
	last := config.RuleID("")
	for _, r := range config.Rules() {
		t.Run(string(r.ID), func(t *testing.T) {
			if r.ID <= last || !regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`).MatchString(string(r.ID)) {
				t.Errorf("the id %q is not in order or not in form", r.ID)
			}
			last = r.ID
			if strings.HasSuffix(r.Summary, ".") || !strings.HasSuffix(r.Why, ".") {
				t.Error("a summary is a phrase, the reason a sentence")
			}
			if r.Severity != "error" && r.Severity != "warning" && r.Severity != "note" {
				t.Errorf("severity %q", r.Severity)
			}
			switch r.ID {
			case config.RuleDeprecatedArgument, config.RuleDiscouragedKind, config.RuleUndeclaredName:
				return // no kind has one now, and scripts are tested by lint.txtar
			}
			found := lintText(t, "bad.hcl", r.Bad)
			if len(found) != 1 || found[0].Rule != r.ID || found[0].Severity != r.Severity || found[0].Line == 0 {
				t.Errorf("the bad example gives %+v", found)
			}
			if found := lintText(t, "good.hcl", r.Good); len(found) != 0 {
				t.Errorf("the good example gives %+v", found)
			}
			out, _, diags := config.Format(config.File{Name: "bad.hcl", Bytes: []byte(r.Bad)})
			if diags.HasErrors() || string(out) != r.Bad {
				t.Error("the bad example is not formatted")
			}
			if out, _, _ := config.Format(config.File{Name: "good.hcl", Bytes: []byte(r.Good)}); string(out) != r.Good {
				t.Error("the good example is not formatted")
			}
		})
	}
}

// TestSecretLiterals finds secrets wherever they stand, shows none, and takes nothing else for one.
func TestSecretLiterals(t *testing.T) {
	const canary = "c4nary-0123456789abcdef"
	hook := func(url string) string { return "topic \"webhook\" \"t\" {\n  url = " + url + "\n}\n" }
	key := func(rest string) string {
		return "topic \"webhook\" \"t\" {\n  url = env(\"U\")\n  signing_key = " + rest
	}
	for name, c := range map[string]struct {
		text string
		line int // 0: no finding
	}{
		"literal":                 {key(`"` + canary + "\"\n}\n"), 3},
		"local":                   {key("local.k\n}\nlocals {\n  k = \"" + canary + "\"\n}\n"), 6},
		"local of a local":        {key("local.k\n}\nlocals {\n  k = \"${local.m}\"\n  m = \"" + canary + "\"\n}\n"), 7},
		"variable":                {key("var.k\n}\nvariable \"k\" {\n  default = \"" + canary + "\"\n}\n"), 6},
		"sensitive":               {key("sensitive(\"" + canary + "\")\n}\n"), 3},
		"function":                {key("join(\"-\", [\"" + canary + "\", \"x\"])\n}\n"), 3},
		"env":                     {key("env(\"KEY\")\n}\n"), 0},
		"env with default":        {key("env(\"KEY\", \"none\")\n}\n"), 0},
		"file":                    {key("secret::file(\"key\")\n}\n"), 0},
		"template of env":         {key("\"whsec_${env(\"KEY\")}\"\n}\n"), 0},
		"null":                    {key("null\n}\n"), 0},
		"key in an address":       {hook(`"https://hooks.example.com/services/T012AB3CD/B45678/x9Y8z7W6v5U4t3S2"`), 2},
		"plain address":           {hook(`"https://ci.example.com/hooks/retrain"`), 0},
		"address and env":         {hook(`"https://ci.example.com/${env("KEY")}"`), 0},
		"password in an endpoint": {"datastore \"s3\" \"a\" {\n  bucket = \"aaa\"\n  description = \"https://user:" + canary + "@minio.example.com\"\n}\n", 3},
		"private key in a label":  {"datastore \"memory\" \"a\" {\n  labels = { k = \"-----BEGIN RSA PRIVATE KEY-----" + canary + "\" }\n}\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			found := lintText(t, "a.hcl", c.text)
			b, _ := json.Marshal(found)
			if strings.Contains(string(b), canary) || strings.Contains(string(b), "x9Y8z7W6") {
				t.Errorf("the report shows the secret: %s", b)
			}
			var r bytes.Buffer
			_ = config.Render(&r, found, 100, false)
			switch {
			case c.line == 0 && len(found) > 0:
				t.Errorf("found %s", r.String())
			case c.line > 0 && (len(found) != 1 || found[0].Rule != config.RuleSecretLiteral || found[0].Line != c.line):
				t.Errorf("want one finding on line %d, got:\n%s", c.line, r.String())
			}
		})
	}
}

// TestSarif checks reports of every kind against the schema that OASIS publishes.
func TestSarif(t *testing.T) {
	path := testbed.File(t, "sarif-2.1.0.json")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	if check([]byte(`{"version":"2.1.0","runs":[{"tool":{"driver":{}}}]}`)) == nil {
		t.Fatal("the schema takes a driver without a name")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a b.hcl", "datastore \"s3\" \"a\" {\n  bucket = \"aaa\"\n  acl = \"public-read\"\n}\n# dsrun:ignore\n")
	write("bad.hcl", "datastore \"s3\" \"a\" {\n  bucket = \n  x = \"\x1b[31m\"\n}\n")
	write("ok.hcl", "datastore \"memory\" \"a\" {\n}\n")
	write("ü.star", "print(ds.nothing)\n")
	write("syntax.star", "def main(:\n")
	for args, want := range map[string]int{"-c|a b.hcl": 2, "-c|bad.hcl": 1, "-c|ok.hcl": 0, "-c|ok.hcl|ü.star|syntax.star": 2, "-c|" + dir + "/ok.hcl|" + dir + "/ü.star": 1} {
		w := testWorld(dir, append([]string{"validate", "--sarif"}, strings.Split(args, "|")...))
		var out bytes.Buffer
		w.Stdout = &out
		Main(w)
		if err := check(out.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out.String())
		}
		var log sarifFile
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		results := log.Runs[0].Results
		if len(results) < want || want == 0 && len(results) > 0 {
			t.Errorf("%s: %d results, want %d", args, len(results), want)
		}
		for _, r := range results {
			if got := log.Runs[0].Tool.Driver.Rules[r.RuleIndex].ID; got != r.RuleID || len(r.Locations) != 1 || fault.Printable(r.Message.Text) != r.Message.Text {
				t.Errorf("%s: result %+v points to the rule %s", args, r, got)
			}
		}
	}
}
