package starlib

import "github.com/dsrun/dsrun/internal/spell"

// didYouMean returns ` (did you mean x?)` or "".
func didYouMean(name string, candidates []string, quote string) string {
	if n := spell.Nearest(name, candidates); n != "" {
		return " (did you mean " + quote + n + quote + "?)"
	}
	return ""
}
