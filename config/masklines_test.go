package config

import (
	"bytes"
	"strings"
	"testing"
)

// A secret in the line after a quote or bracket that is not closed is masked too.
func TestMaskAfterOpenQuote(t *testing.T) {
	for _, src := range []string{
		"credential \"x\" \"y\" {\n  method = \"m\n  password = \"c4n4ry\\\"<é&\"\n}\n",
		"credential \"x\" \"y\" {\n  method = [\"m\"\n  password = [\"c4n4ry\\\"<é&\"\n}\n",
	} {
		c, diags := Load([]File{{Name: "a.dsrun.hcl", Dir: "/", Bytes: []byte(src)}}, Options{Schemas: testSchemas()})
		if len(diags) == 0 {
			t.Errorf("no mistake in %q", src)
		}
		var b bytes.Buffer
		if err := Render(&b, c.Diags(diags), 100, false); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "c4n4") {
			t.Errorf("shown: %s", b.String())
		}
	}
}
