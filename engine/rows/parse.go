package rows

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Reasons why a text is not a value of a type.
var (
	errNotInt   = errors.New("not an int")
	errIntRange = errors.New("beyond the range of an int (64 bits)")
	errNotFloat = errors.New("not a float")
	errFltRange = errors.New("beyond the range of a float (64 bits)")
	errNotBool  = errors.New("not a bool (true, false, yes, no, t, f, y, n, 1 or 0)")
	errNotTime  = errors.New("not a time (RFC 3339, such as 2026-01-31 or 2026-01-31T12:00:00Z)")
)

// Trim cuts spaces and tabs off both ends, which is what the Parse functions ignore.
func Trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// ParseInt reads a decimal integer with an optional sign; spaces and tabs around it are ignored.
func ParseInt(text []byte) (int64, error) {
	text = Trim(text)
	neg := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		neg = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, errNotInt
	}
	var n uint64
	over := false
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 {
			return 0, errNotInt
		}
		if n > (math.MaxUint64-9)/10 {
			over = true
			continue
		}
		n = n*10 + d
	}
	switch {
	case over, n > 1<<63, n == 1<<63 && !neg:
		return 0, errIntRange
	case neg:
		return -int64(n), nil
	}
	return int64(n), nil
}

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// ParseFloat reads a decimal number, NaN, Inf or Infinity (any case, signed); spaces and tabs around it are ignored.
// The result is the nearest float64.
func ParseFloat(text []byte) (float64, error) {
	text = Trim(text)
	if f, ok := quickFloat(text); ok {
		return f, nil
	}
	for _, c := range text {
		// strconv also takes hexadecimal digits and underscores, which no data format means as a number.
		if c == '_' || c == 'x' || c == 'X' {
			return 0, errNotFloat
		}
	}
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return 0, errFltRange
		}
		return 0, errNotFloat
	}
	return f, nil
}

// quickFloat handles what data mostly holds: few digits and no exponent. A mantissa below 2^53 and a power of ten up to
// 22 are both exact, so that one division rounds correctly (W. D. Clinger, How to Read Floating Point Numbers
// Accurately, 1990).
func quickFloat(text []byte) (float64, bool) {
	i, neg := 0, false
	if len(text) > 0 && text[0] == '-' {
		i, neg = 1, true
	}
	if len(text)-i > 17 {
		return 0, false
	}
	var n uint64
	digits, frac, dot := 0, 0, false
	for ; i < len(text); i++ {
		c := text[i]
		if d := c - '0'; d <= 9 {
			n = n*10 + uint64(d)
			digits++
			if dot {
				frac++
			}
		} else if c == '.' && !dot {
			dot = true
		} else {
			return 0, false
		}
	}
	if digits == 0 || n >= 1<<53 {
		return 0, false
	}
	f := float64(n) / pow10[frac]
	if neg {
		f = -f
	}
	return f, true
}

// ParseBool reads true, false, yes, no, t, f, y, n, 1 or 0 in any case; spaces and tabs around it are ignored.
func ParseBool(text []byte) (bool, error) {
	text = Trim(text)
	if len(text) > 5 {
		return false, errNotBool
	}
	switch strings.ToLower(string(text)) {
	case "true", "yes", "t", "y", "1":
		return true, nil
	case "false", "no", "f", "n", "0":
		return false, nil
	}
	return false, errNotBool
}

// ParseTime reads a time of RFC 3339, with T or a space before the time of day. A date alone is its midnight; without
// an offset the time is UTC. Spaces and tabs around it are ignored.
func ParseTime(text []byte) (time.Time, error) {
	text = Trim(text)
	if t, ok := quickTime(text); ok {
		return t, nil
	}
	s := string(text)
	if len(s) < len("2006-01-02") || len(s) > 64 {
		return time.Time{}, errNotTime
	}
	layouts := []string{time.RFC3339, "2006-01-02T15:04:05"}
	switch {
	case len(s) == len("2006-01-02"):
		layouts = []string{time.DateOnly}
	case s[10] == ' ':
		layouts = []string{"2006-01-02 15:04:05Z07:00", time.DateTime}
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errNotTime
}

// quickTime handles a date alone and a time in whole seconds that ends in Z.
func quickTime(s []byte) (time.Time, bool) {
	if len(s) != len("2006-01-02") && (len(s) != len("2006-01-02T15:04:05Z") || s[10] != 'T' || s[19] != 'Z') {
		return time.Time{}, false
	}
	bad := false
	num := func(from, to int) int {
		n := 0
		for _, c := range s[from:to] {
			d := c - '0'
			bad = bad || d > 9
			n = n*10 + int(d)
		}
		return n
	}
	y, m, d := num(0, 4), num(5, 7), num(8, 10)
	hour, minute, sec := 0, 0, 0
	if len(s) > 10 {
		hour, minute, sec = num(11, 13), num(14, 16), num(17, 19)
		bad = bad || s[13] != ':' || s[16] != ':' || hour > 23 || minute > 59 || sec > 59
	}
	// Days beyond the 28th depend on the month: time.Parse knows.
	if bad || s[4] != '-' || s[7] != '-' || m < 1 || m > 12 || d < 1 || d > 28 {
		return time.Time{}, false
	}
	return time.Date(y, time.Month(m), d, hour, minute, sec, 0, time.UTC), true
}
