package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Suggest returns the candidate that name is probably a misspelling of, or "".
func Suggest(name string, candidates []string) string {
	if len(name) > 100 {
		return ""
	}
	best, least := "", 1+max(1, (len(name)+2)/3)
	for _, c := range candidates {
		if c == name {
			continue
		}
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(c), nil)
		if strings.ReplaceAll(c, "_", "") == strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name)) {
			d = 0
		}
		if len(name) >= 4 && (strings.HasPrefix(c, name+"_") || strings.HasSuffix(c, "_"+name)) {
			d = min(d, 2)
		}
		if d < least && d < max(len(name), len(c)) {
			best, least = c, d
		}
	}
	return best
}

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
