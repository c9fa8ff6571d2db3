package memory_test

import (
	"testing"

	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open:      func(testing.TB) store.Driver { return memory.New("m", 1<<30, nil) },
		Again:     func(_ testing.TB, d store.Driver) store.Driver { return d.(*memory.Driver).Handle() },
		InProcess: true,
	})
}
