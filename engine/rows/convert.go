package rows

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// Convert returns v as a value of type t, or an error that says why it cannot be one. Nothing is lost: a float becomes
// an int only when it is whole, an int a float only when it is exact. Text is read as the Parse functions do, and
// blank text is null in every type but string and bytes. Bool, int, float and time become the text that they print
// as. Nil stays nil.
func Convert(v any, t Type) (any, error) {
	if v == nil || t == Any || TypeOf(v) == t {
		return v, nil
	}
	if s, ok := v.(string); ok {
		return convertText(s, t)
	}
	switch t {
	case String:
		if s, ok := FormatText(v); ok {
			return s, nil
		}
	case Int:
		switch v := v.(type) {
		case float64:
			if v == math.Trunc(v) && v >= -1<<63 && v < 1<<63 {
				return int64(v), nil
			}
			return nil, fmt.Errorf("%v is not a whole number that an int holds", v)
		case *big.Int:
			return nil, errIntRange
		}
	case Float:
		switch v := v.(type) {
		case int64:
			if f := float64(v); f < 1<<63 && int64(f) == v {
				return f, nil
			}
			return nil, fmt.Errorf("%d is not exact as a float", v)
		case *big.Int:
			if f, acc := new(big.Float).SetInt(v).Float64(); acc == big.Exact {
				return f, nil
			}
			return nil, fmt.Errorf("%v is not exact as a float", v)
		}
	}
	return nil, fmt.Errorf("got %s, want %s", KindOf(v), t)
}

func convertText(s string, t Type) (any, error) {
	text := []byte(s)
	if t == Bytes {
		return text, nil
	}
	if len(Trim(text)) == 0 {
		return nil, nil
	}
	switch t {
	case Int:
		return boxed(ParseInt(text))
	case Float:
		return boxed(ParseFloat(text))
	case Bool:
		return boxed(ParseBool(text))
	}
	return boxed(ParseTime(text))
}

func boxed[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// FormatText returns a scalar as text that Convert reads back; false for null, lists and objects. Bytes are taken as
// the text they are.
func FormatText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return string(AppendFloat(nil, v)), true
	case *big.Int:
		return v.String(), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	}
	return "", false
}

// AppendFloat appends the fewest digits that read back as f, with a point or an exponent so that it stays a float:
// 1.0, 2.5e-07, NaN, +Inf.
func AppendFloat(dst []byte, f float64) []byte {
	verb := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		verb = 'e' // as encoding/json and ECMAScript do
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, verb, -1, 64)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' || c == 'N' || c == 'I' {
			return dst
		}
	}
	return append(dst, ".0"...)
}
