package config

import (
	"path"
	"slices"
	"strings"
)

// Select picks from the names of a folder's files those that belong to a configuration: dsrun.hcl, *.dsrun.hcl and
// *.dsrun.hcl.json as main files, *_override.dsrun.hcl (and .json) as overrides, *.auto.dsvars.hcl (and .json) as
// values, each in order of name. Load wants the main files followed by the overrides. Hidden files are left out: editors
// keep unfinished copies in them.
func Select(names []string) (main, overrides, autovars []string) {
	for _, n := range names {
		base := path.Base(n)
		plain := strings.TrimSuffix(base, ".json")
		switch {
		case strings.HasPrefix(base, "."):
		case isOverride(n):
			overrides = append(overrides, n)
		case plain == "dsrun.hcl" || strings.HasSuffix(plain, ".dsrun.hcl"):
			main = append(main, n)
		case strings.HasSuffix(plain, ".auto.dsvars.hcl"):
			autovars = append(autovars, n)
		}
	}
	slices.Sort(main)
	slices.Sort(overrides)
	slices.Sort(autovars)
	return main, overrides, autovars
}

// isOverride reports whether a file replaces attributes of the others.
func isOverride(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, ".json"), "_override.dsrun.hcl")
}

// sortedSet returns the names in order, each once.
func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
