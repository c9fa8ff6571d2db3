package spell

import (
	"os"

	"github.com/agext/levenshtein"
	"github.com/dsrun/dsrun/engine/store" // WANT "imports run downward"
)

var _ = os.Getenv("X") // WANT "os.Getenv"
