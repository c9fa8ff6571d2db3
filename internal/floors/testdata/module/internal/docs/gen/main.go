package main

import (
	"os"

	"github.com/dsrun/dsrun/engine/providers"
	"github.com/unknown/thing"
)

func main() { os.Exit(len(os.Args)) }
