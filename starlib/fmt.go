package starlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxWidth and maxPrecision bound what one field of a template can be padded to.
const (
	maxWidth     = 10_000
	maxPrecision = 400
)

var fnFmt = Declare(Func{
	Name: "fmt",
	Doc: "Fills the fields {} of a template, in the manner of Python's str.format: {:>8} aligns, {:08.2f} gives digits and decimals, {:,} groups, {:%} is a percentage, {:x} hexadecimal, {0} and {name} choose the argument, {!r} shows it as repr does. " +
		"{{ and }} are braces.",
	Returns: "string",
	Example: `
fmt("{:.2f}", 3.14159)  # -> "3.14"
fmt("{:>8}|{:<4}|{:^5}", "a", "b", "c")  # -> "       a|b   |  c  "
fmt("{name}: {n:,}", name = "rows", n = 1234567)  # -> "rows: 1,234,567"
fmt("{:.1%} {:#x}", 0.256, 255)  # -> "25.6% 0xff"
`}, func(p *Params) Impl {
	template := p.String("template", "The text with its fields.").Positional()
	args := p.Rest("args", "The values of {} and {0}.")
	kwargs := p.KwRest("kwargs", "The values of {name}.")
	return func(c *Call) (starlark.Value, error) {
		f := formatter{c: c, args: args.Get(c), kwargs: kwargs.Get(c), out: builder{run: c.Run}}
		if err := f.run(template.Get(c)); err != nil {
			return nil, err
		}
		return starlark.String(f.out.String()), nil
	}
})

type formatter struct {
	c      *Call
	args   starlark.Tuple
	kwargs []starlark.Tuple
	next   int // of {}; -1 once {0} was used
	out    builder
}

func (f *formatter) write(s string) error { return f.out.write(s) }

func (f *formatter) run(t string) error {
	for {
		i := strings.IndexAny(t, "{}")
		if i < 0 {
			return f.write(t)
		}
		if err := f.write(t[:i]); err != nil {
			return err
		}
		brace := t[i]
		t = t[i+1:]
		if t != "" && t[0] == brace {
			if err := f.write(t[:1]); err != nil {
				return err
			}
			t = t[1:]
			continue
		}
		if brace == '}' {
			return f.c.Errorf("single } in the template; write }}")
		}
		end := strings.IndexAny(t, "{}")
		if end < 0 {
			return f.c.Errorf("{ without } in the template; write {{ for a brace")
		}
		if t[end] == '{' {
			return f.c.Errorf("a field inside of a field is not supported; put the value into the template with +")
		}
		if err := f.field(t[:end]); err != nil {
			return err
		}
		t = t[end+1:]
	}
}

// field writes one field: name!conversion:spec.
func (f *formatter) field(field string) error {
	head, spec, _ := strings.Cut(field, ":")
	name, conv, hasConv := strings.Cut(head, "!")
	if hasConv && conv != "r" && conv != "s" {
		return f.c.Errorf("unknown conversion !%s, want !r or !s", bound(conv, 20))
	}
	v, err := f.arg(name)
	if err != nil {
		return err
	}
	sp, err := parseSpec(spec)
	if err != nil {
		return f.in(field, err)
	}
	if conv == "r" {
		s, err := reprText(f.c.Run, v)
		if err != nil {
			return err
		}
		v = starlark.String(s)
	} else if conv == "s" {
		s, err := valueText(f.c.Run, v)
		if err != nil {
			return err
		}
		v = starlark.String(s)
	}
	s, err := sp.format(f.c.Run, v)
	if err != nil {
		if _, limit := err.(*stopError); limit {
			return err
		}
		return f.in(field, err)
	}
	return f.write(s)
}

// arg returns the value that a field names.
func (f *formatter) arg(name string) (starlark.Value, error) {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		i := f.next
		if name == "" {
			if i < 0 {
				return nil, f.c.Errorf("{} after {0}: number all fields or none")
			}
			f.next++
		} else {
			if f.next > 0 {
				return nil, f.c.Errorf("{%s} after {}: number all fields or none", bound(name, 20))
			}
			f.next = -1
			n, err := strconv.Atoi(name)
			if err != nil {
				return nil, f.c.Errorf("invalid field {%s}", bound(name, 20))
			}
			i = n
		}
		if i >= len(f.args) {
			return nil, f.c.Errorf("field %d has no argument, there are %d", i, len(f.args))
		}
		return f.args[i], nil
	}
	var names []string
	for _, kv := range f.kwargs {
		k := string(kv[0].(starlark.String))
		if k == name {
			return kv[1], nil
		}
		names = append(names, k)
	}
	if strings.ContainsAny(name, ".[") {
		return nil, f.c.Errorf("{%s}: fields name whole arguments; write the expression as an argument", bound(name, 80))
	}
	return nil, f.c.Errorf("field {%s} has no argument%s", bound(name, 80), didYouMean(name, names, ""))
}

// spec is what stands after the colon: [[fill]align][sign][#][0][width][,_][.precision][type].
type spec struct {
	fill      rune
	align     byte // < > ^ =, 0 by type
	numeric   bool // = was asked for: text is refused
	sign      byte // + - or space
	alt       bool // #
	width     int
	group     byte // , or _
	precision int  // -1 none
	verb      byte // 0 by type
}

func parseSpec(s string) (spec, error) {
	sp, filled := spec{fill: ' ', precision: -1}, false
	isAlign := func(b byte) bool { return strings.IndexByte("<>^=", b) >= 0 }
	if r, n := utf8.DecodeRuneInString(s); n > 0 && n < len(s) && isAlign(s[n]) {
		sp.fill, sp.align, s, filled = r, s[n], s[n+1:], true
	} else if s != "" && isAlign(s[0]) {
		sp.align, s = s[0], s[1:]
	}
	sp.numeric = sp.align == '='
	if s != "" && strings.IndexByte("+- ", s[0]) >= 0 {
		sp.sign, s = s[0], s[1:]
	}
	if s != "" && s[0] == '#' {
		sp.alt, s = true, s[1:]
	}
	if s != "" && s[0] == '0' {
		if !filled {
			sp.fill = '0'
		}
		if sp.align == 0 {
			sp.align = '='
		}
		s = s[1:]
	}
	var err error
	if sp.width, s, err = number(s, maxWidth, "width"); err != nil {
		return sp, err
	}
	sp.width = max(sp.width, 0)
	if s != "" && (s[0] == ',' || s[0] == '_') {
		sp.group, s = s[0], s[1:]
	}
	if s != "" && s[0] == '.' {
		if sp.precision, s, err = number(s[1:], maxPrecision, "precision"); err != nil {
			return sp, err
		}
		if sp.precision < 0 {
			return sp, fmt.Errorf("a . without digits")
		}
	}
	if s != "" {
		sp.verb, s = s[0], s[1:]
	}
	if s != "" || sp.verb != 0 && strings.IndexByte("sdxXobceEfFgG%", sp.verb) < 0 {
		return sp, fmt.Errorf("invalid format, want one such as :>8, :.2f or :,")
	}
	return sp, nil
}

// number reads leading digits; -1 when there are none.
func number(s string, limit int, what string) (int, string, error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return -1, s, nil
	}
	n, err := strconv.Atoi(s[:i])
	if err != nil || n > limit {
		return 0, s, fmt.Errorf("%s above %d", what, limit)
	}
	return n, s[i:], nil
}

// format renders one value.
func (sp spec) format(r *Run, v starlark.Value) (string, error) {
	switch x := v.(type) {
	case starlark.Int:
		if sp.verb != 0 && strings.IndexByte("eEfFgG%", sp.verb) >= 0 {
			return sp.float(float64(x.Float()))
		}
		return sp.integer(r, x)
	case starlark.Float:
		if sp.verb == 0 && sp.precision < 0 && sp.group == 0 {
			return sp.number(float64(x) < 0 || math.Signbit(float64(x)), "", strings.TrimPrefix(x.String(), "-")), nil
		}
		return sp.float(float64(x))
	case starlark.Bool:
		if sp.verb == 'd' {
			n := starlark.MakeInt(0)
			if x {
				n = starlark.MakeInt(1)
			}
			return sp.integer(r, n)
		}
	}
	if sp.verb != 0 && sp.verb != 's' {
		return "", fmt.Errorf("got %s, want a number for %c", v.Type(), sp.verb)
	}
	if sp.sign != 0 || sp.group != 0 || sp.alt || sp.numeric {
		return "", fmt.Errorf("got %s, want a number for a sign, groups or =", v.Type())
	}
	s, err := valueText(r, v)
	if err != nil {
		return "", err
	}
	if sp.precision >= 0 {
		s = firstRunes(s, sp.precision)
	}
	if sp.align == '=' {
		sp.align = '<'
	}
	return sp.pad(s, '<'), nil
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// in names the field that an error is about; a limit of the run stays what it is.
func (f *formatter) in(field string, err error) error {
	if fault.Is(err, fault.Limit) {
		return err
	}
	return f.c.Errorf("in {%s}: %w", bound(field, 80), err)
}
