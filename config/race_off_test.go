//go:build !race

package config

// raceOn tells that the race detector is on.
const raceOn = false
