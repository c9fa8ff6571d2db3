package starlib

import (
	"strings"

	"github.com/agext/levenshtein"
)

// nearest returns the candidate that is most like name, or "" when none is near enough to be a slip of the fingers.
// Case and underscores weigh nothing.
func nearest(name string, candidates []string) string {
	fold := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	want := fold(name)
	if want == "" || len(want) > 64 {
		return ""
	}
	best, bestDist := "", 4
	switch {
	case len(want) <= 4:
		bestDist = 1
	case len(want) <= 7:
		bestDist = 2
	case len(want) <= 11:
		bestDist = 3
	}
	for _, c := range candidates {
		if c == name {
			continue
		}
		if d := levenshtein.Distance(want, fold(c), nil); d < bestDist || d == bestDist && best == "" {
			best, bestDist = c, d
		}
	}
	return best
}

// didYouMean returns ` (did you mean x?)` or "".
func didYouMean(name string, candidates []string, quote string) string {
	if n := nearest(name, candidates); n != "" {
		return " (did you mean " + quote + n + quote + "?)"
	}
	return ""
}
