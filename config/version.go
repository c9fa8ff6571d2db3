package config

import (
	"fmt"
	"strconv"
	"strings"
)

// versionAllowed reports whether a version fits a constraint such as ">= 1.2, < 2". A version that is no release is
// allowed everything: it is one that a developer built.
func versionAllowed(constraint, version string) (bool, error) {
	have, release := parseVersion(strings.TrimPrefix(version, "v"))
	ok := true
	for _, part := range strings.Split(constraint, ",") {
		part = strings.TrimSpace(part)
		op := part[:len(part)-len(strings.TrimLeft(part, "=!<>~"))]
		want, valid := parseVersion(strings.TrimSpace(part[len(op):]))
		if !valid {
			return false, fmt.Errorf("%q is no version constraint. Write comparisons with =, !=, <, <=, >, >= or ~>, separated by commas, such as \">= 1.2, < 2\".", part)
		}
		c := compareVersions(have, want)
		switch op {
		case "", "=":
			ok = ok && c == 0
		case "!=":
			ok = ok && c != 0
		case "<":
			ok = ok && c < 0
		case "<=":
			ok = ok && c <= 0
		case ">":
			ok = ok && c > 0
		case ">=":
			ok = ok && c >= 0
		case "~>": // the last number may grow: ~> 1.2 is >= 1.2, < 2
			next := append([]int{}, want...)
			if len(next) > 1 {
				next = next[:len(next)-1]
			}
			next[len(next)-1]++
			ok = ok && c >= 0 && compareVersions(have, next) < 0
		default:
			return false, fmt.Errorf("%q is no comparison. Use =, !=, <, <=, >, >= or ~>.", op)
		}
	}
	return ok || !release, nil
}

// parseVersion reads the numbers of a version; what follows a "-" or "+" does not count.
func parseVersion(s string) ([]int, bool) {
	s, _, _ = strings.Cut(s, "-")
	s, _, _ = strings.Cut(s, "+")
	var out []int
	for _, p := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || len(out) == 4 {
			return nil, false
		}
		out = append(out, int(n))
	}
	return out, true
}

func compareVersions(a, b []int) int {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}
