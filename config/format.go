package config

import (
	"bytes"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns a file in the canonical style; formatting twice changes nothing more. A file that does not parse is
// returned as it is, with diagnostics: Config.Diags of the configuration that Format returns shows them. JSON is left as it is.
func Format(f File) ([]byte, *Config, hcl.Diagnostics) {
	c := &Config{src: newSources(), vars: map[string]*varDecl{}, sensitive: map[string]bool{}}
	l := &loader{c: c}
	src, _ := l.parse(f, strings.Contains(f.Name, ".dsvars."))
	if l.diags.HasErrors() || src.json {
		return f.Bytes, c, c.tidy(l.diags, &hidden{})
	}
	out := bytes.ReplaceAll(f.Bytes, []byte("\r\n"), []byte("\n"))
	out = bytes.TrimPrefix(out, []byte("\xef\xbb\xbf"))
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, '\n')
	}
	for range 4 {
		next := hclwrite.Format(out)
		if bytes.Equal(next, out) {
			break
		}
		out = next
	}
	if _, diags := hclsyntax.ParseConfig(out, f.Name, hcl.InitialPos); diags.HasErrors() {
		return f.Bytes, c, nil // never make a file worse
	}
	return out, c, nil
}
