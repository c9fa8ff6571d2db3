package memory_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

func TestStore(t *testing.T) {
	var n atomic.Int32 // stores of one name are one place
	storetest.Run(t, storetest.Harness{
		Open:      func(t testing.TB) store.Driver { return memory.New(fmt.Sprint("m", n.Add(1)), 1<<30, nil) },
		Again:     func(_ testing.TB, d store.Driver) store.Driver { return d.(*memory.Driver).Handle() },
		InProcess: true,
	})
}
