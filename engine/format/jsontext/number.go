package jsontext

import (
	"math/big"
	"strconv"
	"unsafe"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// Number is a number as it was written: with a point or an exponent it is a Float, else an integer, which is Big when
// 64 bits do not hold it.
type Number struct {
	Type  rows.Type // Int, Float, or Any with Big
	Int   int64
	Float float64
	Big   *big.Int
}

// Value returns int64, float64 or *big.Int.
func (n Number) Value() any {
	switch n.Type {
	case rows.Int:
		return n.Int
	case rows.Float:
		return n.Float
	}
	return n.Big
}

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Number reads a number; Pos is on its minus sign or first digit.
func (p *Parser) Number() (Number, error) {
	data, start := p.Data[:p.End], p.Pos
	i, neg := start, false
	if i < len(data) && data[i] == '-' {
		neg = true
		i++
	}
	first := i
	var n uint64 // the digits, as long as they are few
	for i < len(data) && data[i]-'0' <= 9 {
		n = n*10 + uint64(data[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 {
		p.Pos = i
		return Number{}, p.unexpected("a digit")
	}
	if digits > 1 && data[first] == '0' {
		return Number{}, p.Fail(first, "a number begins with a zero too many")
	}
	if i == len(data) || data[i] != '.' && data[i]|' ' != 'e' {
		p.Pos = i
		if digits <= 18 {
			if neg {
				return Number{Type: rows.Int, Int: -int64(n)}, nil
			}
			return Number{Type: rows.Int, Int: int64(n)}, nil
		}
		return p.long(data[start:i], digits)
	}
	point := 0 // digits behind the point
	if data[i] == '.' {
		i++
		from := i
		for i < len(data) && data[i]-'0' <= 9 {
			n = n*10 + uint64(data[i]-'0')
			i++
		}
		if point = i - from; point == 0 {
			p.Pos = i
			return Number{}, p.unexpected("a digit")
		}
	}
	plain := i == len(data) || data[i]|' ' != 'e'
	if !plain {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		from := i
		for i < len(data) && data[i]-'0' <= 9 {
			i++
		}
		if i == from {
			p.Pos = i
			return Number{}, p.unexpected("a digit")
		}
	}
	p.Pos = i
	if plain && digits+point <= 18 && n < 1<<53 {
		// Both are exact, so one division rounds correctly (W. D. Clinger 1990).
		f := float64(n) / pow10[point]
		if neg {
			f = -f
		}
		return Number{Type: rows.Float, Float: f}, nil
	}
	text := data[start:i]
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil { // the grammar was checked: only the range is left
		return Number{}, p.Fail(start, "a number is beyond the range of a float (64 bits)")
	}
	return Number{Type: rows.Float, Float: f}, nil
}

// long reads an integer of more than 18 digits.
func (p *Parser) long(text []byte, digits int) (Number, error) {
	if digits > maxDigits {
		return Number{}, fault.New(fault.Limit, "an integer in the JSON text has %d digits, more than %d", digits, maxDigits)
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return Number{Type: rows.Int, Int: n}, nil
	}
	b, _ := new(big.Int).SetString(string(text), 10)
	return Number{Type: rows.Any, Big: b}, nil
}
