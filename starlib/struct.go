package starlib

import (
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

var fnStruct = Declare(Func{
	Name:    "struct",
	Doc:     "Makes an immutable value with the given fields.",
	Returns: "struct",
	Example: `
p = struct(x = 1, y = 2)
p.x + p.y  # -> 3
`}, func(p *Params) Impl {
	fields := p.KwRest("fields", "The fields.")
	return func(c *Call) (starlark.Value, error) {
		return starlarkstruct.FromKeywords(starlarkstruct.Default, fields.Get(c)), nil
	}
})

// newStruct returns a struct of the given fields.
func newStruct(d starlark.StringDict) *starlarkstruct.Struct {
	return starlarkstruct.FromStringDict(starlarkstruct.Default, d)
}
