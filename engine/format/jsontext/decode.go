// Package jsontext reads and writes JSON (RFC 8259) as the values that rows hold: nil, bool, int64, float64, *big.Int,
// string, []any and *rows.Object, which keeps the order of its fields.
//
// It refuses what other readers let pass, because each loses data unseen: two fields of one name in an object, text
// that is not UTF-8, a surrogate without its other half, a number beyond float64. Integers are exact, however long.
package jsontext

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// Limits bound what a text chosen by a stranger can cost. Zero fields take the defaults.
type Limits struct {
	Bytes  int // of the text; default 64 MiB
	Depth  int // of nesting; default 200, at most MaxDepth
	Values int // values and fields in all; default 4 Mi, of about 40 bytes each besides their text
}

// MaxDepth is the deepest nesting that any limit allows; each level costs some hundred bytes of stack.
const MaxDepth = 10000

// maxDigits is the longest integer that is read, because turning digits into a number takes more than linear time.
const maxDigits = 4300

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 200
	}
	l.Depth = min(l.Depth, MaxDepth)
	if l.Values <= 0 {
		l.Values = 4 << 20
	}
	return l
}

// Error is a text that is not JSON. Its code is invalid_argument.
type Error struct {
	Offset int // bytes before the trouble
	Line   int // from 1
	Col    int // from 1, in characters
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Col, e.Reason) }

// As lets errors.As see a classified failure.
func (e *Error) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = &fault.Error{Class: fault.Class{Code: fault.InvalidArgument, NoRetry: true}, Err: e}
	}
	return ok
}

// Decode returns the one value that data holds. Its error is an *Error, or limit when l is exceeded.
func Decode(data []byte, l Limits) (any, error) {
	l = l.orDefault()
	if len(data) > l.Bytes {
		return nil, fault.New(fault.Limit, "the JSON text has %d bytes, more than %d", len(data), l.Bytes)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	p := Parser{Data: data, End: len(data), Limits: l}
	p.Space()
	v, err := p.Value()
	if err != nil {
		return nil, err
	}
	p.Space()
	if p.Pos < p.End {
		return nil, p.Fail(p.Pos, "text stands behind the value")
	}
	return v, nil
}

// Parser reads values out of Data[Pos:End]. Its methods leave Pos behind what they read; after an error Pos means
// nothing. It is reused for text after text: set Data, Pos and End, and Values to 0.
type Parser struct {
	Data   []byte // bytes behind End may be looked at but do not count
	Pos    int
	End    int
	Limits Limits // all fields set
	Values int    // values so far

	depth   int
	scratch []byte
	keys    map[string]string // keys seen before: the same few words name the fields of most objects
}

// Fail returns the error for trouble at an offset.
func (p *Parser) Fail(at int, reason string) error {
	at = min(at, p.End)
	before := p.Data[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return &Error{Offset: at, Line: 1 + bytes.Count(before, []byte{'\n'}), Col: 1 + utf8.RuneCount(before[start:]), Reason: reason}
}

func (p *Parser) unexpected(want string) error {
	if p.Pos >= p.End {
		return p.Fail(p.End, "the text ends where "+want+" is expected")
	}
	r, _ := utf8.DecodeRune(p.Data[p.Pos:p.End])
	return p.Fail(p.Pos, fmt.Sprintf("%q stands where %s is expected", r, want))
}

// Space skips white space and returns the byte behind it, 0 at the end.
func (p *Parser) Space() byte {
	if p.Pos < p.End {
		if c := p.Data[p.Pos]; c > ' ' {
			return c
		}
	}
	return p.space()
}

func (p *Parser) space() byte {
	for p.Pos < p.End {
		c := p.Data[p.Pos]
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		p.Pos++
	}
	return 0
}

// Byte skips white space and then c, which it reports as want when it is not there.
func (p *Parser) Byte(c byte, want string) error {
	if p.Space() != c || p.Pos >= p.End {
		return p.unexpected(want)
	}
	p.Pos++
	return nil
}

// Count counts one more value against the limits.
func (p *Parser) Count() error {
	if p.Values++; p.Values > p.Limits.Values {
		return fault.Hinted(fault.Limit, "Split the text, or raise the limit on values.", "the JSON text holds more than %d values", p.Limits.Values)
	}
	return nil
}

// Value reads a value of any kind; Pos is on its first byte.
func (p *Parser) Value() (any, error) {
	if err := p.Count(); err != nil {
		return nil, err
	}
	if p.Pos >= p.End {
		return nil, p.unexpected("a value")
	}
	switch c := p.Data[p.Pos]; c {
	case '"':
		text, err := p.Text()
		return string(text), err
	case '{':
		return p.object()
	case '[':
		return p.array()
	case 't', 'f', 'n':
		return p.Word()
	default:
		if c != '-' && (c < '0' || c > '9') {
			return nil, p.unexpected("a value")
		}
		n, err := p.Number()
		return n.Value(), err
	}
}

// Skip reads a value as Value does, checks included, without keeping text and numbers.
func (p *Parser) Skip() error {
	if p.Pos < p.End {
		switch c := p.Data[p.Pos]; {
		case c == '"':
			_, err := p.Text()
			return err
		case c == '-' || c-'0' <= 9:
			_, err := p.Number()
			return err
		}
	}
	_, err := p.Value()
	return err
}

// Word reads true, false or null.
func (p *Parser) Word() (any, error) {
	rest := p.Data[p.Pos:p.End]
	switch {
	case len(rest) >= 4 && string(rest[:4]) == "true":
		p.Pos += 4
		return true, nil
	case len(rest) >= 5 && string(rest[:5]) == "false":
		p.Pos += 5
		return false, nil
	case len(rest) >= 4 && string(rest[:4]) == "null":
		p.Pos += 4
		return nil, nil
	}
	return nil, p.unexpected("a value")
}

func (p *Parser) enter() error {
	if p.depth++; p.depth > p.Limits.Depth {
		p.depth = 0
		return fault.Hinted(fault.Limit, "Nest less deeply, or raise the limit on depth.", "the JSON text nests deeper than %d levels", p.Limits.Depth)
	}
	return nil
}

func (p *Parser) array() (any, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	p.Pos++
	list := []any{}
	if p.Space() == ']' {
		p.Pos++
		p.depth--
		return list, nil
	}
	for {
		v, err := p.Value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch p.Space() {
		case ',':
			p.Pos++
			p.Space()
		case ']':
			p.Pos++
			p.depth--
			return list, nil
		default:
			return nil, p.unexpected("a comma or ]")
		}
	}
}

func (p *Parser) object() (any, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	p.Pos++
	o := &rows.Object{}
	if p.Space() == '}' {
		p.Pos++
		p.depth--
		return o, nil
	}
	var seen map[string]bool // for wide objects; few keys are compared one by one
	for {
		at := p.Pos
		key, err := p.Key()
		if err != nil {
			return nil, err
		}
		name := p.intern(key)
		dup := false
		if len(o.Keys) < 16 {
			for _, k := range o.Keys {
				dup = dup || k == name
			}
		} else {
			if seen == nil {
				seen = make(map[string]bool, 64)
				for _, k := range o.Keys {
					seen[k] = true
				}
			}
			dup = seen[name]
			seen[name] = true
		}
		if dup {
			return nil, p.Fail(at, fmt.Sprintf("the object has the field %q twice", name))
		}
		v, err := p.Value()
		if err != nil {
			return nil, err
		}
		o.Keys = append(o.Keys, name)
		o.Vals = append(o.Vals, v)
		more, err := p.More()
		if err != nil {
			return nil, err
		}
		if !more {
			p.depth--
			return o, nil
		}
	}
}

// Key reads a field's name and the colon, and skips to the value. The bytes are valid until the next call.
func (p *Parser) Key() ([]byte, error) {
	if p.Pos >= p.End || p.Data[p.Pos] != '"' {
		return nil, p.unexpected("a field's name in quotes")
	}
	key, err := p.Text()
	if err != nil {
		return nil, err
	}
	if p.Pos < p.End && p.Data[p.Pos] == ':' {
		p.Pos++
	} else if err := p.Byte(':', "a colon"); err != nil {
		return nil, err
	}
	p.Space()
	return key, nil
}

// More reads what stands behind a field: a comma, and then Pos is on the next name, or the end of the object.
func (p *Parser) More() (bool, error) {
	switch p.Space() {
	case ',':
		p.Pos++
		p.Space()
		return true, nil
	case '}':
		p.Pos++
		return false, nil
	}
	return false, p.unexpected("a comma or }")
}

// intern returns key as a string, the same one for the same key.
func (p *Parser) intern(key []byte) string {
	if s, ok := p.keys[string(key)]; ok {
		return s
	}
	s := string(key)
	if p.keys == nil {
		p.keys = map[string]string{}
	}
	if len(p.keys) < 1024 && len(s) <= 64 {
		p.keys[s] = s
	}
	return s
}

// Reset readies the parser for a text in data[pos:end].
func (p *Parser) Reset(data []byte, pos, end int) {
	p.Data, p.Pos, p.End, p.Values, p.depth = data, pos, end, 0, 0
}
