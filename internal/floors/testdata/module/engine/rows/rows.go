package rows

import (
	_ "embed"
	"fmt"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store" // WANT "imports run downward"
	"github.com/unknown/thing"            // WANT "not in the table"
)

var _ = fmt.Sprint(fault.X, store.X, thing.X)
