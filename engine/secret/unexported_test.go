package secret

import (
	"fmt"
	"strings"
	"testing"
)

// A driver that is printed for debugging holds its secret in a field that fmt can read and not ask.
func TestUnexportedField(t *testing.T) {
	type driver struct {
		name  string
		token String
	}
	d := &driver{"d", New("canary-text")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{d, *d, []driver{*d}, map[string]*driver{"a": d}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "canary-text") || strings.Contains(s, fmt.Sprintf("%x", "canary-text")) {
				t.Errorf("%s shows the secret: %s", verb, s)
			}
		}
	}
	if d.token.Reveal() != "canary-text" || d.token.IsZero() || !New("").IsZero() || !(String{}).IsZero() || (String{}).Reveal() != "" {
		t.Error("reveal")
	}
}
