package s3

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// The part of XML that services write: elements, attributes, text with entities. Comments, CDATA and processing
// instructions inside the page are refused, as are namespace prefixes.

func (p *pageDecoder) space() {
	for p.i < len(p.b) && isSpace(p.b[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// kinds of bytes.
const (
	inName    = 1 << iota // may stand in a name
	inPlain               // stands for itself in text, and needs no look
	startName             // may begin a name
)

var kinds = func() (t [256]uint8) {
	for c := range 256 {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if letter {
			t[c] |= startName
		}
		if letter || c >= '0' && c <= '9' || c == '-' || c == '.' {
			t[c] |= inName
		}
		if c >= ' ' && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' {
			t[c] |= inPlain
		}
	}
	return t
}()

func nameByte(c byte, first bool) bool {
	if first {
		return kinds[c]&startName != 0
	}
	return kinds[c]&inName != 0
}

// child reads the next tag where only elements are allowed.
func (p *pageDecoder) child() (tag, error) {
	p.space()
	return p.tag()
}

// tag reads a tag at the current byte.
func (p *pageDecoder) tag() (t tag, err error) {
	b := p.b
	if p.i >= len(b) {
		return t, errCut
	}
	if b[p.i] != '<' {
		return t, errSyntax
	}
	i := p.i + 1
	if i < len(b) && b[i] == '/' {
		t.end = true
		i++
	}
	from := i
	if i < len(b) && kinds[b[i]]&startName == 0 {
		return t, errSyntax
	}
	for i < len(b) && kinds[b[i]]&inName != 0 {
		i++
	}
	if i == len(b) {
		return t, errCut
	}
	t.name = b[from:i]
	if b[i] == '>' {
		p.i = i + 1
		return t, nil
	}
	for {
		spaced := false
		for i < len(b) && isSpace(b[i]) {
			i, spaced = i+1, true
		}
		if i >= len(b) {
			return t, errCut
		}
		switch {
		case b[i] == '>':
			p.i = i + 1
			return t, nil
		case b[i] == '/' && !t.end:
			if i+1 >= len(b) {
				return t, errCut
			}
			if b[i+1] != '>' {
				return t, errSyntax
			}
			t.empty = true
			p.i = i + 2
			return t, nil
		case t.end || !spaced:
			return t, errSyntax
		}
		if i, err = attribute(b, i); err != nil {
			return t, err
		}
	}
}

// attribute reads over an attribute at i.
func attribute(b []byte, i int) (int, error) {
	from := i
	for i < len(b) && (nameByte(b[i], i == from) || b[i] == ':' && i > from && i+1 < len(b) && nameByte(b[i+1], true)) {
		i++
	}
	if i == from {
		return i, errSyntax
	}
	if i+1 >= len(b) {
		return i, errCut
	}
	quote := b[i+1]
	if b[i] != '=' || quote != '"' && quote != '\'' {
		return i, errSyntax
	}
	n := bytes.IndexByte(b[i+2:], quote)
	if n < 0 {
		return i, errCut
	}
	value := b[i+2 : i+2+n]
	if !valid(value) || bytes.ContainsAny(value, "<&") {
		return i, errSyntax
	}
	return i + n + 3, nil
}

// close checks that an end tag closes the element.
func (p *pageDecoder) close(t tag, name string) error {
	if string(t.name) != name {
		return fmt.Errorf("</%.40s> closes <%s>", t.name, name)
	}
	return nil
}

// skip reads over the content of an element.
func (p *pageDecoder) skip(t tag, depth int) error {
	if t.empty {
		return nil
	}
	if depth > 20 {
		return errSyntax
	}
	at := len(p.texts)
	for {
		if err := p.chars(); err != nil {
			return err
		}
		p.texts = p.texts[:at]
		c, err := p.tag()
		if err != nil {
			return err
		}
		if c.end {
			return p.close(c, string(t.name))
		}
		if err := p.skip(c, depth+1); err != nil {
			return err
		}
	}
}

// text reads an element that holds text only.
func (p *pageDecoder) text(t tag) (span, error) {
	from := len(p.texts)
	if t.empty {
		return span{from, from}, nil
	}
	if err := p.chars(); err != nil {
		return span{from, from}, err
	}
	to := len(p.texts)
	c, err := p.tag()
	if err != nil {
		return span{from, from}, err
	}
	if !c.end || !bytes.Equal(c.name, t.name) {
		return span{from, from}, errSyntax
	}
	return span{from, to}, nil
}

// chars appends the text up to the next tag to texts.
func (p *pageDecoder) chars() error {
	b := p.b[p.i:]
	i := 0
	for i < len(b) && kinds[b[i]]&inPlain != 0 {
		i++
	}
	if i < len(b) && b[i] == '<' {
		p.texts = append(p.texts, b[:i]...)
		p.i += i
		return nil
	}
	n := bytes.IndexByte(b, '<')
	if n < 0 {
		return errCut
	}
	p.i += n
	return p.decode(b[:n])
}

// decode appends text with entities and line ends resolved.
func (p *pageDecoder) decode(raw []byte) error {
	if !valid(raw) || bytes.Contains(raw, []byte("]]>")) {
		return errSyntax
	}
	for len(raw) > 0 {
		i := 0
		for i < len(raw) && raw[i] != '&' && raw[i] != '\r' {
			i++
		}
		p.texts = append(p.texts, raw[:i]...)
		if raw = raw[i:]; len(raw) == 0 {
			break
		}
		if raw[0] == '\r' { // any line end is a line feed
			p.texts = append(p.texts, '\n')
			raw = bytes.TrimPrefix(raw[1:], []byte("\n"))
			continue
		}
		n := bytes.IndexByte(raw[:min(len(raw), 16)], ';')
		if n < 0 {
			return errSyntax
		}
		r, ok := entity(raw[1:n])
		if !ok {
			return fmt.Errorf("%.12q is no entity", raw[:n+1])
		}
		p.texts = utf8.AppendRune(p.texts, r)
		raw = raw[n+1:]
	}
	return nil
}

// entity returns the character that an entity stands for. Beyond those that XML allows, control characters are taken: S3
// writes keys that have them so.
func entity(name []byte) (rune, bool) {
	switch string(name) {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(name) < 2 || name[0] != '#' || len(name) > 10 {
		return 0, false
	}
	base, name := rune(10), name[1:]
	if name[0] == 'x' {
		base, name = 16, name[1:]
	}
	var r rune
	for _, c := range name {
		d := rune(unhex(c))
		if d < 0 || d >= base {
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, len(name) > 0 && r != 0 && utf8.ValidRune(r) && r != 0xfffe && r != 0xffff
}
