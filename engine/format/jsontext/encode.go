package jsontext

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// Encode returns v as compact JSON; see Append.
func Encode(v any) ([]byte, error) { return Append(nil, v) }

// Append appends v as compact JSON. Integers are exact; floats have the fewest digits that read back as the same
// float, and always a point or an exponent, so that they stay floats. Times are RFC 3339 strings, and bytes are
// base64 (RFC 4648). Characters that only HTML minds are left alone. NaN, infinities and text that is not UTF-8 have
// no JSON and are invalid_argument; nesting beyond MaxDepth is limit.
func Append(dst []byte, v any) ([]byte, error) { return appendValue(dst, v, 0) }

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return dst, fault.New(fault.Limit, "a value nests deeper than %d levels", MaxDepth)
	}
	var err error
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		return AppendFloat(dst, v)
	case *big.Int:
		return v.Append(dst, 10), nil
	case string:
		return AppendString(dst, v)
	case []byte:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v), '"'), nil
	case time.Time:
		return AppendTime(dst, v), nil
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, e, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case *rows.Object:
		dst = append(dst, '{')
		for i, k := range v.Keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = AppendString(dst, k); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
			if dst, err = appendValue(dst, v.Vals[i], depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, fault.New(fault.InvalidArgument, "a value of type %T has no JSON", v)
}

// AppendTime appends t as an RFC 3339 string with as many digits of the second as it has.
func AppendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	return append(t.AppendFormat(dst, time.RFC3339Nano), '"')
}

// AppendFloat appends f.
func AppendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fault.Hinted(fault.InvalidArgument, "Replace such values by null, or leave them out.", "%v has no JSON", f)
	}
	return rows.AppendFloat(dst, f), nil
}

const hexDigits = "0123456789abcdef"

// AppendString appends s in quotes.
func AppendString[T string | []byte](dst []byte, s T) ([]byte, error) {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && n == 1 {
				return dst, fault.Hinted(fault.InvalidArgument, "Convert the text to UTF-8 first.",
					"a string is not UTF-8: byte 0x%02x at %d of %s", c, i, fmt.Sprintf("%.40q", string(s[max(0, i-20):min(len(s), i+20)])))
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"'), nil
}
