package config

import (
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider" // WANT "of the same floor"
	"github.com/dsrun/dsrun/starlib"         // WANT "of the same floor"
	"github.com/hashicorp/hcl/v2"
	"go.starlark.net/syntax" // WANT "whose place is"
)
