package starlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// jsonEncoder writes values of scripts as JSON. What it writes is charged as it grows, so that a value that holds the
// same list again and again is refused in time.
type jsonEncoder struct {
	thread  *starlark.Thread
	run     *Run
	b       []byte
	charged int
	indent  string
}

func encodeJSON(thread *starlark.Thread, v starlark.Value, indent string) (string, error) {
	e := jsonEncoder{thread: thread, run: runOf(thread), indent: indent}
	if err := e.value(v, 0); err != nil {
		return "", err
	}
	return string(e.b), nil
}

// grow charges for what has been written since.
func (e *jsonEncoder) grow() error {
	if len(e.b) <= e.charged {
		return nil
	}
	n := max(len(e.b), 4096)
	e.charged = 2 * n
	return e.run.Charge(3 * int64(n)) // the old buffer, the new one, the string in the end
}

// errJSONDepth is not told from where: the way there is as long as the value is deep.
var errJSONDepth = fmt.Errorf("nested more than %d deep, or a value holds itself", maxJSONDepth)

func (e *jsonEncoder) value(v starlark.Value, depth int) error {
	if depth > maxJSONDepth {
		return errJSONDepth
	}
	if err := e.grow(); err != nil {
		return err
	}
	switch v := v.(type) {
	case starlark.NoneType:
		e.b = append(e.b, "null"...)
	case starlark.Bool:
		e.b = strconv.AppendBool(e.b, bool(v))
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			e.b = strconv.AppendInt(e.b, n, 10)
		} else {
			if err := e.run.Charge(int64(v.BigInt().BitLen())); err != nil {
				return err
			}
			e.b = append(e.b, v.String()...)
		}
	case starlark.Float:
		f := float64(v)
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return fmt.Errorf("JSON has no %s", v)
		}
		e.b = appendJSONFloat(e.b, f)
	case starlark.String:
		return e.string(string(v))
	case starlark.Bytes:
		return fmt.Errorf("JSON holds no bytes; use str() for text or base64.encode() for data")
	case startime.Time:
		return e.string(time.Time(v).Format(time.RFC3339Nano))
	case startime.Duration:
		return e.string(time.Duration(v).String())
	case *ErrorValue:
		return e.fields(v, depth)
	case *object:
		return e.value(v.row(), depth)
	case *starlarkstruct.Struct:
		return e.fields(v, depth)
	case starlark.IterableMapping:
		return e.mapping(v, depth)
	case starlark.Iterable:
		return e.sequence(v, depth)
	default:
		return fmt.Errorf("JSON holds no %s", v.Type())
	}
	return nil
}

// appendJSONFloat keeps a float recognisable as one: 1.0 is written 1.0.
func appendJSONFloat(b []byte, f float64) []byte {
	start := len(b)
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if !strings.ContainsAny(string(b[start:]), ".e") {
		b = append(b, ".0"...)
	}
	return b
}

func (e *jsonEncoder) line(depth int) {
	if e.indent == "" {
		return
	}
	e.b = append(e.b, '\n')
	for range depth {
		e.b = append(e.b, e.indent...)
	}
}

func (e *jsonEncoder) mapping(m starlark.IterableMapping, depth int) error {
	e.b = append(e.b, '{')
	items := m.Items()
	for i, kv := range items {
		name, ok := starlark.AsString(kv[0])
		if !ok {
			text, err := reprText(e.run, kv[0])
			if err != nil {
				return err
			}
			return fmt.Errorf("the key %s is %s, JSON wants string", bound(text, 80), kv[0].Type())
		}
		if err := e.pair(i, name, kv[1], depth); err == errJSONDepth {
			return err
		} else if err != nil {
			return fmt.Errorf("in key %s: %w", starlark.String(bound(name, 80)), err)
		}
	}
	if len(items) > 0 {
		e.line(depth)
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *jsonEncoder) fields(v starlark.HasAttrs, depth int) error {
	e.b = append(e.b, '{')
	names := v.AttrNames()
	for i, name := range names {
		x, err := v.Attr(name)
		if err != nil {
			return err
		}
		if err := e.pair(i, name, x, depth); err != nil {
			return fmt.Errorf("in field %s: %w", name, err)
		}
	}
	if len(names) > 0 {
		e.line(depth)
	}
	e.b = append(e.b, '}')
	return nil
}

func (e *jsonEncoder) pair(i int, name string, v starlark.Value, depth int) error {
	if i > 0 {
		e.b = append(e.b, ',')
	}
	e.line(depth + 1)
	if err := e.string(name); err != nil {
		return err
	}
	e.b = append(e.b, ':')
	if e.indent != "" {
		e.b = append(e.b, ' ')
	}
	return e.value(v, depth+1)
}

func (e *jsonEncoder) sequence(it starlark.Iterable, depth int) error {
	e.b = append(e.b, '[')
	i := 0
	err := Each(e.thread, it, func(v starlark.Value) error {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.line(depth + 1)
		if err := e.value(v, depth+1); err == errJSONDepth {
			return err
		} else if err != nil {
			return fmt.Errorf("in element %d: %w", i, err)
		}
		i++
		return nil
	})
	if err != nil {
		return err
	}
	if i > 0 {
		e.line(depth)
	}
	e.b = append(e.b, ']')
	return nil
}

const hexDigits = "0123456789abcdef"

func (e *jsonEncoder) string(s string) error {
	if len(s) > 1<<16 {
		if err := e.run.Charge(2 * int64(len(s))); err != nil {
			return err
		}
	}
	e.b = append(e.b, '"')
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		n := 1
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
		}
		e.b = append(e.b, s[last:i]...)
		switch c {
		case '"', '\\':
			e.b = append(e.b, '\\', c)
		case '\n':
			e.b = append(e.b, '\\', 'n')
		case '\r':
			e.b = append(e.b, '\\', 'r')
		case '\t':
			e.b = append(e.b, '\\', 't')
		default:
			if c >= utf8.RuneSelf {
				e.b = append(e.b, "\ufffd"...)
			} else {
				e.b = append(e.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i += n
		last = i
	}
	e.b = append(append(e.b, s[last:]...), '"')
	return nil
}
