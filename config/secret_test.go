package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// canary is a secret that must not show, in any file below.
const canary = "C4n4ry-s3cr3t/value+x"

// TestSecretsNotShown writes the canary where users write secrets, next to mistakes, in files that parse and files that do
// not. No diagnostic shows it, as text, on a terminal or in JSON.
func TestSecretsNotShown(t *testing.T) {
	q := `"` + canary + `"`
	cases := map[string]string{
		"wrong neighbour":     "credential \"sql\" \"a\" {\n usernam = \"u\"\n password = " + q + "\n}\n",
		"on the line":         "credential \"sql\" \"a\" { password = " + q + " }\n",
		"wrong type":          "credential \"sql\" \"a\" {\n username = \"u\"\n password = [" + q + "]\n}\n",
		"operator":            "credential \"sql\" \"a\" {\n username = \"u\"\n password = " + q + " + 1\n}\n",
		"function":            "credential \"sql\" \"a\" {\n username = \"u\"\n password = uper(" + q + ")\n}\n",
		"function argument":   "credential \"sql\" \"a\" {\n username = \"u\"\n password = parseint(" + q + ", 10)\n}\n",
		"unquoted":            "credential \"sql\" \"a\" {\n username = \"u\"\n password = C4n4ry\n}\n",
		"unquoted with signs": "credential \"sql\" \"a\" {\n username = \"u\"\n password = C4n4ry/s3cr3t\n}\n",
		"unclosed":            "credential \"sql\" \"a\" {\n username = \"u\"\n password = \"" + canary + "\n}\n",
		"unclosed twice":      "credential \"sql\" \"a\" {\n username = \"u\n password = \"" + canary + "\n}\n",
		"single quotes":       "credential \"sql\" \"a\" {\n username = \"u\"\n password = '" + canary + "'\n}\n",
		"twice":               "credential \"sql\" \"a\" {\n password = " + q + "\n password = " + q + "\n}\n",
		"no equals":           "credential \"sql\" \"a\" {\n password " + q + "\n}\n",
		"colon":               "credential \"sql\" \"a\" {\n password: " + q + "\n}\n",
		"top level":           "password = " + q + "\n",
		"top level block":     "password " + q + " {\n}\n",
		"template":            "credential \"sql\" \"a\" {\n username = \"u\"\n password = \"x${nope}" + canary + "\"\n}\n",
		"heredoc":             "credential \"gcp\" \"a\" {\n json = <<E\n" + canary + "\nE\n jsn = 1\n}\n",
		"heredoc unclosed":    "credential \"gcp\" \"a\" {\n json = <<E\n" + canary + "\n jsn = 1\n}\n",
		"heredoc template":    "credential \"gcp\" \"a\" {\n json = <<E\n" + canary + " ${nope}\nE\n}\n",
		"object":              "locals {\n x = { password = " + q + ", y = nope }\n}\n",
		"object key":          "locals {\n x = { \"api_key\" = " + q + " + 1 }\n}\n",
		"local":               "locals {\n db_password = " + q + " + 1\n}\n",
		"local used":          "locals {\n innocent = " + q + "\n s = sensitive(local.innocent)\n x = local.innocent + 1\n y = " + q + " - 1\n}\n",
		"sensitive()":         "locals {\n x = sensitive(" + q + ") + 1\n}\n",
		"sensitive elsewhere": "datastore \"s3\" \"a\" {\n bucket = sensitive(" + q + ")\n}\n",
		"variable default":    "variable \"v\" {\n sensitive = true\n type = number\n default = " + q + "\n}\n",
		"variable validation": "variable \"v\" {\n sensitive = true\n default = " + q + "\n validation {\n condition = false\n error_message = \"bad ${var.v}\"\n }\n}\n",
		"variable regex":      "variable \"v\" {\n sensitive = true\n default = \"[" + canary + "\"\n}\nlocals {\n x = regex(var.v, \"x\")\n}\n",
		"variable json":       "variable \"v\" {\n sensitive = true\n default = " + q + "\n}\nlocals {\n x = jsondecode(var.v)\n y = tonumber(var.v)\n z = var.v + 1\n a = {a=1}[var.v]\n b = [1][var.v]\n}\n",
		"variable choice":     "variable \"v\" {\n sensitive = true\n default = " + q + "\n}\ndatastore \"s3\" \"a\" {\n bucket = \"aaa\"\n mode = var.v\n sse = \"${var.v}\"\n}\n",
		"variable broken":     "variable \"v\" {\n sensitive = true\n default = " + q + "\n",
		"try":                 "variable \"v\" {\n sensitive = true\n default = " + q + "\n}\nlocals {\n x = try(tonumber(var.v), tobool(var.v))\n}\n",
		"choice":              "credential \"azure\" \"a\" {\n account_key = " + q + "\n cloud = \"chine\" \n}\n",
		"method":              "credential \"aws\" \"a\" {\n secret_access_key = " + q + "\n}\n",
		"rule":                "topic \"webhook\" \"a\" {\n signing_key = " + q + "\n urll = 1\n}\n",
		"empty":               "credential \"aws\" \"a\" {\n secret_access_key = " + q + ", \n}\n",
		"comment after":       "credential \"sql\" \"a\" {\n password = " + q + " # why\n nope = 1\n}\n",
		"conditional":         "credential \"sql\" \"a\" {\n username = \"u\"\n password = true ? " + q + " : nope\n}\n",
		"long line":           "credential \"sql\" \"a\" { " + strings.Repeat(" ", 300) + "password = " + q + "\n nope = 1 }\n",
	}
	check := func(name string, files []File, o Options) {
		t.Helper()
		o.Schemas = testSchemas()
		c, diags := Load(files, o)
		var b bytes.Buffer
		list := c.Diags(diags)
		_ = Render(&b, list, 100, true)
		j, _ := json.Marshal(list)
		b.Write(j)
		for _, d := range diags {
			fmt.Fprintln(&b, d.Summary, d.Detail)
		}
		if len(list) == 0 {
			t.Errorf("%s: no diagnostic", name)
		}
		for _, s := range []string{"C4n4ry", "s3cr3t/value"} {
			if bytes.Contains(b.Bytes(), []byte(s)) {
				t.Errorf("%s: shown:\n%s", name, b.String())
				return
			}
		}
	}
	for name, src := range cases {
		check(name, []File{{Name: "m.dsrun.hcl", Dir: "/conf", Bytes: []byte(src)}}, Options{})
	}
	for name, src := range map[string]string{
		"JSON neighbour": `{"credential":{"sql":{"a":{"password":"` + canary + `", "usernam":"u"}}}}`,
		"JSON type":      `{"credential":{"sql":{"a":{"password":["` + canary + `"], "username":"u"}}}}`,
		"JSON broken":    `{"credential":{"sql":{"a":{"password":"` + canary + `", "username":"u",}}}}`,
		"JSON unclosed":  `{"credential":{"sql":{"a":{"username":"u","password":"` + canary + `}}}}`,
		"JSON template":  `{"credential":{"sql":{"a":{"username":"u","password":"${nope}` + canary + `"}}}}`,
		"JSON variable":  `{"variable":{"v":{"sensitive":true,"type":"number","default":"` + canary + `"}}}`,
		"JSON top":       `{"password":"` + canary + `"}`,
	} {
		check(name, []File{{Name: "m.dsrun.hcl.json", Dir: "/conf", Bytes: []byte(src)}}, Options{})
	}
	main := []File{{Name: "m.dsrun.hcl", Dir: "/conf", Bytes: []byte("variable \"v\" {\n sensitive = true\n type = number\n}\nvariable \"w\" {\n sensitive = true\n type = list(number)\n}\n")}}
	w := func(o Options) Options {
		o.EnvVar = func(n string) (string, bool) { return "[1]", n == "DSRUN_VAR_w" }
		return o
	}
	check("values", main, w(Options{VarFiles: []File{{Name: "x.dsvars.hcl", Bytes: []byte("v = " + q + "\n")}}}))
	check("values unknown", main, w(Options{VarFiles: []File{{Name: "x.dsvars.hcl", Bytes: []byte("vv = " + q + "\n")}}}))
	check("values broken", main, w(Options{VarFiles: []File{{Name: "x.dsvars.hcl", Bytes: []byte("v = " + q + " " + q + "\n")}}}))
	check("values JSON", main, w(Options{VarFiles: []File{{Name: "x.dsvars.hcl.json", Bytes: []byte(`{"v":"` + canary + `"}`)}}}))
	check("flag", main, w(Options{Vars: map[string]string{"v": canary}}))
	check("flag expression", main, Options{Vars: map[string]string{"v": "1", "w": `["` + canary + `"]`}})
	check("flag expression broken", main, Options{Vars: map[string]string{"v": "1", "w": `["` + canary}})
	check("environment", main, Options{EnvVar: func(n string) (string, bool) { return canary, true }})
}

// TestSeenBefore checks that every sensitive value that Load comes to know is told before Load returns.
func TestSeenBefore(t *testing.T) {
	seen := map[string]bool{}
	load(t, `
variable "v" {
  sensitive = true
  default   = { a = ["in-variable"] }
}
locals {
  x = sensitive("in-function")
}
credential "sql" "a" {
  username = "u"
  password = "in-attribute"
}
`, func(o *Options) {
		o.Seen = func(values ...string) {
			for _, v := range values {
				seen[v] = true
			}
		}
	})
	for _, want := range []string{"in-variable", "in-function", "in-attribute"} {
		if !seen[want] {
			t.Errorf("%s was not told: %v", want, seen)
		}
	}
}

// TestResolveHides checks that a secret that is read late shows in no diagnostic.
func TestResolveHides(t *testing.T) {
	c := load(t, `
locals {
  s = secret::file("s")
}
credential "gcp" "a" {
  json = jsondecode(local.s)
}
credential "gcp" "b" {
  json = local.s + 1
}
credential "gcp" "c" {
  key_file = try(local.s, "x")
}
credential "azure" "d" {
  account_key = format("%d", local.s)
}
`)
	w := &fakeSecrets{files: map[string]string{"s": canary + "\nsecond line of it\n"}}
	for _, d := range c.Decls {
		_, _, diags := c.Resolve(t.Context(), d, w)
		text := shown(c, diags)
		if !diags.HasErrors() || strings.Contains(text, "C4n4ry") || strings.Contains(text, "second line") {
			t.Errorf("%s: %s", d.Name, text)
		}
	}
}

// TestControlCharacters checks that what a stranger wrote cannot drive the terminal (promise R32).
func TestControlCharacters(t *testing.T) {
	src := "datastore \"local\" \"a\\u001b[31m\" {\n \u202epath\x1b]52;c;x\x07 = \"\x1b[2J\"\n}\nfoo\u200f \"\u009b\" {}\n"
	c, diags := Load([]File{{Name: "m\x1b.dsrun.hcl", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
	var b bytes.Buffer
	_ = Render(&b, c.Diags(diags), 80, false)
	if !diags.HasErrors() || strings.ContainsAny(b.String(), "\x1b\x07\u202e\u200f\u009b") {
		t.Errorf("%q", b.String())
	}
}
