package s3

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// unescape decodes a percent-encoded key, where "+" stands for a space.
func unescape(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", fault.New(fault.DataLoss, "the listing has a key with a bad percent-encoding")
			}
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// time reads "2026-01-02T03:04:05.000Z". The date of most objects of a page is that of the one before.
func (p *pageDecoder) time(b []byte) (time.Time, error) {
	if len(b) >= 20 && b[10] == 'T' && b[13] == ':' && b[16] == ':' && b[len(b)-1] == 'Z' && (len(b) == 20 || b[19] == '.' && len(b) > 21) && len(b) <= 30 {
		h, ok1 := digits(b[11:13])
		m, ok2 := digits(b[14:16])
		s, ok3 := digits(b[17:19])
		ns, ok4 := int64(0), true
		if len(b) > 20 {
			ns, ok4 = digits(b[20 : len(b)-1])
			for range 9 - (len(b) - 21) {
				ns *= 10
			}
		}
		if ok1 && ok2 && ok3 && ok4 && h < 24 && m < 60 && s < 60 {
			if p.dayAt.IsZero() || string(p.day[:]) != string(b[:10]) {
				at, err := time.Parse("2006-01-02", string(b[:10]))
				if err != nil {
					return at, fmt.Errorf("a time is %.40q", b)
				}
				copy(p.day[:], b)
				p.dayAt = at
			}
			return p.dayAt.Add(time.Duration(h*3600+m*60+s)*time.Second + time.Duration(ns)), nil
		}
	}
	at, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return at, fmt.Errorf("a time is %.40q", b)
	}
	return at.UTC(), nil
}

// valid reports whether text is UTF-8 of characters that XML allows.
func valid(b []byte) bool {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
			return false
		}
		i += n
	}
	return true
}
