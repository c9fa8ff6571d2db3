package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// jsonWriter passes JSON on and escapes what could drive a terminal: DEL, the C1 controls, and what turns the direction of
// text. The escapes mean the same to every reader of JSON. Each write holds whole characters, as encoders write them.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	clean := true
	for _, c := range p {
		if c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return j.w.Write(p)
	}
	var b strings.Builder
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			b.Write(rest[:n])
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	if _, err := io.WriteString(j.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ttyWriter shows what somebody else has written on a terminal: line ends and tabs stay, any other control is shown
// escaped. Characters may come in pieces; Flush shows what is left of one.
type ttyWriter struct {
	w    io.Writer
	held []byte // the beginning of a character, or a carriage return that may belong to a line end
}

func (t *ttyWriter) Write(p []byte) (int, error) {
	data := append(t.held, p...)
	whole := len(data)
	if whole > 0 && data[whole-1] == '\r' {
		whole--
	}
	for i := 1; i <= min(utf8.UTFMax-1, whole); i++ {
		if c := data[whole-i]; c >= 0xC0 && !utf8.FullRune(data[whole-i:whole]) {
			whole -= i
			break
		} else if c < 0x80 {
			break
		}
	}
	t.held = append([]byte(nil), data[whole:]...)
	return len(p), t.show(data[:whole])
}

// Flush shows what is still held back.
func (t *ttyWriter) Flush() error {
	held := t.held
	t.held = nil
	return t.show(held)
}

func (t *ttyWriter) show(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := io.WriteString(t.w, printableText(string(data)))
	return err
}

// printableText is fault.Printable for a text of several lines, in which line ends and tabs stay.
func printableText(s string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j, part := range strings.Split(line, "\t") {
			if j > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(fault.Printable(part))
		}
	}
	return b.String()
}
