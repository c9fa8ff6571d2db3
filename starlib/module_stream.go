package starlib

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
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

var streamMap = Declare(Func{
	Name: "stream.map", Returns: "stream",
	Doc: "What a function makes of each element. A returned dict, struct or row is a row of the new stream; other values make a stream of values. " +
		"Returning None is an error.",
	Example: `stream.of([{"a": 1}]).map(lambda r: {"a": r.a + 1}).collect()[0].a  # -> 2`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "Called with an element.")
	return func(c *Call) (starlark.Value, error) { return then(c, Step{Op: "map", Fn: refTo(fn.Get(c))}) }
})

var streamFilter = Declare(Func{
	Name: "stream.filter", Returns: "stream",
	Doc:     "The elements for which a function returns a true value.",
	Example: `stream.of([1, 2, 3, 4]).filter(lambda n: n % 2 == 0).collect()  # -> [2, 4]`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "Called with an element.")
	return func(c *Call) (starlark.Value, error) { return then(c, Step{Op: "filter", Fn: refTo(fn.Get(c))}) }
})

var streamFlatMap = Declare(Func{
	Name: "stream.flat_map", Returns: "stream",
	Doc:     "All elements of the lists or streams that a function returns, one after another.",
	Example: `stream.of(["a b", "c"]).flat_map(lambda s: s.split(" ")).collect()  # -> ["a", "b", "c"]`,
}, func(p *Params) Impl {
	fn := p.Callable("fn", "Called with an element; returns a list, tuple, set or stream.")
	return func(c *Call) (starlark.Value, error) { return then(c, Step{Op: "flat_map", Fn: refTo(fn.Get(c))}) }
})

// columnNames returns the arguments of a method that takes column names, each a string or a list of strings.
func columnNames(c *Call, args starlark.Tuple, atLeast int) ([]string, error) {
	var names []string
	for i, a := range args {
		switch a := a.(type) {
		case starlark.String:
			names = append(names, string(a))
		case starlark.Indexable:
			for j := range a.Len() {
				s, ok := a.Index(j).(starlark.String)
				if !ok {
					return nil, c.Errorf("argument %d: element %d: got %s, want the name of a column", i+1, j, a.Index(j).Type())
				}
				names = append(names, string(s))
			}
		default:
			return nil, c.Errorf("argument %d: got %s, want the name of a column", i+1, a.Type())
		}
	}
	if len(names) < atLeast {
		return nil, c.Errorf("missing argument: name the columns")
	}
	return names, nil
}

var streamSelect = Declare(Func{
	Name: "stream.select", Returns: "stream[row]",
	Doc:     "Only the named columns, in the order given.",
	Example: `stream.of([{"a": 1, "b": 2}]).select("b").collect()[0].to_dict()  # -> {"b": 2}`,
}, func(p *Params) Impl {
	cols := p.Rest("columns", "Names of columns.")
	return func(c *Call) (starlark.Value, error) {
		names, err := columnNames(c, cols.Get(c), 1)
		if err != nil {
			return nil, err
		}
		for i, n := range names {
			if slices.Contains(names[:i], n) {
				return nil, c.Errorf("column %q is named twice", n)
			}
		}
		return then(c, Step{Op: "select", Columns: names})
	}
})

var streamDrop = Declare(Func{
	Name: "stream.drop", Returns: "stream[row]",
	Doc:     "All but the named columns.",
	Example: `stream.of([{"a": 1, "b": 2}]).drop("b").collect()[0].to_dict()  # -> {"a": 1}`,
}, func(p *Params) Impl {
	cols := p.Rest("columns", "Names of columns.")
	return func(c *Call) (starlark.Value, error) {
		names, err := columnNames(c, cols.Get(c), 1)
		if err != nil {
			return nil, err
		}
		return then(c, Step{Op: "drop", Columns: names})
	}
})

// pairsOf returns the entries of a dict and keyword arguments whose values are strings.
func pairsOf(c *Call, d starlark.IterableMapping, kwargs []starlark.Tuple, what string) ([][2]string, error) {
	var items []starlark.Tuple
	if d != nil {
		items = d.Items()
	}
	var out [][2]string
	for _, kv := range append(items, kwargs...) {
		k, ok := starlark.AsString(kv[0])
		v, ok2 := starlark.AsString(kv[1])
		if !ok || !ok2 {
			return nil, c.Errorf("got %s: %s, want the name of a column and %s", kv[0].Type(), kv[1].Type(), what)
		}
		out = append(out, [2]string{k, v})
	}
	if len(out) == 0 {
		return nil, c.Errorf("missing argument: name the columns")
	}
	return out, nil
}

var streamRename = Declare(Func{
	Name: "stream.rename", Returns: "stream[row]",
	Doc:     "Columns under other names: old = \"new\". A dict serves for names that are no words.",
	Example: `stream.of([{"a": 1}]).rename(a = "b").collect()[0].b  # -> 1`,
}, func(p *Params) Impl {
	d := p.Dict("columns", "Old names to new names.").Optional().Positional()
	kw := p.KwRest("names", "Given as old = \"new\".")
	return func(c *Call) (starlark.Value, error) {
		pairs, err := pairsOf(c, d.Get(c), kw.Get(c), "its new name")
		if err != nil {
			return nil, err
		}
		return then(c, Step{Op: "rename", Pairs: pairs})
	}
})

var streamAdd = Declare(Func{
	Name: "stream.add", Returns: "stream[row]",
	Doc: "The rows with columns added or replaced: of a function of the row, or of one value for all rows. " +
		"All functions see the row as it was.",
	Example: `stream.of([{"a": 1}]).add(b = lambda r: r.a + 1, c = "x").collect()[0].to_dict()  # -> {"a": 1, "b": 2, "c": "x"}`,
}, func(p *Params) Impl {
	d := p.Dict("columns", "Names to functions or values.").Optional().Positional()
	kw := p.KwRest("values", "Given as name = function or value.")
	return func(c *Call) (starlark.Value, error) {
		var items []starlark.Tuple
		if m := d.Get(c); m != nil {
			items = m.Items()
		}
		var add []Added
		for _, kv := range append(items, kw.Get(c)...) {
			name, ok := starlark.AsString(kv[0])
			if !ok {
				return nil, c.Errorf("got %s for the name of a column, want string", kv[0].Type())
			}
			a := Added{Name: name, value: kv[1]}
			if fn, ok := kv[1].(starlark.Callable); ok {
				a.Fn = refTo(fn)
			} else {
				var err error
				if a.Value, err = toGo(kv[1]); err != nil {
					return nil, c.Errorf("column %q: %w", name, err)
				}
			}
			add = append(add, a)
		}
		if len(add) == 0 {
			return nil, c.Errorf("missing argument: name the columns")
		}
		return then(c, Step{Op: "add", Add: add})
	}
})

// typeNames are the words for types of columns.
func typeNames() []string {
	var out []string
	for t := rows.Any; t <= rows.Time; t++ {
		out = append(out, t.String())
	}
	return out
}

// checkTypes refuses words that are no type.
func checkTypes(c *Call, pairs [][2]string) error {
	for _, p := range pairs {
		if _, ok := rows.TypeNamed(p[1]); !ok {
			return c.Errorf("column %q: type %q is not known, want one of %s%s", p[0], bound(p[1], 80), strings.Join(typeNames(), ", "), didYouMean(p[1], typeNames(), `"`))
		}
	}
	return nil
}

var streamCast = Declare(Func{
	Name: "stream.cast", Returns: "stream[row]",
	Doc: "Columns as another type: any, bool, int, float, string, bytes or time. A cell that does not fit is an error of code bad_row, " +
		"or None with on_bad = \"null\". A column that is itself named on_bad goes into the dict.",
	Example: `stream.of([{"n": "7"}]).cast(n = "int").collect()[0].n  # -> 7`,
}, func(p *Params) Impl {
	d := p.Dict("columns", "Names to types.").Optional().Positional()
	onBad := p.OneOf("on_bad", "What happens to a cell that does not fit.", "fail", "null").Default("fail").KeywordOnly()
	kw := p.KwRest("types", "Given as column = \"type\".")
	return func(c *Call) (starlark.Value, error) {
		pairs, err := pairsOf(c, d.Get(c), kw.Get(c), "a type")
		if err != nil {
			return nil, err
		}
		if err := checkTypes(c, pairs); err != nil {
			return nil, err
		}
		return then(c, Step{Op: "cast", Pairs: pairs, OnBad: onBad.Get(c)})
	}
})

// countStep declares a step that takes a number of elements; least is the smallest that makes sense.
func countStep(op, doc, param, example string, least int64) *Function {
	return Declare(Func{Name: "stream." + op, Returns: "stream", Doc: doc, Example: example}, func(p *Params) Impl {
		n := p.Int("n", param)
		return func(c *Call) (starlark.Value, error) {
			if n.Get(c) < least {
				return nil, c.Errorf("for parameter n: got %d, want %d or more", n.Get(c), least)
			}
			if op == "batch" && n.Get(c) > 1<<20 {
				return nil, c.Errorf("for parameter n: got %d, want at most %d", n.Get(c), 1<<20)
			}
			return then(c, Step{Op: op, N: n.Get(c)})
		}
	})
}

var (
	streamTake = countStep("take", "The first n elements. Nothing beyond them is read.", "How many.",
		`stream.of([1, 2, 3]).take(2).collect()  # -> [1, 2]`, 0)
	streamSkip = countStep("skip", "All but the first n elements.", "How many.",
		`stream.of([1, 2, 3]).skip(2).collect()  # -> [3]`, 0)
	streamBatch = countStep("batch", "Lists of n elements; the last may be shorter.", "Elements of a list.",
		`stream.of([1, 2, 3]).batch(2).collect()  # -> [[1, 2], [3]]`, 1)
)

var streamEnumerate = Declare(Func{
	Name: "stream.enumerate", Returns: "stream[(int, element)]",
	Doc:     "Pairs of a number and an element.",
	Example: `stream.of(["a", "b"]).enumerate(1).collect()  # -> [(1, "a"), (2, "b")]`,
}, func(p *Params) Impl {
	start := p.Int("start", "The first number.").Default(0)
	return func(c *Call) (starlark.Value, error) { return then(c, Step{Op: "enumerate", N: start.Get(c)}) }
})

var streamDistinct = Declare(Func{
	Name: "stream.distinct", Returns: "stream",
	Doc: "The first element of those that are equal, or equal in the named columns. What was seen is held in memory: " +
		"more than half of the memory limit is an error of code limit.",
	Example: `stream.of([1, 2, 1]).distinct().collect()  # -> [1, 2]`,
}, func(p *Params) Impl {
	cols := p.Rest("columns", "Names of columns; none means all.")
	return func(c *Call) (starlark.Value, error) {
		names, err := columnNames(c, cols.Get(c), 0)
		if err != nil {
			return nil, err
		}
		return then(c, Step{Op: "distinct", Columns: names})
	}
})

var streamSort = Declare(Func{
	Name: "stream.sort", Returns: "stream",
	Doc: "The elements in ascending order of columns, of what a function returns, or of themselves. Equal ones keep their order; None comes first, and last with desc. " +
		"All are held in memory: more than half of the memory limit is an error of code limit.",
	Example: `stream.of([{"n": 2}, {"n": 1}]).sort("n").map(lambda r: r.n).collect()  # -> [1, 2]`,
}, func(p *Params) Impl {
	by := p.Value("by", "A column, a list of columns, or a function of an element.", "string", "list", "function").Optional()
	desc := p.Bool("desc", "Descending order.").Default(false)
	return func(c *Call) (starlark.Value, error) {
		s := Step{Op: "sort", Desc: desc.Get(c)}
		if by.Set(c) {
			switch v := by.Get(c).(type) {
			case starlark.Callable:
				s.Fn = refTo(v)
			default:
				var err error
				if s.Columns, err = columnNames(c, starlark.Tuple{v}, 1); err != nil {
					return nil, c.Bad("by", v, "string, list of strings or function")
				}
			}
		}
		return then(c, s)
	}
})

var streamJoin = Declare(Func{
	Name: "stream.join", Returns: "stream[row]",
	Doc: "Each row with each row of another stream that is equal to it in the columns on; None equals nothing. The other stream is held in memory: " +
		"let it be the smaller one; more than half of the memory limit is an error of code limit. A column of the other stream whose name is taken gets the suffix _right.",
	Example: `stream.of([{"k": 1, "a": 2}]).join([{"k": 1, "b": 3}], on = "k").collect()[0].to_dict()  # -> {"k": 1, "a": 2, "b": 3}`,
}, func(p *Params) Impl {
	other := p.Iterable("other", "The other stream, or a list of dicts.")
	on := p.Value("on", "A column, a list of columns, or a dict of columns here to columns there.", "string", "list", "dict")
	how := p.OneOf("how", "What happens to rows without a match: inner drops them, left keeps them.", "inner", "left").Default("inner")
	return func(c *Call) (starlark.Value, error) {
		s := Step{Op: "join", How: how.Get(c), Plans: []*Plan{streamOf(c, other.Get(c)).plan}}
		if m, ok := on.Get(c).(starlark.IterableMapping); ok {
			var err error
			if s.Pairs, err = pairsOf(c, m, nil, "one of the other stream"); err != nil {
				return nil, err
			}
			return then(c, s)
		}
		names, err := columnNames(c, starlark.Tuple{on.Get(c)}, 1)
		if err != nil {
			return nil, c.Bad("on", on.Get(c), "string, list of strings or dict")
		}
		for _, n := range names {
			s.Pairs = append(s.Pairs, [2]string{n, n})
		}
		return then(c, s)
	}
})

var streamConcat = Declare(Func{
	Name: "stream.concat", Returns: "stream",
	Doc:     "The elements of this stream and then those of others.",
	Example: `stream.of([1]).concat([2], [3]).collect()  # -> [1, 2, 3]`,
}, func(p *Params) Impl {
	others := p.Rest("others", "Streams or lists.")
	return func(c *Call) (starlark.Value, error) {
		plans, err := plansOf(c, others.Get(c))
		if err != nil {
			return nil, err
		}
		return then(c, Step{Op: "concat", Plans: plans})
	}
})

var streamGroup = Declare(Func{
	Name: "stream.group", Returns: "stream[row]",
	Doc: "One row for each value of the key, in order of first appearance, with the key's columns and the aggregates. The key is a column, a list of columns, " +
		"or a function, whose result is the column key (an element that is no row is the column value). The groups are held in memory: more than half of the memory limit is an error of code limit.",
	Example: `stream.of([{"k": "a", "n": 1}, {"k": "a", "n": 2}]).group("k", total = agg.sum("n")).collect()[0].total  # -> 3`,
}, func(p *Params) Impl {
	key := p.Value("key", "A column, a list of columns, or a function of an element.", "string", "list", "function").Positional()
	kw := p.KwRest("aggs", "Given as name = agg.count(), agg.sum(column) and so on.")
	return func(c *Call) (starlark.Value, error) {
		s := Step{Op: "group"}
		if fn, ok := key.Get(c).(starlark.Callable); ok {
			s.Fn = refTo(fn)
		} else {
			var err error
			if s.Columns, err = columnNames(c, starlark.Tuple{key.Get(c)}, 1); err != nil {
				return nil, c.Bad("key", key.Get(c), "string, list of strings or function")
			}
		}
		for _, kv := range kw.Get(c) {
			name := string(kv[0].(starlark.String))
			a, ok := kv[1].(*aggregate)
			if !ok {
				return nil, c.Bad(name, kv[1], "an aggregate such as agg.count()")
			}
			s.Aggs = append(s.Aggs, Agg{Name: name, Op: a.op, Column: a.column})
		}
		return then(c, s)
	}
})

var streamStats = Declare(Func{
	Name: "stream.stats", Returns: "stream[row]",
	Doc:     "One row for each column (or each named one): its type, how many values and nulls it has, the least and greatest value, the mean of numbers, and about how many distinct values.",
	Example: `stream.of([{"n": 1}, {"n": 3}]).stats().collect()[0].mean  # -> 2.0`,
}, func(p *Params) Impl {
	cols := p.Rest("columns", "Names of columns; none means all.")
	return func(c *Call) (starlark.Value, error) {
		names, err := columnNames(c, cols.Get(c), 0)
		if err != nil {
			return nil, err
		}
		return then(c, Step{Op: "stats", Columns: names})
	}
})

// Attr returns a method.
func (s *Stream) Attr(name string) (starlark.Value, error) {
	if v := streamMethods.Bind(s, name); v != nil {
		return v, nil
	}
	if n := nearest(name, streamMethods.Names()); n != "" {
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
