package azurerest

import (
	"crypto/rand"
	"strings"
)

// Files on their way have hidden names beside their target, in the form of those of datastore "local".
const (
	tempStart = ".dsrun-"
	tempEnd   = ".tmp"
	idLen     = 20
)

// TempLen is the length of a hidden name.
const TempLen = len(tempStart) + 1 + idLen + len(tempEnd)

// The kinds of hidden files.
const (
	TempPut    = 'p' // of one Put, which dies with its process
	TempUpload = 'u' // the bytes of an upload in parts
	TempState  = 's' // what is known of an upload in parts
)

// StaleDays is after how many days without a change a hidden file is taken for dead, as Azure drops blocks that nobody
// committed.
const StaleDays = 7

// NewID returns the id of a hidden file.
func NewID() string { return strings.ToLower(rand.Text()[:idLen]) }

// ValidID reports whether s is such an id.
func ValidID(s string) bool {
	if len(s) != idLen {
		return false
	}
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// TempName returns the hidden name beside key.
func TempName(key string, kind byte, id string) string {
	return key[:strings.LastIndexByte(key, '/')+1] + tempStart + string(kind) + id + tempEnd
}

// Hidden reads a hidden name, whose case does not matter.
func Hidden(base string) (kind byte, id string, ok bool) {
	if len(base) != TempLen {
		return 0, "", false
	}
	base = strings.ToLower(base)
	rest, ok1 := strings.CutPrefix(base, tempStart)
	rest, ok2 := strings.CutSuffix(rest, tempEnd)
	if !ok1 || !ok2 || !ValidID(rest[1:]) {
		return 0, "", false
	}
	return rest[0], rest[1:], true
}
