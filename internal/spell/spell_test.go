package spell

import "testing"

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name, want string
		from       []string
	}{
		{"nmae", "name", []string{"mode", "name"}},
		{"rnu", "run", []string{"rm", "run"}},
		{"pth", "path", []string{"create", "path"}},
		{"maxbad", "max_bad", []string{"max_bad"}},
		{"max-bad", "max_bad", []string{"max_bad"}},
		{"locall", "local", []string{"memory", "local"}},
		{"ls", "", []string{"rm", "cp"}},
		{"x", "", []string{"y"}},
		{"name", "", []string{"name"}},
		{"account", "account_key", []string{"region", "account_key"}},
		{"ünïcode", "unicode", []string{"unicode"}},
		{"", "", []string{"a"}},
		{"quite_another", "", []string{"datastore"}},
	} {
		if got := Nearest(c.name, c.from); got != c.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", c.name, c.from, got, c.want)
		}
	}
}
