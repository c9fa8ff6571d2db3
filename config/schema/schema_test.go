package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/secret"

	"github.com/dsrun/dsrun/internal/testbed"
)

// thing has an attribute of each kind.
type thing struct {
	Method, Name, Path, Mode, Old string
	Token                         secret.String
	On                            bool
	N, Size                       int64
	Wait                          time.Duration
	List                          []string
	Map                           map[string]string
	Ref                           Ref
}

func (o *thing) Fields(f *Fields) {
	o.Size = 8 << 20
	f.String(&o.Name, "name", "Name of it.").Required().Eg(`"x"`)
	f.Path(&o.Path, "path", "Where it is.").FromEnv("THING_PATH")
	f.String(&o.Mode, "kind", "How | it is.").OneOf("a", "b").Default(`"a"`)
	f.String(&o.Old, "old", "What it was.").Instead("name")
	f.Secret(&o.Token, "token", "What opens it.")
	f.Bool(&o.On, "on", "Whether it is on.")
	f.Int(&o.N, "count_of", "How many.")
	f.Size(&o.Size, "size", "How large.").Default(`"8MiB"`)
	f.Duration(&o.Wait, "wait", "How long.")
	f.Strings(&o.List, "list", "Some texts.").OneOf("x", "y")
	f.Map(&o.Map, "map", "More texts.")
	f.Ref(&o.Ref, "source", "Another one.", "credential")
	f.Method(&o.Method, "default", "From around.").FromAmbient().Allows("path")
	f.Method(&o.Method, "token", "By token.").Needs("token").NeedsOneOf("path", "on").Allows("wait")
	f.ExactlyOneOf("map", "list")
	f.AtMostOneOf("map", "list")
	f.AtLeastOneOf("map", "list")
	f.AllOrNone("map", "list")
}

func thingBody() Body {
	return Body{Block: "credential", Label: "thing", Summary: "A thing.", Warning: "Old.", New: func() Fielder { return new(thing) }}
}

const thingPage = "# credential \"thing\" \"main\"\n" + `
A thing.

> **Note:** Old.

` + "```hcl" + `
credential "thing" "main" {
  name  = "x"
  path  = "path"
  token = env("TOKEN")
}
` + "```" + `

## Attributes

| attribute | type | default | meaning |
|---|---|---|---|
| ` + "`name`" + ` | string | required | Name of it. |
| ` + "`path`" + ` | path |  | Where it is. When nothing is set, from ` + "`THING_PATH`" + `. |
| ` + "`kind`" + ` | string | ` + "`\"a\"`" + ` | How \| it is. One of ` + "`a`, `b`" + `. |
| ` + "`old`" + ` | string |  | What it was. Deprecated: use name instead. |
| ` + "`token`" + ` | string, sensitive |  | What opens it. |
| ` + "`on`" + ` | bool |  | Whether it is on. |
| ` + "`count_of`" + ` | int |  | How many. |
| ` + "`size`" + ` | size | ` + "`\"8MiB\"`" + ` | How large. |
| ` + "`wait`" + ` | duration |  | How long. |
| ` + "`list`" + ` | list(string) |  | Some texts. One of ` + "`x`, `y`" + `. |
| ` + "`map`" + ` | map(string) |  | More texts. |
| ` + "`source`" + ` | reference to a credential |  | Another one. |

## Methods

The method is inferred from what is set; ` + "`method = \"...\"`" + ` names one.

| method | needs | takes | meaning |
|---|---|---|---|
| ` + "`default`" + ` |  | ` + "`path`" + ` | From around. |
| ` + "`token`" + ` | ` + "`token`, one of `path` or `on`" + ` | ` + "`wait`" + ` | By token. |

## Rules

- Exactly one of ` + "`map`, `list`" + ` is set.
- At most one of ` + "`map`, `list`" + ` is set.
- At least one of ` + "`map`, `list`" + ` is set.
- All of ` + "`map`, `list`" + ` are set, or none.
`

func TestReference(t *testing.T) {
	if got := Reference(thingBody()); got != thingPage {
		t.Errorf("got:\n%s\nwant:\n%s", got, thingPage)
	}
	for _, b := range []Body{SettingsBody(), ScriptBody(), GrantBody(), LimitsBody()} {
		if got := Reference(b); !strings.HasPrefix(got, "# "+b.Block) || !strings.Contains(got, "## Attributes") {
			t.Errorf("%s:\n%s", b.Block, got)
		}
	}
}

// TestCommonDocs checks that the documentation of what every block has is written as sentences, and its defaults.
func TestCommonDocs(t *testing.T) {
	for _, kind := range []string{"credential", "datastore", "topic"} {
		fs := &Fields{}
		var c Common
		CommonFields(fs, &c, kind, []string{"aws"})
		for _, f := range fs.List {
			if !strings.HasSuffix(f.Doc, ".") || f.Doc[0] < 'A' || f.Doc[0] > 'Z' {
				t.Errorf("%s %s: %q", kind, f.Name, f.Doc)
			}
			if s, ok := f.Target().(*string); ok && *s != "" && f.DefaultText != fmt.Sprintf("%q", *s) {
				t.Errorf("%s %s: default %q, documented as %s", kind, f.Name, *s, f.DefaultText)
			}
		}
		if got := strings.Contains(CommonReference(kind, []string{"aws"}), "`credential`"); got == (kind == "credential") {
			t.Errorf("%s: has a credential attribute: %v", kind, got)
		}
	}
}

func TestDeclareTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f := &Fields{}
	var s string
	f.String(&s, "a", "A.")
	f.String(&s, "a", "A.")
}

type things struct{}

func (things) Lookup(kind, label string) (Body, bool) {
	b := thingBody()
	b.Block = kind
	return b, label == "thing"
}

func (things) Labels(string) []string { return []string{"thing"} }

// TestJSONSchema checks that the schema is JSON whose references lead somewhere.
func TestJSONSchema(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(JSONSchema(things{}), &doc); err != nil {
		t.Fatal(err)
	}
	defs := doc["$defs"].(map[string]any)
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if r, ok := v["$ref"].(string); ok {
				found++
				if _, ok := defs[strings.TrimPrefix(r, "#/$defs/")]; !ok {
					t.Errorf("reference %q", r)
				}
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
	if found < 50 {
		t.Errorf("%d references", found)
	}
	text := string(JSONSchema(things{}))
	for _, want := range []string{`"writeOnly": true`, `"deprecated": true`, `"required_version"`, `"dead_letter"`, `"open_streams"`, `"error_message"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestJSONSchemaAccepts has an independent implementation judge good and bad documents by the schema.
func TestJSONSchemaAccepts(t *testing.T) {
	python := testbed.PythonModule(t, "jsonschema")
	dir := t.TempDir()
	schema := filepath.Join(dir, "schema.json")
	if err := os.WriteFile(schema, JSONSchema(things{}), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]bool{
		`{}`: true,
		`{"//": "x", "settings": {"timeout": "5m", "memory_limit": 100000000, "log_level": "${var.x}"}}`: true,
		`{"settings": {"log_level": "loud"}}`: false,
		`{"setings": {}}`:                     false,
		`{"credential": {"thing": {"main": {"name": "x", "token": "t", "on": true, "list": ["x"], "method": "token"}}}}`:                         true,
		`{"credential": {"thing": {"main": {"name": "x", "tokn": "t"}}}}`:                                                                        false,
		`{"credential": {"thing": {"main": {}}}}`:                                                                                                false,
		`{"credential": {"thing": {"Main": {"name": "x"}}}}`:                                                                                     false,
		`{"credential": {"other": {"main": {"name": "x"}}}}`:                                                                                     false,
		`{"datastore": {"thing": {"main": [{"name": "x", "mode": "read", "labels": {"a": 1}, "size": "1.5GiB", "on": "${true}"}]}}}`:             true,
		`{"datastore": {"thing": {"main": {"name": "x", "mode": "reed"}}}}`:                                                                      false,
		`{"datastore": {"thing": {"main": {"name": "x", "size": "8M"}}}}`:                                                                        false,
		`{"topic": {"thing": {"main": {"name": "x", "dead_letter": "${datastore.thing.main}", "durable": true, "wait": null}}}}`:                 true,
		`{"topic": {"thing": {"main": {"name": "x", "dead_letter": "main"}}}}`:                                                                   false,
		`{"variable": {"a": {"type": "string", "default": [1], "validation": {"condition": "${true}", "error_message": "x"}}}}`:                  true,
		`{"variable": {"a": {"defalt": 1}}}`:                                                                                                     false,
		`{"locals": {"a": {"b": [1]}}, "script": {"*.star": {"trust": "untrusted", "store": {"a": {"ops": ["list"]}}, "limits": {"steps": 1}}}}`: true,
		`{"script": {"*.star": {"store": {"a": {"ops": ["fly"]}}}}}`:                                                                             false,
	}
	var docs []string
	for doc := range cases {
		docs = append(docs, doc)
	}
	file := filepath.Join(dir, "docs.json")
	if err := os.WriteFile(file, []byte("["+strings.Join(docs, ",")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", `import json, sys, jsonschema
s = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(s)
v = jsonschema.Draft202012Validator(s)
for d in json.load(open(sys.argv[2])):
    print("bad" if list(v.iter_errors(d)) else "good")`, schema, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	verdicts := strings.Fields(string(out))
	if len(verdicts) != len(docs) {
		t.Fatalf("%s", out)
	}
	for i, doc := range docs {
		if good := verdicts[i] == "good"; good != cases[doc] {
			t.Errorf("%s: %s", doc, verdicts[i])
		}
	}
}
