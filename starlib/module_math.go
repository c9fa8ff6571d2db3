package starlib

import (
	"math"
	"strconv"

	"go.starlark.net/starlark"
)

var mathModule = NewModule("math", "Numbers.", []Const{
	{"pi", "The ratio of a circle's circumference to its diameter.", starlark.Float(math.Pi)},
	{"e", "The base of natural logarithms.", starlark.Float(math.E)},
	{"inf", "Infinity.", starlark.Float(math.Inf(1))},
	{"nan", "Not a number.", starlark.Float(math.NaN())},
},
	declareRounding("ceil", "The smallest whole number that is not less than x.", `math.ceil(1.2)  # -> 2`, math.Ceil),
	declareRounding("floor", "The largest whole number that is not greater than x.", `math.floor(-1.2)  # -> -2`, math.Floor),
	Declare(Func{
		Name: "math.round", Doc: "Rounds x to a number of decimals, halves to the even neighbour as Python does. Without decimals the result is an int.", Returns: "int or float",
		Example: `
math.round(2.675, 2)  # -> 2.67
math.round(2.5)  # -> 2
`,
	}, func(p *Params) Impl {
		x := p.Float("x", "The number.")
		decimals := p.Int("decimals", "How many decimals stay; negative ones round to tens, hundreds and so on.").Optional()
		return func(c *Call) (starlark.Value, error) {
			f := x.Get(c)
			if !decimals.Set(c) {
				return toInt(c, math.RoundToEven(f))
			}
			n := decimals.Get(c)
			switch {
			case math.IsNaN(f) || math.IsInf(f, 0) || n > 323:
				return starlark.Float(f), nil
			case n < -308:
				return starlark.Float(0), nil
			case n < 0:
				ten := math.Pow(10, float64(-n))
				return starlark.Float(math.RoundToEven(f/ten) * ten), nil
			}
			// The shortest decimal form of the binary value decides, so that no error of a multiplication gets in.
			r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(n), 64), 64)
			return starlark.Float(r), err
		}
	}),
	Declare(Func{
		Name: "math.sum", Doc: "Adds the numbers of a list or stream. Sums of ints are exact.", Returns: "int or float",
		Example: `
math.sum([1, 2, 3])  # -> 6
math.sum([0.5, 1])  # -> 1.5
`,
	}, func(p *Params) Impl {
		numbers := p.Iterable("numbers", "The numbers.")
		return func(c *Call) (starlark.Value, error) {
			whole, part, low, isFloat := starlark.MakeInt(0), 0.0, 0.0, false
			i := 0
			err := Each(c.Thread, numbers.Get(c), func(v starlark.Value) error {
				switch v := v.(type) {
				case starlark.Int:
					whole = whole.Add(v)
				case starlark.Float: // Neumaier's compensated sum
					isFloat = true
					f := float64(v)
					t := part + f
					if math.Abs(part) >= math.Abs(f) {
						low += (part - t) + f
					} else {
						low += (f - t) + part
					}
					part = t
				default:
					return c.Errorf("for parameter numbers: element %d: got %s, want int or float", i, v.Type())
				}
				i++
				return nil
			})
			if err != nil {
				return nil, err
			}
			if !isFloat {
				return whole, nil
			}
			if !math.IsInf(part, 0) && !math.IsNaN(part) {
				part += low
			}
			return starlark.Float(part) + whole.Float(), nil
		}
	}),
	declareMath2("pow", "The power y of x, as a float.", `math.pow(2, 10)  # -> 1024.0`, math.Pow),
	declareMath2("mod", "The remainder of x divided by y, with the sign of x.", `math.mod(-7, 3)  # -> -1.0`, math.Mod),
	declareMath2("hypot", "The length of the vector (x, y).", `math.hypot(3, 4)  # -> 5.0`, math.Hypot),
	Declare(Func{Name: "math.atan2", Doc: "The angle of the vector (x, y) in radians.", Returns: "float", Example: `math.atan2(0, 1)  # -> 0.0`}, func(p *Params) Impl {
		y := p.Float("y", "The ordinate.")
		x := p.Float("x", "The abscissa.")
		return func(c *Call) (starlark.Value, error) { return starlark.Float(math.Atan2(y.Get(c), x.Get(c))), nil }
	}),
	declareMath("sqrt", "The square root of x.", `math.sqrt(9)  # -> 3.0`, math.Sqrt),
	declareMath("exp", "e raised to the power x.", `math.exp(0)  # -> 1.0`, math.Exp),
	Declare(Func{Name: "math.log", Doc: "The logarithm of x, natural without a base.", Returns: "float", Example: `math.log(8, 2)  # -> 3.0`}, func(p *Params) Impl {
		x := p.Float("x", "The number.")
		base := p.Float("base", "The base.").Optional()
		return func(c *Call) (starlark.Value, error) {
			f := x.Get(c)
			if f <= 0 {
				return nil, c.Errorf("for parameter x: want a number above 0")
			}
			if !base.Set(c) {
				return starlark.Float(math.Log(f)), nil
			}
			switch b := base.Get(c); {
			case b <= 0 || b == 1:
				return nil, c.Errorf("for parameter base: want a number above 0 other than 1")
			case b == 2:
				return starlark.Float(math.Log2(f)), nil
			case b == 10:
				return starlark.Float(math.Log10(f)), nil
			default:
				return starlark.Float(math.Log(f) / math.Log(b)), nil
			}
		}
	}),
	declareMath("sin", "The sine of x radians.", `math.sin(0)  # -> 0.0`, math.Sin),
	declareMath("cos", "The cosine of x radians.", `math.cos(0)  # -> 1.0`, math.Cos),
	declareMath("tan", "The tangent of x radians.", `math.tan(0)  # -> 0.0`, math.Tan),
	declareMath("asin", "The arc sine of x in radians.", `math.asin(0)  # -> 0.0`, math.Asin),
	declareMath("acos", "The arc cosine of x in radians.", `math.acos(1)  # -> 0.0`, math.Acos),
	declareMath("atan", "The arc tangent of x in radians.", `math.atan(0)  # -> 0.0`, math.Atan),
	declareMath("degrees", "Radians as degrees.", `math.degrees(math.pi)  # -> 180.0`, func(x float64) float64 { return x * 180 / math.Pi }),
	declareMath("radians", "Degrees as radians.", `math.radians(0)  # -> 0.0`, func(x float64) float64 { return x * math.Pi / 180 }),
	declareMathBool("isnan", "Reports whether x is not a number.", `math.isnan(math.nan)  # -> True`, math.IsNaN),
	declareMathBool("isfinite", "Reports whether x is neither infinite nor NaN.", `math.isfinite(1.5)  # -> True`, func(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }),
)

func toInt(c *Call, f float64) (starlark.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, c.Errorf("cannot convert %v to an int", starlark.Float(f))
	}
	return starlark.NumberToInt(starlark.Float(f))
}

func declareRounding(word, doc, example string, round func(float64) float64) *Function {
	return Declare(Func{Name: "math." + word, Doc: doc, Returns: "int", Example: example}, func(p *Params) Impl {
		x := p.Value("x", "The number.", "int", "float")
		return func(c *Call) (starlark.Value, error) {
			switch v := x.Get(c).(type) {
			case starlark.Int:
				return v, nil
			case starlark.Float:
				return toInt(c, round(float64(v)))
			default:
				return nil, c.Bad("x", v, "int or float")
			}
		}
	})
}

func declareMath(word, doc, example string, f func(float64) float64) *Function {
	return Declare(Func{Name: "math." + word, Doc: doc, Returns: "float", Example: example}, func(p *Params) Impl {
		x := p.Float("x", "The number.")
		return func(c *Call) (starlark.Value, error) { return starlark.Float(f(x.Get(c))), nil }
	})
}

func declareMath2(word, doc, example string, f func(x, y float64) float64) *Function {
	return Declare(Func{Name: "math." + word, Doc: doc, Returns: "float", Example: example}, func(p *Params) Impl {
		x := p.Float("x", "The first number.")
		y := p.Float("y", "The second number.")
		return func(c *Call) (starlark.Value, error) { return starlark.Float(f(x.Get(c), y.Get(c))), nil }
	})
}

func declareMathBool(word, doc, example string, f func(float64) bool) *Function {
	return Declare(Func{Name: "math." + word, Doc: doc, Returns: "bool", Example: example}, func(p *Params) Impl {
		x := p.Float("x", "The number.")
		return func(c *Call) (starlark.Value, error) { return starlark.Bool(f(x.Get(c))), nil }
	})
}
