package starlib

import "go.starlark.net/starlark"

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
