package storetest

import (
	"os"

	"github.com/dsrun/dsrun/engine/providers/memory" // WANT "imports run downward"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/deps" // WANT "for tests and tools"
	"github.com/dsrun/dsrun/internal/testbed"
	"go.uber.org/goleak"
)

func use() { _, _ = os.ReadFile("/proc/self/fd"); os.Exit(0) } // WANT "os.Exit"
