package starlib

import (
	"errors"
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

var jsonModule = NewModule("json", "JSON texts.", nil,
	Declare(Func{Name: "json.encode", Doc: "A value as JSON. Dicts, rows and structs become objects in their own order, lists, tuples and streams arrays, times RFC 3339 strings.", Returns: "string", Example: `
json.encode({"b": 1, "a": [None, True, 1.5]})  # -> '{"b":1,"a":[null,true,1.5]}'
json.encode([1], indent = "  ")  # -> "[\n  1\n]"
`}, func(p *Params) Impl {
		x := p.Value("x", "The value.")
		indent := p.String("indent", "What one level is indented by; \"\" writes one line.").Default("")
		return func(c *Call) (starlark.Value, error) {
			if strings.Trim(indent.Get(c), " \t") != "" || len(indent.Get(c)) > 16 {
				return nil, c.Errorf("for parameter indent: want up to 16 spaces or tabs")
			}
			s, err := encodeJSON(c.Thread, x.Get(c), indent.Get(c))
			if err != nil {
				return nil, c.jsonFault(err)
			}
			return starlark.String(s), nil
		}
	}),
	Declare(Func{Name: "json.decode", Doc: "The value that a JSON text holds. Objects become dicts in their own order; numbers with a point or an exponent become floats.", Returns: "any", Example: `
json.decode('{"b": 1, "a": [null, true, 1.5]}')  # -> {"b": 1, "a": [None, True, 1.5]}
json.decode("[1, 2", default = None)  # -> None
`}, func(p *Params) Impl {
		text := p.Bytes("text", "The text.")
		def := p.Value("default", "What a text that is no JSON gives instead of an error.").Optional()
		return func(c *Call) (starlark.Value, error) {
			v, err := decodeJSON(c.Run, text.Get(c))
			var bad *jsonError
			if errors.As(err, &bad) {
				if def.Set(c) {
					return def.Get(c), nil
				}
				return nil, c.Fn.fail(fault.InvalidArgument, "", "%w", err)
			}
			return v, err
		}
	}),
	Declare(Func{Name: "json.indent", Doc: "A JSON text with one element a line.", Returns: "string", Example: `json.indent("[1]")  # -> "[\n  1\n]"`}, func(p *Params) Impl {
		text := p.Bytes("text", "The text.")
		indent := p.String("indent", "What one level is indented by.").Default("  ")
		return func(c *Call) (starlark.Value, error) {
			if strings.Trim(indent.Get(c), " \t") != "" || len(indent.Get(c)) > 16 {
				return nil, c.Errorf("for parameter indent: want up to 16 spaces or tabs")
			}
			v, err := decodeJSON(c.Run, text.Get(c))
			if err != nil {
				return nil, c.jsonFault(err)
			}
			s, err := encodeJSON(c.Thread, v, indent.Get(c))
			if err != nil {
				return nil, c.jsonFault(err)
			}
			return starlark.String(s), nil
		}
	}),
)

// jsonFault words an error of the JSON functions; limits and failures of streams pass as they are.
func (c *Call) jsonFault(err error) error {
	var stop *stopError
	var f *fault.Error
	if errors.As(err, &stop) {
		return stop
	}
	if errors.As(err, &f) {
		return err
	}
	return c.Errorf("%w", err)
}
