package engine

import (
	"os"
	"path/filepath"
)

func run() {
	_, _ = filepath.Glob("*") // WANT "filepath.Glob"
	_, _ = os.OpenRoot("x")   // WANT "os.OpenRoot"
}
