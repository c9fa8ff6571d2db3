//go:build race

package starlib

const raceEnabled = true
