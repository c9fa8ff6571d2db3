package testbed

import "os"

// Long reports whether tests run at full figures (DSRUN_TEST_LONG=1) instead of the small scale that takes seconds.
func Long() bool { return os.Getenv("DSRUN_TEST_LONG") == "1" }

// Scale returns short, or long when tests run at full figures.
func Scale[T any](short, long T) T {
	if Long() {
		return long
	}
	return short
}
