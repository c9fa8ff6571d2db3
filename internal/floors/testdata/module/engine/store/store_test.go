package store

import (
	_ "encoding/gob"
	"os"
	"os/exec"

	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/unknown/thing" // WANT "not in the table"
	"go.uber.org/goleak"
)

func init() {}

func use() { os.Exit(0); _, _ = os.ReadFile(os.Args[0]) }
