package starlib

import (
	"fmt"

	"go.starlark.net/starlark"
)

// aggregate is what agg.sum("x") and its like return: a description that group() carries out.
type aggregate struct{ op, column string }

func (a *aggregate) String() string {
	if a.column == "" {
		return "agg." + a.op + "()"
	}
	return fmt.Sprintf("agg.%s(%s)", a.op, repr(starlark.String(a.column), 200))
}
func (*aggregate) Type() string          { return "aggregate" }
func (*aggregate) Freeze()               {}
func (*aggregate) Truth() starlark.Bool  { return true }
func (*aggregate) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: aggregate") }

// newAggregate declares an aggregate of a column.
func newAggregate(op, doc, example string) *Function {
	return Declare(Func{Name: "agg." + op, Returns: "aggregate", Doc: doc, Example: example}, func(p *Params) Impl {
		column := p.String("column", "The column.")
		return func(c *Call) (starlark.Value, error) { return &aggregate{op, column.Get(c)}, nil }
	})
}

var aggCount = Declare(Func{
	Name: "agg.count", Returns: "aggregate",
	Doc:     "The number of rows of the group.",
	Example: `stream.of([{"k": 1}, {"k": 1}]).group("k", n = agg.count()).collect()[0].n  # -> 2`,
}, func(*Params) Impl {
	return func(*Call) (starlark.Value, error) { return &aggregate{op: "count"}, nil }
})

var aggModule = NewModule("agg", "What group() makes of the rows that have the same key. Cells that are None do not count.", nil,
	aggCount,
	newAggregate("sum", "The sum of a column of numbers.", `stream.of([{"k": 1, "x": 2}, {"k": 1, "x": 3}]).group("k", x = agg.sum("x")).first().x  # -> 5`),
	newAggregate("mean", "The mean of a column of numbers; None where there is none.", `stream.of([{"k": 1, "x": 2}, {"k": 1, "x": 3}]).group("k", x = agg.mean("x")).first().x  # -> 2.5`),
	newAggregate("min", "The least value of a column.", `stream.of([{"k": 1, "x": 2}, {"k": 1, "x": 3}]).group("k", x = agg.min("x")).first().x  # -> 2`),
	newAggregate("max", "The greatest value of a column.", `stream.of([{"k": 1, "x": 2}, {"k": 1, "x": 3}]).group("k", x = agg.max("x")).first().x  # -> 3`),
	newAggregate("distinct", "How many different values a column has.", `stream.of([{"k": 1, "x": 2}, {"k": 1, "x": 2}]).group("k", x = agg.distinct("x")).first().x  # -> 1`),
)

var streamModule = NewModule("stream", "Streams of a script's own making.", nil, streamOfFn, streamConcatFn)
