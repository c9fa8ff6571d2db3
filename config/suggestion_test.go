package config

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestNameFrom(t *testing.T) {
	for text, want := range map[string]string{"my-bucket": "my_bucket", "My.Bucket": "my_bucket", "2024-raw": "raw", "$web": "web", "default": "default_data", "for": "for_data", "日本": "", "": "", "---": "",
		strings.Repeat("a", 70): strings.Repeat("a", 60), "org/name": "org_name"} {
		if got := NameFrom(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if want != "" && !nameForm.MatchString(want) {
			t.Errorf("%q is no name", want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, text := range []string{"", "plain", `"`, `\`, "${x}", "%{x}", "$${x}", "$", "%", "a\nb", "\x1b[31m", "日本\u202e", "$$", "a$"} {
		src := Quote(text)
		e, diags := hclsyntax.ParseExpression([]byte(src), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Errorf("%q: %s: %v", text, src, diags)
			continue
		}
		v, diags := e.Value(nil)
		if diags.HasErrors() || v.AsString() != text {
			t.Errorf("%q: %s is %#v, %v", text, src, v, diags)
		}
		if strings.ContainsAny(src, "\n\x1b\u202e") {
			t.Errorf("%q: %q could drive a terminal", text, src)
		}
	}
}
