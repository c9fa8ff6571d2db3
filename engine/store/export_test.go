package store

import (
	"fmt"
	"sync/atomic"
)

var buckets atomic.Int64

// NewMemDriver lets the conformance suite, which imports this package, have the tests' own driver.
func NewMemDriver() Driver {
	d := newMem()
	d.caps.MaxKey = 1024
	d.caps.Why = map[string]string{"Part": "kept whole"}
	return &uriDriver{d, fmt.Sprintf("bucket-%d/", buckets.Add(1))}
}
