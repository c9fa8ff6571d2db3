// Package testbed is what tests stand on: real servers started by name on loopback, each with a port and a folder of its
// own, and the scale at which tests run. Protocol fakes and the fault server are in its folders.
//
// A server is a Server value in a file of its own, such as toxiproxy.go. A test that wants it says
//
//	i := testbed.Toxiproxy.Start(t)
//
// and talks to i.Addr until its end. Where the program is missing the test is skipped with the reason, or fails when
// DSRUN_TESTBED=require. Programs are looked for in the folder DSRUN_TESTBED_BIN (default .cache/testbed/bin below the
// module's root) and on PATH. Each use is a line in the file that DSRUN_TESTBED_LOG names.
package testbed
