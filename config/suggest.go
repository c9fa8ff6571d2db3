package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/internal/spell"
)

// Suggest returns the candidate that name is probably a misspelling of, or "".
func Suggest(name string, candidates []string) string { return spell.Nearest(name, candidates) }

// didYouMean returns " Did you mean "x"?" or "".
func didYouMean(name string, candidates []string) string {
	if s := Suggest(name, candidates); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}

// list writes names in a sentence: "a", "b" and "c".
func list(names []string, and string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	switch n := len(quoted); n {
	case 0:
		return "nothing"
	case 1:
		return quoted[0]
	default:
		return strings.Join(quoted[:n-1], ", ") + " " + and + " " + quoted[n-1]
	}
}

// plain writes names in a sentence without quotes.
func plain(names []string, and string) string { return strings.ReplaceAll(list(names, and), `"`, "") }

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
