package providers

import (
	"github.com/dsrun/dsrun/engine" // WANT "of the same floor"
	"github.com/dsrun/dsrun/engine/providers/s3"
)
