package starlib

import (
	"github.com/dsrun/dsrun/config"              // WANT "of the same floor"
	"github.com/dsrun/dsrun/engine/providers/s3" // WANT "imports run downward"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/zclconf/go-cty/cty" // WANT "whose place is"
	"go.starlark.net/starlark"
)

func (f *Fields) Method() {}

func use(f *Fields) { f.Method() }
