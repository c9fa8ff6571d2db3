package starlib

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

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
	return reprText(r, v)
}

// reprText returns what repr shows of a value; what it would take is charged first.
func reprText(r *Run, v starlark.Value) (string, error) {
	if err := chargeText(r, v); err != nil {
		return "", err
	}
	return v.String(), nil
}

// briefText returns about the first n bytes of what repr shows of a value, for messages and tables. Of a value whose text
// would be large, or that nests deeply, it is the type alone.
func briefText(v starlark.Value, n int) string {
	const most = 1 << 20
	if size, err := textSize(v, most); err != nil || size > most {
		return "<" + v.Type() + ">"
	}
	return bound(v.String(), n)
}

// chargeText charges for the text of a value.
func chargeText(r *Run, v starlark.Value) error {
	n, err := textSize(v, r.enough())
	if err != nil || n <= freeSize {
		return err
	}
	return r.Charge(n)
}

// enough is a size above which no exact figure is needed: it is refused anyway.
func (r *Run) enough() int64 {
	if r == nil || r.Limits.Memory == 0 {
		return sizeCap
	}
	return r.Limits.Memory
}

// joinText returns the texts of values with sep between them.
func joinText(r *Run, vs starlark.Tuple, sep string) (string, error) {
	if len(vs) == 1 {
		return valueText(r, vs[0])
	}
	b := builder{run: r}
	for i, v := range vs {
		if i > 0 {
			if err := b.write(sep); err != nil {
				return "", err
			}
		}
		s, err := valueText(r, v)
		if err != nil {
			return "", err
		}
		if err := b.write(s); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// builder is a strings.Builder whose memory is charged before it grows.
type builder struct {
	run *Run
	b   strings.Builder
}

func (b *builder) write(s string) error {
	if n := b.b.Len() + len(s); n > b.b.Cap() {
		n = max(n, 2*b.b.Cap())
		if err := b.run.Charge(int64(n)); err != nil {
			return err
		}
		b.b.Grow(n - b.b.Len())
	}
	b.b.WriteString(s)
	return nil
}

// String returns what was written.
func (b *builder) String() string { return b.b.String() }

// Write implements io.Writer.
func (b *builder) Write(p []byte) (int, error) { return len(p), b.write(string(p)) }

// textSize estimates the length of a value's text from above, in time linear in the number of containers even where
// the text is exponentially longer (a list that holds the same list twice, and so on). It stops counting at enough.
func textSize(v starlark.Value, enough int64) (int64, error) {
	s := sizer{enough: enough}
	return s.size(v, 0)
}

// sizer remembers the sizes of containers once there are many.
type sizer struct {
	enough  int64
	seen    int64 // counted so far, over everything
	visited int
	memo    map[any]int64
}

// sizeCap keeps sums of estimates from overflowing.
const sizeCap = 1 << 55

func (s *sizer) size(v starlark.Value, depth int) (n int64, err error) {
	switch v := v.(type) {
	case starlark.String:
		n = quotedSize(string(v))
		s.seen += n
		return n, nil
	case starlark.Bytes:
		n = quotedSize(string(v)) + 1
		s.seen += n
		return n, nil
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
	case *starlark.List, *starlark.Dict, *starlark.Set, *starlarkstruct.Struct:
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
		if s.seen > s.enough {
			n = max(n, s.seen)
			return nil
		}
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
	case *starlarkstruct.Struct:
		for _, name := range v.AttrNames() {
			n += int64(len(name)) + 3
			f, err := v.Attr(name)
			if err == nil {
				err = add(f)
			}
			if err != nil {
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
