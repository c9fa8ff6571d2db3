package main

import "os"

func world() { _, _ = os.Args, os.Stdout; os.Exit(0) }
