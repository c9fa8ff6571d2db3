package starlib

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// hidden are the functions that rewritten trees call. Their names cannot be written in a script.
var hidden = map[string]*starlark.Builtin{}

// hiddenFile is the file name of helper functions that are written in Starlark.
const hiddenFile = "<hidden>"

func rewrite(tree, resolved *syntax.File) {}
