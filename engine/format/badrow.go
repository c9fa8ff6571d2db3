package format

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxBadText is how much of a record BadRow.Text keeps.
const maxBadText = 200

// Error names the place, the column and the reason: `a.csv:12: record 11: column "x": reason: "text"`.
func (b *BadRow) Error() string {
	var s strings.Builder
	name := b.Name
	if name == "" {
		name = "line "
	} else {
		name = fault.Printable(name) + ":"
	}
	fmt.Fprintf(&s, "%s%d: ", name, b.Line)
	if b.Record > 0 {
		fmt.Fprintf(&s, "record %d: ", b.Record)
	}
	if b.Column != "" {
		fmt.Fprintf(&s, "column %q: ", b.Column)
	}
	s.WriteString(b.Reason)
	if b.Text != "" {
		fmt.Fprintf(&s, ": %q", b.Text)
	}
	return s.String()
}

// As lets errors.As see the bad row as a classified failure with the code bad_row.
func (b *BadRow) As(target any) bool {
	e, ok := target.(**fault.Error)
	if ok {
		*e = &fault.Error{Class: fault.Class{Code: fault.BadRow, NoRetry: true, Hint: b.Hint}, Err: b}
	}
	return ok
}

// cut returns at most maxBadText bytes of text, not splitting a character.
func cut(text []byte) string {
	if len(text) > maxBadText {
		text = text[:maxBadText]
		for i := 0; i < utf8.UTFMax && len(text) > 0 && !utf8.Valid(text[len(text)-min(len(text), utf8.UTFMax):]); i++ {
			text = text[:len(text)-1]
		}
	}
	return string(text)
}
