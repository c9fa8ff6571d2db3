package main

import (
	"os"

	"github.com/dsrun/dsrun/engine"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/docs" // WANT "for tests and tools"
	"github.com/spf13/cobra"
)

func main() { os.Exit(1); _ = os.Args } // WANT "os.Args"
