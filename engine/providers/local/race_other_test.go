//go:build !linux

package local

import "os"

// exchange swaps two names in three steps.
func exchange(a, b string) {
	os.Rename(a, a+"~")
	os.Rename(b, a)
	os.Rename(a+"~", b)
}
