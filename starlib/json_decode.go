package starlib

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// maxJSONDepth is how deep arrays and objects may nest; maxJSONDigits how long a number may be.
const (
	maxJSONDepth  = 1000
	maxJSONDigits = 10_000
)

// jsonDecoder reads one JSON text (RFC 8259) into values of scripts. Objects keep their order; of a repeated name the
// last value stands. It never descends deeper than maxJSONDepth, whatever the text holds.
type jsonDecoder struct {
	run *Run
	s   string
	i   int
}

// jsonError is a mistake in a JSON text.
type jsonError struct {
	line, col int
	msg       string
}

func (e *jsonError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.line, e.col, e.msg)
}

// errorf returns an error at the current place.
func (d *jsonDecoder) errorf(format string, args ...any) error {
	before := d.s[:min(d.i, len(d.s))]
	line := 1 + strings.Count(before, "\n")
	col := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &jsonError{line, col, fmt.Sprintf(format, args...)}
}

// decodeJSON decodes a whole text.
func decodeJSON(r *Run, s string) (starlark.Value, error) {
	d := jsonDecoder{run: r, s: strings.TrimPrefix(s, "\ufeff")}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.i < len(d.s) {
		return nil, d.errorf("unexpected %s after the value", d.here())
	}
	return v, nil
}

func (d *jsonDecoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\n', '\r', '\t':
			d.i++
		default:
			return
		}
	}
}

// here describes the next character.
func (d *jsonDecoder) here() string {
	if d.i >= len(d.s) {
		return "end of text"
	}
	r, _ := utf8.DecodeRuneInString(d.s[d.i:])
	return strconv.QuoteRune(r)
}

func (d *jsonDecoder) value(depth int) (starlark.Value, error) {
	d.space()
	if d.i >= len(d.s) {
		return nil, d.errorf("unexpected end of text")
	}
	switch c := d.s[d.i]; {
	case c == '"':
		s, err := d.string()
		return starlark.String(s), err
	case c == '{':
		return d.object(depth + 1)
	case c == '[':
		return d.array(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case strings.HasPrefix(d.s[d.i:], "true"):
		d.i += 4
		return starlark.True, nil
	case strings.HasPrefix(d.s[d.i:], "false"):
		d.i += 5
		return starlark.False, nil
	case strings.HasPrefix(d.s[d.i:], "null"):
		d.i += 4
		return starlark.None, nil
	}
	return nil, d.errorf("unexpected %s", d.here())
}

func (d *jsonDecoder) enter(depth int) error {
	if depth > maxJSONDepth {
		return d.errorf("nested more than %d deep", maxJSONDepth)
	}
	d.i++
	d.space()
	return nil
}

func (d *jsonDecoder) array(depth int) (starlark.Value, error) {
	if err := d.enter(depth); err != nil {
		return nil, err
	}
	var elems []starlark.Value
	if d.i < len(d.s) && d.s[d.i] == ']' {
		d.i++
		return starlark.NewList(nil), nil
	}
	for {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		if err := d.run.Charge(48); err != nil {
			return nil, err
		}
		elems = append(elems, v)
		if more, err := d.more(']'); err != nil {
			return nil, err
		} else if !more {
			return starlark.NewList(elems), nil
		}
	}
}

func (d *jsonDecoder) object(depth int) (starlark.Value, error) {
	if err := d.enter(depth); err != nil {
		return nil, err
	}
	dict := new(starlark.Dict)
	if d.i < len(d.s) && d.s[d.i] == '}' {
		d.i++
		return dict, nil
	}
	for {
		d.space()
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return nil, d.errorf("unexpected %s, want a name in quotes", d.here())
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.i >= len(d.s) || d.s[d.i] != ':' {
			return nil, d.errorf("unexpected %s, want ':'", d.here())
		}
		d.i++
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		if err := d.run.Charge(160); err != nil {
			return nil, err
		}
		if err := dict.SetKey(starlark.String(name), v); err != nil {
			return nil, err
		}
		if more, err := d.more('}'); err != nil {
			return nil, err
		} else if !more {
			return dict, nil
		}
	}
}

// more reads what follows an element: a comma, or the closing bracket.
func (d *jsonDecoder) more(end byte) (bool, error) {
	d.space()
	if d.i < len(d.s) {
		switch d.s[d.i] {
		case ',':
			d.i++
			return true, nil
		case end:
			d.i++
			return false, nil
		}
	}
	return false, d.errorf("unexpected %s, want ',' or '%c'", d.here(), end)
}

func (d *jsonDecoder) number() (starlark.Value, error) {
	start := d.i
	digits := func() int {
		n := d.i
		for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
			d.i++
		}
		return d.i - n
	}
	at := func(chars string) bool {
		if d.i < len(d.s) && strings.IndexByte(chars, d.s[d.i]) >= 0 {
			d.i++
			return true
		}
		return false
	}
	at("-")
	first := d.i
	whole, isFloat := digits(), false
	if whole == 0 || whole > 1 && d.s[first] == '0' {
		d.i = start
		return nil, d.errorf("invalid number")
	}
	if at(".") {
		isFloat = true
		if digits() == 0 {
			return nil, d.errorf("unexpected %s, want a digit", d.here())
		}
	}
	if at("eE") {
		isFloat = true
		at("+-")
		if digits() == 0 {
			return nil, d.errorf("unexpected %s, want a digit", d.here())
		}
	}
	text := d.s[start:d.i]
	if len(text) > maxJSONDigits {
		return nil, d.errorf("a number has more than %d digits", maxJSONDigits)
	}
	if !isFloat {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return starlark.MakeInt64(n), nil
		}
		b, _ := new(big.Int).SetString(text, 10)
		return starlark.MakeBigInt(b), nil
	}
	f, _ := strconv.ParseFloat(text, 64)
	if math.IsInf(f, 0) {
		return nil, d.errorf("the number %s does not fit a float", bound(text, 40))
	}
	return starlark.Float(f), nil
}

// string reads a quoted string. Without escapes the result shares the text's memory.
func (d *jsonDecoder) string() (string, error) {
	d.i++
	start := d.i
	for d.i < len(d.s) {
		switch c := d.s[d.i]; {
		case c == '"':
			s := d.s[start:d.i]
			d.i++
			return validText(s), nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.errorf("control character %q in a string; write it as an escape", c)
		}
		d.i++
	}
	return "", d.errorf("a string is not closed")
}

// validText replaces each byte that is no UTF-8 by U+FFFD.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func (d *jsonDecoder) escaped(start int) (string, error) {
	b := []byte(d.s[start:d.i])
	for d.i < len(d.s) {
		c := d.s[d.i]
		switch {
		case c == '"':
			d.i++
			return validText(string(b)), d.run.Charge(2 * int64(len(b)))
		case c < ' ':
			return "", d.errorf("control character %q in a string; write it as an escape", c)
		case c != '\\':
			b = append(b, c)
			d.i++
			continue
		}
		d.i++
		if d.i >= len(d.s) {
			break
		}
		c = d.s[d.i]
		d.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, err := d.hex4()
			if err != nil {
				return "", err
			}
			if utf16.IsSurrogate(r) {
				if strings.HasPrefix(d.s[d.i:], `\u`) {
					mark := d.i
					d.i += 2
					low, err := d.hex4()
					if err != nil {
						return "", err
					}
					if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
						r = pair
					} else {
						d.i, r = mark, utf8.RuneError
					}
				} else {
					r = utf8.RuneError
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			d.i--
			return "", d.errorf("unknown escape \\%c", c)
		}
	}
	return "", d.errorf("a string is not closed")
}

func (d *jsonDecoder) hex4() (rune, error) {
	if d.i+4 <= len(d.s) {
		if n, err := strconv.ParseUint(d.s[d.i:d.i+4], 16, 32); err == nil {
			d.i += 4
			return rune(n), nil
		}
	}
	return 0, d.errorf("want four hexadecimal digits after \\u")
}
