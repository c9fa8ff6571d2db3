package starlib

import (
	"slices"
	"strings"

	"github.com/dsrun/dsrun/engine/rows"
	"go.starlark.net/starlark"
)

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
