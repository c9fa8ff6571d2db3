package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRender(t *testing.T) {
	src := "datastore \"local\" \"inbox\" {\n\tpth  = \"日本\" # x\n  path = \"data\"\n}\n"
	c, diags := Load([]File{{Name: "a.dsrun.hcl", Dir: "/", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
	list := c.Diags(diags)
	var b bytes.Buffer
	if err := Render(&b, list, 50, false); err != nil {
		t.Fatal(err)
	}
	want := `Error: Unsupported argument

  on a.dsrun.hcl line 2, in datastore "local" "inbox":
     2 |     pth  = "日本" # x
       |     ^^^

  datastore "local" "inbox" has no argument "pth".
  Did you mean "path"?
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	j, _ := json.Marshal(list)
	wantJSON := `[{"severity":"error","summary":"Unsupported argument","detail":"datastore \"local\" \"inbox\" has no argument \"pth\". Did you mean \"path\"?","file":"a.dsrun.hcl","line":2,"col":2,"end_line":2,"end_col":5,"snippet":{"context":"datastore \"local\" \"inbox\"","code":"    pth  = \"日本\" # x","before":"    ","highlight":"pth","after":"  = \"日本\" # x"}}]`
	if string(j) != wantJSON {
		t.Errorf("got:\n%s\nwant:\n%s", j, wantJSON)
	}
	b.Reset()
	_ = Render(&b, list, 0, true)
	if !strings.Contains(b.String(), "\x1b[1;31m^^^\x1b[0m") {
		t.Errorf("no colour: %q", b.String())
	}
	if err := Render(brokenWriter{}, list, 0, false); err == nil {
		t.Error("a broken writer gives no error")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestUnderlineWide checks that the underline stands below wide characters and that long lines are cut around it.
func TestUnderlineWide(t *testing.T) {
	src := "locals {\n a = \"日本語\" + nope\n b = [" + strings.Repeat("\"x\", ", 200) + "nope, " + strings.Repeat("1, ", 200) + "]\n}\n"
	c, diags := Load([]File{{Name: "a.dsrun.hcl", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
	var b bytes.Buffer
	_ = Render(&b, c.Diags(diags), 80, false)
	lines := strings.Split(b.String(), "\n")
	if !strings.HasSuffix(lines[4], "| "+strings.Repeat(" ", 16)+"^^^^") || !strings.HasSuffix(lines[3], `|  a = "日本語" + nope`) {
		t.Errorf("got\n%s", b.String())
	}
	for _, l := range lines {
		if utf8.RuneCountInString(l) > 80 {
			t.Errorf("line of %d bytes", len(l))
		}
	}
}

func TestFormat(t *testing.T) {
	for src, want := range map[string]string{
		"a=1\n":                       "a = 1\n",
		"a = 1":                       "a = 1\n",
		"b {\r\n x=1\r\n yy = 2\r\n}": "b {\n  x  = 1\n  yy = 2\n}\n",
		"\xef\xbb\xbfa=1\n":           "a = 1\n",
		"":                            "",
		"a = <<E\n  x\nE\n":           "a = <<E\n  x\nE\n",
	} {
		got, _, diags := Format(File{Name: "f.dsrun.hcl", Bytes: []byte(src)})
		if diags.HasErrors() || string(got) != want {
			t.Errorf("%q: got %q, want %q, %v", src, got, want, diags)
		}
	}
	for _, bad := range []string{"a = ", "a = \"x\n", "\x00", strings.Repeat("(", 1000), "a = " + strings.Repeat("[", 300)} {
		got, c, diags := Format(File{Name: "f.dsrun.hcl", Bytes: []byte(bad)})
		if !diags.HasErrors() || string(got) != bad || len(c.Diags(diags)) == 0 {
			t.Errorf("%.20q: got %.20q, %v", bad, got, diags)
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, x := range [][2]string{{"pth", "path"}, {"Path", "path"}, {"max-attempts", "max_attempts"}, {"concurrency", "max_concurrency"}, {"zzz", ""}, {"", ""},
		{"buckt", "bucket"}, {"regoin", "region"}, {strings.Repeat("x", 1000), ""}, {"path", ""}} {
		if got := Suggest(x[0], []string{"path", "max_attempts", "max_concurrency", "bucket", "region"}); got != x[1] {
			t.Errorf("%q: got %q, want %q", x[0], got, x[1])
		}
	}
}
