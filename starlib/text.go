package starlib

import (
	"strings"

	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxTextDepth bounds the nesting of a value that is printed.
const maxTextDepth = 10_000

// valueText returns what print shows of a value: strings as they are, the rest as str() gives it. What it would take
// is charged before it is made.
func valueText(r *Run, v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case starlark.Bytes:
		return string(v), nil
	case starlark.Int, starlark.Bool, starlark.NoneType, starlark.Float:
		return v.String(), nil
	}
	n, err := textSize(v)
	if err != nil {
		return "", err
	}
	if err := r.Charge(n); err != nil {
		return "", err
	}
	return v.String(), nil
}

// joinText returns the texts of values with sep between them.
func joinText(r *Run, vs starlark.Tuple, sep string) (string, error) {
	if len(vs) == 1 {
		return valueText(r, vs[0])
	}
	var b strings.Builder
	for i, v := range vs {
		if i > 0 {
			b.WriteString(sep)
		}
		s, err := valueText(r, v)
		if err != nil {
			return "", err
		}
		if err := r.Charge(int64(len(s))); err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// textSize estimates the length of a value's text from above, in time linear in the number of containers even where
// the text is exponentially longer (a list that holds the same list twice, and so on).
func textSize(v starlark.Value) (int64, error) {
	s := sizer{}
	return s.size(v, 0)
}

// sizer remembers the sizes of containers once there are many.
type sizer struct {
	visited int
	memo    map[any]int64
}

// sizeCap keeps sums of estimates from overflowing.
const sizeCap = 1 << 55

func (s *sizer) size(v starlark.Value, depth int) (n int64, err error) {
	switch v := v.(type) {
	case starlark.String:
		return quotedSize(string(v)), nil
	case starlark.Bytes:
		return quotedSize(string(v)) + 1, nil
	case starlark.Int:
		if _, small := v.Int64(); small {
			return 20, nil
		}
		return int64(v.BigInt().BitLen())/3 + 2, nil
	case starlark.Bool, starlark.NoneType, starlark.Float:
		return 24, nil
	}
	if depth > maxTextDepth {
		return 0, fault.New(fault.Limit, "a value nests more than %d deep", maxTextDepth)
	}
	var key any
	switch v := v.(type) {
	case *starlark.List, *starlark.Dict, *starlark.Set:
		key = v
	case starlark.Tuple:
		if len(v) > 0 {
			key = &v[0]
		}
	}
	if key != nil && s.memo != nil {
		if n, ok := s.memo[key]; ok {
			return n, nil
		}
	}
	if s.visited++; s.visited == 256 && s.memo == nil {
		s.memo = map[any]int64{}
	}
	if key != nil && s.memo != nil {
		s.memo[key] = 5 // a container inside of itself prints as "[...]"
	}
	add := func(e starlark.Value) error {
		m, err := s.size(e, depth+1)
		n = min(sizeCap, n+m+2)
		return err
	}
	switch v := v.(type) {
	case *starlark.List:
		for e := range v.Elements() {
			if err := add(e); err != nil {
				return 0, err
			}
		}
	case starlark.Tuple:
		for _, e := range v {
			if err := add(e); err != nil {
				return 0, err
			}
		}
	case *starlark.Set:
		for e := range v.Elements() {
			if err := add(e); err != nil {
				return 0, err
			}
		}
	case *starlark.Dict:
		for k, e := range v.Entries() {
			if err := add(k); err != nil {
				return 0, err
			}
			if err := add(e); err != nil {
				return 0, err
			}
		}
	case Sized:
		return v.TextSize(), nil
	default:
		return 64, nil
	}
	n += 8
	if key != nil && s.memo != nil {
		s.memo[key] = n
	}
	return n, nil
}

// Sized is a value of the host whose String can be long: it says how long, from above.
type Sized interface{ TextSize() int64 }

// quotedSize bounds the length of a quoted string: exact enough to charge, and cheap.
func quotedSize(s string) int64 {
	n := int64(len(s)) + 2
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7F {
			n += 9 // \U0001f600 is the longest form of four bytes; \x00 of one
		} else if c == '"' || c == '\\' {
			n++
		}
	}
	return n
}
