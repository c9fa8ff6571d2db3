package starlib

import (
	"fmt"
	"github.com/dsrun/dsrun/internal/spell"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
)

// thisStream is the receiver of a stream's method.
func thisStream(c *Call) *Stream { return c.Recv.(*Stream) }

// then returns the receiver with a step added, in the scope of the call.
func then(c *Call, s Step) (starlark.Value, error) {
	return newStream(c.Run, thisStream(c).plan.then(s)), nil
}

// streamOf returns anything iterable as a stream.
func streamOf(c *Call, v starlark.Iterable) *Stream {
	if s, ok := v.(*Stream); ok {
		return s
	}
	return newStream(c.Run, &Plan{Source: PlanSource{Op: "of", values: v}})
}

var streamOfFn = Declare(Func{
	Name: "stream.of", Returns: "stream",
	Doc:     "A stream of the elements of a list or another iterable. Dicts and structs become rows; then all elements must be rows.",
	Example: `stream.of([1, 2, 3]).map(lambda n: n * n).collect()  # -> [1, 4, 9]`,
}, func(p *Params) Impl {
	it := p.Iterable("iterable", "The elements.")
	return func(c *Call) (starlark.Value, error) { return streamOf(c, it.Get(c)), nil }
})

// plansOf returns the plans of iterables.
func plansOf(c *Call, args starlark.Tuple) ([]*Plan, error) {
	plans := make([]*Plan, len(args))
	for i, a := range args {
		it, ok := a.(starlark.Iterable)
		if !ok {
			return nil, c.Errorf("argument %d: got %s, want stream or list", i+1, a.Type())
		}
		plans[i] = streamOf(c, it).plan
	}
	return plans, nil
}

var streamConcatFn = Declare(Func{
	Name: "stream.concat", Returns: "stream",
	Doc:     "The elements of streams or lists, one after another.",
	Example: `stream.concat([1, 2], [3]).collect()  # -> [1, 2, 3]`,
}, func(p *Params) Impl {
	streams := p.Rest("streams", "Streams or lists.")
	return func(c *Call) (starlark.Value, error) {
		plans, err := plansOf(c, streams.Get(c))
		if err != nil {
			return nil, err
		}
		return newStream(c.Run, &Plan{Source: PlanSource{Op: "concat", Plans: plans}}), nil
	}
})

// Attr returns a method.
func (s *Stream) Attr(name string) (starlark.Value, error) {
	if v := streamMethods.Bind(s, name); v != nil {
		return v, nil
	}
	if n := spell.Nearest(name, streamMethods.Names()); n != "" {
		return nil, nil // the interpreter suggests it
	}
	return nil, fault.Hinted(fault.InvalidArgument, "A stream gives rows one by one: loop over it, or take .first().", "stream has no .%s field or method", bound(name, 80))
}

// AttrNames lists the methods.
func (s *Stream) AttrNames() []string { return streamMethods.Names() }

var streamMethods = NewMethods("stream", "A lazy sequence of rows, objects or values: nothing is read before a loop or a method such as count, collect or write asks for it, and each of them reads anew.",
	nil, streamMap, streamFilter, streamFlatMap, streamSelect, streamDrop, streamRename, streamAdd, streamCast, streamTake, streamSkip,
	streamBatch, streamEnumerate, streamDistinct, streamSort, streamJoin, streamConcat, streamGroup, streamStats,
	streamCount, streamFirst, streamCollect, streamEach, streamReduce, streamShow)

var rowMethods = NewMethods("row", "A row of a table: r.col and r[\"col\"] are its cells. It never changes.", nil, rowGet, rowKeys, rowValues, rowToDict)

// String describes the plan: raw.read("*.csv").filter().take().
func (p *Plan) String() string {
	var b strings.Builder
	switch s := p.Source; s.Op {
	case "of", "concat":
		b.WriteString(s.Op)
	default:
		fmt.Fprintf(&b, "%s.%s(%s)", s.Store, s.Op, repr(starlark.String(s.Pattern), 200))
	}
	for i, s := range p.Steps {
		if b.Len() > 1000 {
			fmt.Fprintf(&b, " and %d more", len(p.Steps)-i)
			break
		}
		b.WriteString("." + s.Op + "()")
	}
	return b.String()
}
