// Package testbed is what tests stand on: real servers started by name on loopback, and the scale at which tests run.
// Protocol fakes and the fault server are in its folders.
package testbed
