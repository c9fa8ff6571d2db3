//go:build !unix

package store

import "time"

var benchStart = time.Now()

func cpuTime() time.Duration { return time.Since(benchStart) }
