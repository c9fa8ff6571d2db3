package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// pure are the functions whose result depends on their arguments alone. Each is bounded: a function whose result can be
// much larger than its arguments, or that takes much longer than they are long, has a check of its own.
var pure = sync.OnceValue(func() map[string]function.Function {
	fns := map[string]function.Function{
		"try": tryfunc.TryFunc, "can": tryfunc.CanFunc,
		"length": bounded(lengthFunc, nil), "startswith": bounded(textTest(strings.HasPrefix), nil),
		"endswith": bounded(textTest(strings.HasSuffix), nil), "strcontains": bounded(textTest(strings.Contains), nil),
		"base64encode": bounded(base64Encode, nil), "base64decode": bounded(base64Decode, nil),
		"replace": bounded(stdlib.ReplaceFunc, boundReplace), "join": bounded(stdlib.JoinFunc, boundJoin),
		"format": bounded(stdlib.FormatFunc, boundFormat), "regex": bounded(stdlib.RegexFunc, boundRegex),
		"regexall": bounded(stdlib.RegexAllFunc, boundRegex), "jsondecode": bounded(stdlib.JSONDecodeFunc, boundJSON),
		"parseint": bounded(stdlib.ParseIntFunc, boundDigits), "distinct": bounded(stdlib.DistinctFunc, boundPairs),
	}
	for name, f := range map[string]function.Function{
		"upper": stdlib.UpperFunc, "lower": stdlib.LowerFunc, "title": stdlib.TitleFunc, "chomp": stdlib.ChompFunc,
		"trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "substr": stdlib.SubstrFunc, "split": stdlib.SplitFunc, "sort": stdlib.SortFunc,
		"element": stdlib.ElementFunc, "contains": stdlib.ContainsFunc, "keys": stdlib.KeysFunc, "values": stdlib.ValuesFunc,
		"lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc, "concat": stdlib.ConcatFunc, "flatten": stdlib.FlattenFunc,
		"compact": stdlib.CompactFunc, "reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc, "range": stdlib.RangeFunc,
		"zipmap": stdlib.ZipmapFunc, "coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc,
		"setunion": stdlib.SetUnionFunc, "setintersection": stdlib.SetIntersectionFunc, "setsubtract": stdlib.SetSubtractFunc,
		"min": stdlib.MinFunc, "max": stdlib.MaxFunc, "abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc,
		"jsonencode": stdlib.JSONEncodeFunc,
		"tostring":   stdlib.MakeToFunc(cty.String), "tonumber": stdlib.MakeToFunc(cty.Number), "tobool": stdlib.MakeToFunc(cty.Bool),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	} {
		fns[name] = bounded(f, nil)
	}
	return fns
})

// Functions lists the names of the functions that expressions can call, in order.
func Functions() []string {
	names := sortedKeys(pure())
	names = append(names, worldly...)
	return sortedSet(names)
}

// bounded returns f with a check of its arguments before it runs, and with errors that never show a sensitive argument.
func bounded(f function.Function, check func(args []cty.Value) error) function.Function {
	open := func(p function.Parameter) function.Parameter {
		p.AllowMarked, p.AllowUnknown, p.AllowNull, p.AllowDynamicType = true, true, true, true
		return p
	}
	spec := &function.Spec{Description: f.Description()}
	for _, p := range f.Params() {
		spec.Params = append(spec.Params, open(p))
	}
	if p := f.VarParam(); p != nil {
		v := open(*p)
		spec.VarParam = &v
	}
	before := func(args []cty.Value) error {
		if check == nil {
			return nil
		}
		plain := make([]cty.Value, len(args))
		for i, a := range args {
			a, _ = a.UnmarkDeep()
			if !a.IsWhollyKnown() || a.IsNull() {
				return nil // then f does nothing either
			}
			plain[i] = a
		}
		return check(plain)
	}
	spec.Type = func(args []cty.Value) (cty.Type, error) {
		if err := before(args); err != nil {
			return cty.DynamicPseudoType, quiet(err, args)
		}
		t, err := f.ReturnTypeForValues(args)
		return t, quiet(err, args)
	}
	spec.Impl = func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, err := f.Call(args)
		return v, quiet(err, args)
	}
	return function.New(spec)
}

// quiet replaces an error that could show a sensitive argument, or the stack of a panic.
func quiet(err error, args []cty.Value) error {
	if err == nil {
		return nil
	}
	msg := ""
	var crash function.PanicError
	if errors.As(err, &crash) {
		msg = "the function cannot handle these arguments"
	}
	for _, a := range args {
		if a.ContainsMarked() {
			msg = "a sensitive argument is not acceptable; it is not shown here"
		}
	}
	if msg == "" {
		return err
	}
	var arg function.ArgError
	if errors.As(err, &arg) {
		return function.NewArgErrorf(arg.Index, "%s", msg)
	}
	return errors.New(msg)
}

func tooLarge(n int64) error {
	if n > maxText {
		return fmt.Errorf("the result would have more than %d bytes", maxText)
	}
	return nil
}

func boundReplace(a []cty.Value) error {
	s, from, to := a[0].AsString(), a[1].AsString(), a[2].AsString()
	return tooLarge(int64(len(s)) + int64(strings.Count(s, from))*int64(len(to)))
}

func boundJoin(a []cty.Value) error {
	sep, n := int64(len(a[0].AsString())), int64(0)
	for _, l := range a[1:] {
		for i := l.ElementIterator(); i.Next(); {
			_, v := i.Element()
			if v.Type() == cty.String && !v.IsNull() {
				n += int64(len(v.AsString()))
			}
			n += sep
		}
	}
	return tooLarge(n)
}

// boundFormat refuses widths and repeated arguments that multiply: "%[1]s%[1]s", "%1000000000d".
func boundFormat(a []cty.Value) error {
	f := a[0].AsString()
	widest := int64(1024)
	for _, v := range a[1:] {
		n, _ := weigh(v)
		widest = max(widest, 2*n)
	}
	digits := 0
	for i, c := range f {
		if c >= '0' && c <= '9' {
			if digits++; digits > 3 && inVerb(f[:i]) {
				return errors.New("a width or precision may have three digits")
			}
			continue
		}
		digits = 0
	}
	return tooLarge(int64(len(f)) + int64(strings.Count(f, "%"))*widest)
}

// inVerb reports whether a format's text ends inside of a verb, after its flags and digits.
func inVerb(s string) bool {
	s = strings.TrimRight(s, "0123456789.+-# []")
	return strings.HasSuffix(s, "%")
}

// boundRegex bounds the product of pattern and text, which is what matching takes.
func boundRegex(a []cty.Value) error {
	re, err := syntax.Parse(a[0].AsString(), syntax.Perl)
	if err != nil {
		return nil // the function says what is wrong
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	if work := int64(len(prog.Inst)+8*re.MaxCap()) * int64(len(a[1].AsString())+1); work > 50<<20 {
		return errors.New("the pattern and the text are too long to be matched here")
	}
	return nil
}

func boundJSON(a []cty.Value) error {
	depth := 0
	s := []byte(a[0].AsString())
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = jsonStringEnd(s, i) - 1
		case '[', '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("the text is nested more than %d deep", maxDepth)
			}
		case ']', '}':
			depth--
		}
	}
	return nil
}

func boundDigits(a []cty.Value) error {
	if a[0].Type() == cty.String && len(a[0].AsString()) > maxDigits {
		return fmt.Errorf("a number may have %d digits", maxDigits)
	}
	return nil
}

// boundPairs bounds a function that compares each element with each other one.
func boundPairs(a []cty.Value) error {
	if a[0].CanIterateElements() && a[0].LengthInt() > 2000 {
		return errors.New("the list has more than 2000 elements: use toset, or do this in the script")
	}
	return nil
}

var lengthFunc = function.New(&function.Spec{
	Description: "Number of elements of a collection, or of characters of a text.",
	Params:      []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type: func(a []cty.Value) (cty.Type, error) {
		if t := a[0].Type(); t == cty.String || t == cty.DynamicPseudoType || t.IsCollectionType() || t.IsTupleType() || t.IsObjectType() {
			return cty.Number, nil
		}
		return cty.Number, function.NewArgErrorf(0, "a text, list, set, map, tuple or object is required")
	},
	Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
		switch t := a[0].Type(); {
		case t == cty.String:
			return stdlib.Strlen(a[0])
		case t.IsObjectType():
			return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
		default:
			return a[0].Length(), nil
		}
	},
})

func textTest(f func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(a[0].AsString(), a[1].AsString())), nil
		},
	})
}

var base64Encode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(a[0].AsString()))), nil
	},
})

var base64Decode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(a []cty.Value, _ cty.Type) (cty.Value, error) {
		b, err := base64.StdEncoding.DecodeString(a[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "the text is not base64 in the standard alphabet with padding")
		}
		if !utf8.Valid(b) {
			return cty.NilVal, function.NewArgErrorf(0, "what the text encodes is not UTF-8 text")
		}
		return cty.StringVal(string(b)), nil
	},
})
