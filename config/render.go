package config

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Render writes diagnostics for a person: summary, place, source line with underline, detail. Lines are broken at
// width columns; 0 means 80.
func Render(w io.Writer, diags []Diag, width int, color bool) error {
	if width <= 0 {
		width = 80
	}
	paint := func(code, s string) string {
		if !color || s == "" {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	var b strings.Builder
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		hue := "1;31"
		switch d.Severity {
		case "warning":
			hue = "1;33"
		case "note":
			hue = "1;36"
		}
		fmt.Fprintf(&b, "%s %s", paint(hue, upperFirst(d.Severity)+":"), paint("1", d.Summary))
		if d.Rule != "" {
			fmt.Fprintf(&b, " (%s)", d.Rule)
		}
		b.WriteByte('\n')
		if d.File != "" {
			fmt.Fprintf(&b, "\n  on %s", d.File)
			if d.Line > 0 {
				fmt.Fprintf(&b, " line %d", d.Line)
			}
			if d.Snippet != nil && d.Snippet.Context != "" {
				fmt.Fprintf(&b, ", in %s", d.Snippet.Context)
			}
			b.WriteString(":\n")
			if d.Snippet != nil {
				writeSnippet(&b, d, width, paint, hue)
			}
		}
		if d.Detail != "" {
			b.WriteByte('\n')
			for _, line := range strings.Split(d.Detail, "\n") {
				wrap(&b, line, width)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSnippet(b *strings.Builder, d Diag, width int, paint func(string, string) string, hue string) {
	num := fmt.Sprintf("%4d", d.Line)
	room := max(20, width-len(num)-5)
	s := *d.Snippet
	if utf8.RuneCountInString(s.Code) > room {
		s.Highlight = clip(s.Highlight, room*2/3, false)
		room -= utf8.RuneCountInString(s.Highlight)
		s.Before = clip(s.Before, max(2, room*2/3), true)
		s.After = clip(s.After, max(1, room-utf8.RuneCountInString(s.Before)), false)
	}
	fmt.Fprintf(b, "  %s | %s%s%s\n", num, s.Before, paint(hue, s.Highlight), s.After)
	fmt.Fprintf(b, "  %s | %s%s\n", strings.Repeat(" ", len(num)), strings.Repeat(" ", runewidth.StringWidth(s.Before)),
		paint(hue, strings.Repeat("^", max(1, runewidth.StringWidth(s.Highlight)))))
}

// wrap writes a line broken at spaces, indented by two.
func wrap(b *strings.Builder, line string, width int) {
	col := 0
	for _, word := range strings.Fields(line) {
		n := runewidth.StringWidth(word)
		switch {
		case col == 0:
			b.WriteString("  ")
			col = 2
		case col+1+n > width:
			b.WriteString("\n  ")
			col = 2
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	b.WriteByte('\n')
}
