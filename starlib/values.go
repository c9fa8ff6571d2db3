package starlib

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// formatBytes returns a size for people: "1.5 GiB".
func formatBytes(n int64) string {
	f, u := float64(n), 0
	for (f >= 1023.95 || f <= -1023.95) && u < len(units)-1 {
		f /= 1024
		u++
	}
	if u == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[u]
}

// parseBytes reads a size such as "8MiB", "1.5 GB", "512". Units with an i are powers of 1024, others of 1000; case
// and spaces around the unit do not matter.
func parseBytes(s string) (int64, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '_' })
	num, unit := t, ""
	if i >= 0 {
		num, unit = t[:i], strings.ToLower(strings.TrimSpace(t[i:]))
	}
	mult := 1.0
	switch unit {
	case "", "b":
	default:
		p := strings.IndexByte("kmgtpe", unit[0])
		base := 1000.0
		switch {
		case p < 0:
			return 0, fmt.Errorf("invalid size %q, want a number and a unit such as \"8MiB\"", bound(s, 40))
		case unit[1:] == "" || unit[1:] == "b":
		case unit[1:] == "ib" || unit[1:] == "i":
			base = 1024
		default:
			return 0, fmt.Errorf("invalid size %q, want a number and a unit such as \"8MiB\"", bound(s, 40))
		}
		for range p + 1 {
			mult *= base
		}
	}
	num = strings.ReplaceAll(num, "_", "")
	if n, err := strconv.ParseInt(num, 10, 64); err == nil && mult == 1 {
		return n, nil
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || f*mult >= 1<<63 {
		return 0, fmt.Errorf("invalid size %q, want a number and a unit such as \"8MiB\"", bound(s, 40))
	}
	return int64(f * mult), nil
}

// asSize converts an argument of Params.Size.
func asSize(v starlark.Value) (int64, error) {
	switch v := v.(type) {
	case starlark.Int:
		if n, ok := v.Int64(); ok && n >= 0 {
			return n, nil
		}
		return 0, fmt.Errorf("%s is not a size", bound(v.String(), 40))
	case starlark.String:
		return parseBytes(string(v))
	}
	return 0, errType
}

// asDuration converts an argument of Params.Duration.
func asDuration(v starlark.Value) (time.Duration, error) {
	switch v := v.(type) {
	case startime.Duration:
		return time.Duration(v), nil
	case starlark.String:
		d, err := parseDuration(string(v))
		if err != nil {
			return 0, err
		}
		return d, nil
	}
	return 0, errType
}

// parseDuration reads Go's durations and whole days: "90s", "1h30m", "7d".
func parseDuration(s string) (time.Duration, error) {
	t := strings.TrimSpace(s)
	if days, ok := strings.CutSuffix(t, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n < 1e5 && n > -1e5 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(t)
	if err != nil {
		return 0, fmt.Errorf("invalid duration %q, want one such as \"90s\", \"1h30m\" or \"7d\"", bound(s, 40))
	}
	return d, nil
}
