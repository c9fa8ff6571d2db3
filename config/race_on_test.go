//go:build race

package config

// raceOn tells that the race detector is on: everything takes ten times as long, and stacks are larger.
const raceOn = true
