package rows

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"strings"
	"time"
)

// Ranks of kinds in the total order.
const (
	rankNull = iota
	rankBool
	rankNumber
	rankString
	rankBytes
	rankTime
	rankList
	rankObject
	rankOther
)

func rank(v any) int {
	switch v.(type) {
	case nil:
		return rankNull
	case bool:
		return rankBool
	case int64, float64, *big.Int:
		return rankNumber
	case string:
		return rankString
	case []byte:
		return rankBytes
	case time.Time:
		return rankTime
	case []any:
		return rankList
	case *Object:
		return rankObject
	}
	return rankOther
}

// Compare returns -1, 0 or 1: the total order of all values. Null comes first, then false, true, numbers, strings,
// bytes, times, lists, objects. Numbers compare by exact value whether int or float, NaN before all others and equal
// to itself; strings by their bytes, times by their instants, lists element by element, objects field by field in
// their order, names first.
func Compare(a, b any) int {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	}
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return cmp.Compare(ra, rb)
	}
	switch ra {
	case rankBool:
		return compareBool(a.(bool), b.(bool))
	case rankNumber:
		return compareNumbers(a, b)
	case rankBytes:
		return bytes.Compare(a.([]byte), b.([]byte))
	case rankTime:
		return a.(time.Time).Compare(b.(time.Time))
	case rankList:
		x, y := a.([]any), b.([]any)
		for i := range min(len(x), len(y)) {
			if c := Compare(x[i], y[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(x), len(y))
	case rankObject:
		x, y := a.(*Object), b.(*Object)
		for i := range min(len(x.Keys), len(y.Keys)) {
			if c := strings.Compare(x.Keys[i], y.Keys[i]); c != 0 {
				return c
			}
			if c := Compare(x.Vals[i], y.Vals[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(x.Keys), len(y.Keys))
	}
	return 0
}

// Equal reports whether a and b are the same value: 1 and 1.0 are, and so are null and an absent field.
func Equal(a, b any) bool { return Compare(a, b) == 0 }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareNumbers(a, b any) int {
	switch x := a.(type) {
	case int64:
		switch y := b.(type) {
		case int64:
			return cmp.Compare(x, y)
		case float64:
			return compareIntFloat(x, y)
		case *big.Int:
			return big.NewInt(x).Cmp(y)
		}
	case float64:
		switch y := b.(type) {
		case float64:
			return cmp.Compare(x, y)
		case int64:
			return -compareIntFloat(y, x)
		case *big.Int:
			return -compareBigFloat(y, x)
		}
	case *big.Int:
		switch y := b.(type) {
		case int64:
			return x.Cmp(big.NewInt(y))
		case float64:
			return compareBigFloat(x, y)
		case *big.Int:
			return x.Cmp(y)
		}
	}
	return 0
}

// compareIntFloat compares exactly: converting the int would round it beyond 2^53.
func compareIntFloat(i int64, f float64) int {
	switch {
	case math.IsNaN(f) || f < -1<<63:
		return 1
	case f >= 1<<63:
		return -1
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}

func compareBigFloat(b *big.Int, f float64) int {
	switch {
	case math.IsNaN(f) || math.IsInf(f, -1):
		return 1
	case math.IsInf(f, 1):
		return -1
	}
	return new(big.Float).SetInt(b).Cmp(big.NewFloat(f))
}

// compareCells compares cells of two columns, which may be of one batch or not.
func compareCells(a *Column, i int, b *Column, j int) int {
	if a.Type == b.Type {
		na, nb := a.IsNull(i), b.IsNull(j)
		if na || nb {
			return -compareBool(na, nb)
		}
		switch a.Type {
		case Int:
			return cmp.Compare(a.Ints[i], b.Ints[j])
		case Float:
			return cmp.Compare(a.Floats[i], b.Floats[j])
		case String, Bytes:
			return strings.Compare(a.Str(i), b.Str(j))
		}
	}
	return Compare(a.Value(i), b.Value(j))
}
