// Package spell finds the name that was probably meant.
package spell

import "strings"

// maxName bounds the names that are compared, in bytes: a longer one is no slip of the fingers.
const maxName = 100

// Nearest returns the candidate that is most like name, or "" when none is near enough. Case, underscores, hyphens and
// blanks weigh nothing; two swapped characters count as one mistake. Of equals the first stands.
func Nearest(name string, candidates []string) string {
	want := []rune(fold(name))
	if len(want) == 0 || len(name) > maxName {
		return ""
	}
	best, least := "", allowed(len(want))+1
	for _, c := range candidates {
		have := []rune(fold(c))
		if c == name || len(c) > maxName {
			continue
		}
		d := distance(want, have)
		if len(want) >= 4 && (strings.HasPrefix(c, name+"_") || strings.HasSuffix(c, "_"+name)) {
			d = min(d, 1) // a word of the name
		}
		if d < least && d < max(len(want), len(have)) {
			best, least = c, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}

// allowed is how many mistakes a name of n characters may hold.
func allowed(n int) int {
	switch {
	case n <= 4:
		return 1
	case n <= 7:
		return 2
	}
	return 3
}

// distance counts insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string
// alignment).
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
