package starlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

func (sp spec) integer(r *Run, x starlark.Int) (string, error) {
	if sp.precision >= 0 {
		return "", fmt.Errorf("an int takes no precision without f, e, g or %%")
	}
	if err := r.Charge(int64(x.BigInt().BitLen())); err != nil {
		return "", err
	}
	base, prefix := 10, ""
	switch sp.verb {
	case 0, 'd':
	case 'x', 'X':
		base, prefix = 16, "0"+string(sp.verb)
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	case 'c':
		n, err := starlark.AsInt32(x)
		if err != nil || n < 0 || n > utf8.MaxRune {
			return "", fmt.Errorf("%s is no code point", bound(x.String(), 40))
		}
		return sp.pad(string(rune(n)), '<'), nil
	case 's':
		return "", fmt.Errorf("got int, want string for s")
	}
	if !sp.alt {
		prefix = ""
	}
	digits := strings.TrimPrefix(x.BigInt().Text(base), "-")
	if sp.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if sp.group != 0 {
		digits = group(digits, sp.group)
	}
	return sp.number(x.Sign() < 0, prefix, digits), nil
}

func (sp spec) float(f float64) (string, error) {
	verb, prec := sp.verb, sp.precision
	suffix := ""
	switch verb {
	case 0:
		verb = 'g'
	case '%':
		f, verb, suffix = f*100, 'f', "%"
	case 'd', 'x', 'X', 'o', 'b', 'c', 's':
		return "", fmt.Errorf("got float, want int for %c", verb)
	}
	if prec < 0 && sp.verb != 0 {
		prec = 6
	}
	lower := verb | 0x20
	if lower == 'g' && prec == 0 {
		prec = 1
	}
	var s string
	switch {
	case math.IsInf(f, 0):
		s = "inf"
	case math.IsNaN(f):
		s = "nan"
	case sp.verb == 0 && prec < 0:
		s = starlark.Float(math.Abs(f)).String()
	default:
		s = strconv.FormatFloat(math.Abs(f), lower, prec, 64)
	}
	if verb == 'E' || verb == 'F' || verb == 'G' {
		s = strings.ToUpper(s)
	}
	if sp.group != 0 {
		whole, rest := s, ""
		if i := strings.IndexAny(s, ".eE"); i >= 0 {
			whole, rest = s[:i], s[i:]
		}
		if s[0] >= '0' && s[0] <= '9' {
			s = group(whole, sp.group) + rest
		}
	}
	return sp.number(math.Signbit(f) && !math.IsNaN(f), "", s+suffix), nil
}

// number puts sign, prefix and padding around digits.
func (sp spec) number(negative bool, prefix, digits string) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case sp.sign == '+' || sp.sign == ' ':
		sign = string(sp.sign)
	}
	if sp.align == '=' && sp.fill == '0' && sp.group != 0 && digits[0] >= '0' && digits[0] <= '9' {
		return sign + prefix + sp.zeros(digits, sp.width-len(sign)-len(prefix))
	}
	if sp.align == '=' {
		if n := sp.width - utf8.RuneCountInString(sign+prefix+digits); n > 0 {
			return sign + prefix + strings.Repeat(string(sp.fill), n) + digits
		}
	}
	return sp.pad(sign+prefix+digits, '>')
}

// zeros fills grouped digits up with zeros, which are grouped too.
func (sp spec) zeros(digits string, width int) string {
	whole, rest := digits, ""
	if i := strings.IndexAny(digits, ".e%"); i >= 0 {
		whole, rest = digits[:i], digits[i:]
	}
	whole = strings.ReplaceAll(whole, string(sp.group), "")
	for len(whole)+(len(whole)-1)/3+len(rest) < width {
		whole = "0" + whole
	}
	return group(whole, sp.group) + rest
}

func (sp spec) pad(s string, align byte) string {
	if sp.align != 0 {
		align = sp.align
	}
	n := sp.width - utf8.RuneCountInString(s)
	if n <= 0 {
		return s
	}
	left := 0
	switch align {
	case '>', '=':
		left = n
	case '^':
		left = n / 2
	}
	fill := string(sp.fill)
	return strings.Repeat(fill, left) + s + strings.Repeat(fill, n-left)
}
