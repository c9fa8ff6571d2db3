package starlib

import "go.starlark.net/starlark"

// thisRow is the receiver of a row's method.
func thisRow(c *Call) *Row { return c.Recv.(*Row) }

var rowGet = Declare(Func{
	Name: "row.get", Returns: "any",
	Doc:     "The cell of a column, or the default when the row has no such column.",
	Example: `stream.of([{"a": 1}]).first().get("b", 0)  # -> 0`,
}, func(p *Params) Impl {
	column := p.String("column", "The column.")
	def := p.Value("default", "What a row without the column gives.").Default(starlark.None)
	return func(c *Call) (starlark.Value, error) {
		if v := thisRow(c).lookup(column.Get(c)); v != nil {
			return v, nil
		}
		return def.Get(c), nil
	}
})

var rowKeys = Declare(Func{
	Name: "row.keys", Returns: "list[string]",
	Doc:     "The names of the columns.",
	Example: `stream.of([{"a": 1, "b": 2}]).first().keys()  # -> ["a", "b"]`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) { return fromGo(thisRow(c).fields()), nil }
})

var rowValues = Declare(Func{
	Name: "row.values", Returns: "list",
	Doc:     "The cells, in the order of the columns.",
	Example: `stream.of([{"a": 1, "b": 2}]).first().values()  # -> [1, 2]`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) {
		r := thisRow(c)
		out := make([]starlark.Value, 0, len(r.h.names))
		for i := range r.h.names {
			if v := r.cell(i); v != nil {
				out = append(out, v)
			}
		}
		return starlark.NewList(out), nil
	}
})

var rowToDict = Declare(Func{
	Name: "row.to_dict", Returns: "dict",
	Doc:     "The row as a new dict.",
	Example: `stream.of([{"a": 1}]).first().to_dict()  # -> {"a": 1}`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) {
		r := thisRow(c)
		d := starlark.NewDict(len(r.h.names))
		for i, n := range r.h.names {
			if v := r.cell(i); v != nil {
				if err := d.SetKey(starlark.String(n), v); err != nil {
					return nil, err
				}
			}
		}
		return d, nil
	}
})
