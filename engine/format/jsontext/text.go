package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// Text reads a string; Pos is on its opening quote. The bytes are valid until the next call of a method, and alias
// Data when nothing was escaped.
func (p *Parser) Text() ([]byte, error) {
	start := p.Pos + 1
	i, wide := start, uint64(0)
	for {
		// Look for a quote, a backslash or a control character, eight bytes at a time. The tests are exact for the
		// lowest byte that matches, and no other is used.
		if i+8 <= len(p.Data) {
			w := binary.LittleEndian.Uint64(p.Data[i:])
			q, b := w^('"'*ones), w^('\\'*ones)
			m := ((q-ones)&^q | (b-ones)&^b | (w-' '*ones)&^w) & highs
			wide |= w
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		}
		if i >= p.End {
			return nil, p.Fail(p.End, "the text ends inside of a string")
		}
		c := p.Data[i]
		switch {
		case c == '"':
			text := p.Data[start:i]
			if wide&highs != 0 && !utf8.Valid(text) {
				return nil, p.badUTF8(start, text)
			}
			p.Pos = i + 1
			return text, nil
		case c == '\\':
			return p.escaped(start, i)
		case c < ' ':
			return nil, p.Fail(i, "a control character stands in a string without being escaped")
		}
		wide |= uint64(c)
		i++
	}
}

func (p *Parser) badUTF8(start int, text []byte) error {
	at := 0
	for at < len(text) {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return p.Fail(start+at, "a string is not UTF-8")
}

// escaped reads a string whose first backslash is at i.
func (p *Parser) escaped(start, i int) ([]byte, error) {
	out := append(p.scratch[:0], p.Data[start:i]...)
	for i < p.End {
		c := p.Data[i]
		switch {
		case c == '"':
			p.scratch = out
			if !utf8.Valid(out) { // escapes give whole characters only, so the fault is in the text
				return nil, p.badUTF8(start, p.Data[start:i])
			}
			p.Pos = i + 1
			return out, nil
		case c < ' ':
			return nil, p.Fail(i, "a control character stands in a string without being escaped")
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		if i+1 >= p.End {
			break
		}
		switch e := p.Data[i+1]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.hex4(i + 2)
			if !ok {
				return nil, p.Fail(i, "four hexadecimal digits are expected after \\u")
			}
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+12 <= p.End && p.Data[i+6] == '\\' && p.Data[i+7] == 'u' {
					low, ok = p.hex4(i + 8)
				}
				r = utf16.DecodeRune(r, low)
				if !ok || r == utf8.RuneError {
					return nil, p.Fail(i, "half of a surrogate pair stands alone")
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			return nil, p.Fail(i, "a backslash stands before a character that needs none")
		}
		i += 2
	}
	return nil, p.Fail(p.End, "the text ends inside of a string")
}

func (p *Parser) hex4(i int) (rune, bool) {
	if i+4 > p.End {
		return 0, false
	}
	var r rune
	for _, c := range p.Data[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
