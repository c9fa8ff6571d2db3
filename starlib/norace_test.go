//go:build !race

package starlib

const raceEnabled = false
