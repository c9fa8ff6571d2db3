package starlib

import (
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"go.starlark.net/starlark"
)

// eachElement calls fn with every element of the receiver, on the call's thread. Functions of the plan and fn take
// turns: each element is made when fn has dealt with the one before.
func eachElement(c *Call, fn func(starlark.Value) error) error {
	return thisStream(c).EachErr(c.Thread, fn)
}

var streamCount = Declare(Func{
	Name: "stream.count", Returns: "int",
	Doc:     "How many elements there are. The stream is read to its end.",
	Example: `stream.of([1, 2, 3]).count()  # -> 3`,
}, func(*Params) Impl {
	return func(c *Call) (starlark.Value, error) {
		n := 0
		x := newExec(c.Run, c.Thread)
		err := x.drain(thisStream(c).plan, func(k chunk) error {
			n += k.len()
			return nil
		})
		return starlark.MakeInt(n), err
	}
})

var streamFirst = Declare(Func{
	Name: "stream.first", Returns: "any",
	Doc:     "The first element, or the default when there is none. Nothing more is read than is needed for it.",
	Example: `stream.of([1, 2]).filter(lambda n: n > 5).first(default = 0)  # -> 0`,
}, func(p *Params) Impl {
	def := p.Value("default", "What an empty stream gives.").Default(starlark.None)
	return func(c *Call) (starlark.Value, error) {
		var f feed
		if err := f.start(newExec(c.Run, c.Thread), thisStream(c).plan); err != nil {
			return nil, err
		}
		defer f.close()
		v, err := f.next(1)
		if err == io.EOF {
			return def.Get(c), c.Run.Err()
		}
		return v, err
	}
})

var streamCollect = Declare(Func{
	Name: "stream.collect", Returns: "list",
	Doc:     "All elements as a list. More than the limit are an error of code limit, so that a stream that is larger than expected does not fill the memory.",
	Example: `stream.of(range(3)).collect()  # -> [0, 1, 2]`,
}, func(p *Params) Impl {
	limit := p.Int("limit", "The most elements that are accepted.").Default(100_000)
	return func(c *Call) (starlark.Value, error) {
		var list []starlark.Value
		err := eachElement(c, func(v starlark.Value) error {
			if int64(len(list)) >= limit.Get(c) {
				return c.Fn.fail(fault.Limit, "Loop over the stream, take() a part of it, or raise limit=.", "the stream has more than %d elements", limit.Get(c))
			}
			if len(list) == cap(list) { // growing takes as much again, and a value is not free
				if err := c.Run.Charge(int64(len(list)) * 64); err != nil {
					return err
				}
			}
			list = append(list, v)
			return nil
		})
		if err != nil {
			return nil, err
		}
		return starlark.NewList(list), nil
	}
})

var streamEach = Declare(Func{
	Name: "stream.each", Returns: "int",
	Doc:     "Calls a function with each element for its effect and returns how many there were.",
	Example: `stream.of(["a", "b"]).each(lambda s: print(s))  # -> 2`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "Called with an element; its result is ignored.")
	return func(c *Call) (starlark.Value, error) {
		n := 0
		f := newExec(c.Run, c.Thread).fn(refTo(fn.Get(c)))
		err := eachElement(c, func(v starlark.Value) error {
			n++
			_, err := f.call(v)
			return err
		})
		return starlark.MakeInt(n), err
	}
})

var streamReduce = Declare(Func{
	Name: "stream.reduce", Returns: "any",
	Doc:     "What a function makes of the result so far and each element in turn, beginning with the initial value.",
	Example: `stream.of([1, 2, 3]).reduce(lambda sum, n: sum + n, 0)  # -> 6`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "Called with the result so far and an element.")
	initial := p.Value("initial", "The first result.")
	return func(c *Call) (starlark.Value, error) {
		acc := initial.Get(c)
		f := newExec(c.Run, c.Thread).fn(refTo(fn.Get(c)))
		err := eachElement(c, func(v starlark.Value) (err error) {
			acc, err = f.call(acc, v)
			return err
		})
		return acc, err
	}
})
