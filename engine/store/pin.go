package store

import "time"

// identity says whether two descriptions are of one state of one object.
type identity int

const (
	unprovable identity = iota
	same
	other
)

// compare tells by ETag and version, else by size and time of modification, whether b is the state that a describes.
func compare(a, b Entry) identity {
	if a.Size >= 0 && b.Size >= 0 && a.Size != b.Size {
		return other
	}
	proven := unprovable
	for _, p := range [][2]string{{a.Version, b.Version}, {a.ETag, b.ETag}} {
		if p[0] == "" || p[1] == "" {
			continue
		}
		if p[0] != p[1] {
			return other
		}
		proven = same
	}
	if proven == same {
		return same
	}
	if a.Modified.IsZero() || b.Modified.IsZero() || a.Size < 0 || b.Size < 0 {
		return unprovable
	}
	if !sameTime(a.Modified, b.Modified) {
		return other
	}
	return same
}

// sameTime compares times as finely as the coarser of the two tells them: listings and replies of one service may
// differ in this.
func sameTime(a, b time.Time) bool {
	d := a.Sub(b).Abs()
	switch {
	case a.Nanosecond() == 0 || b.Nanosecond() == 0:
		return d < time.Second
	case a.Nanosecond()%1e6 == 0 || b.Nanosecond()%1e6 == 0:
		return d < time.Millisecond
	}
	return d < time.Microsecond
}
