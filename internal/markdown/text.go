package markdown

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// Text writes a page for a terminal of the given width in columns; color makes headings and code stand out.
func Text(page string, width int, color bool) string {
	w := textWriter{width: max(width, 40), color: color}
	for i, b := range Parse(page) {
		if i > 0 && !(b.Kind == Item && w.last == Item) {
			w.b.WriteByte('\n')
		}
		w.block(b)
		w.last = b.Kind
	}
	return w.b.String()
}

type textWriter struct {
	b     strings.Builder
	width int
	color bool
	last  Kind
}

func (w *textWriter) block(b Block) {
	switch b.Kind {
	case Heading:
		w.b.WriteString(w.paint("1", Plain(b.Text)) + "\n")
	case Item:
		w.wrap(b.Text, "- ", "  ")
	case Quote:
		w.wrap(b.Text, "  ", "  ")
	case Code:
		for line := range strings.SplitSeq(b.Text, "\n") {
			w.b.WriteString(strings.TrimRight("    "+w.paint("36", line), " ") + "\n")
		}
	case Table:
		w.table(b.Rows)
	default:
		w.wrap(b.Text, "", "")
	}
}

func (w *textWriter) paint(code, s string) string {
	if !w.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// wrap writes a text broken at blanks; code is kept together.
func (w *textWriter) wrap(text, first, rest string) {
	col := runewidth.StringWidth(first)
	w.b.WriteString(first)
	start := true
	for _, word := range w.words(text) {
		if !start && col+1+word.width > w.width {
			w.b.WriteString("\n" + rest)
			col, start = runewidth.StringWidth(rest), true
		}
		if !start {
			w.b.WriteByte(' ')
			col++
		}
		w.b.WriteString(word.shown)
		col, start = col+word.width, false
	}
	w.b.WriteByte('\n')
}

// word is what is not broken: its text with colors, and the columns that it takes.
type word struct {
	shown string
	width int
}

// words splits a text at the blanks outside of code.
func (w *textWriter) words(text string) []word {
	var out []word
	glue := false
	for _, s := range Inline(text) {
		fields := []string{s.Text}
		if !s.Code {
			fields = strings.Fields(s.Text)
			glue = glue && strings.TrimLeft(s.Text, " \t") == s.Text
		}
		for i, f := range fields {
			x := word{f, runewidth.StringWidth(f)}
			switch {
			case s.Code:
				x.shown = w.paint("36", f)
			case s.Strong:
				x.shown = w.paint("1", f)
			}
			if glue && i == 0 && len(out) > 0 {
				last := &out[len(out)-1]
				last.shown, last.width = last.shown+x.shown, last.width+x.width
				continue
			}
			out = append(out, x)
		}
		glue = s.Code || strings.TrimRight(s.Text, " \t") == s.Text
	}
	return out
}

// table writes rows as columns where they fit, the last one wrapped; else each row as a small list.
func (w *textWriter) table(rows [][]string) {
	if len(rows) < 2 {
		return
	}
	cols := len(rows[0])
	widths := make([]int, cols)
	for _, r := range rows {
		for i, c := range r {
			if i < cols {
				widths[i] = max(widths[i], runewidth.StringWidth(Plain(c)))
			}
		}
	}
	left := 0
	for _, n := range widths[:cols-1] {
		left += n + 2
	}
	if left+min(widths[cols-1], 30) > w.width {
		w.entries(rows)
		return
	}
	indent := strings.Repeat(" ", left)
	for i, r := range rows {
		line := ""
		for j := range cols - 1 {
			cell := ""
			if j < len(r) {
				cell = Plain(r[j])
			}
			line += cell + strings.Repeat(" ", widths[j]-runewidth.StringWidth(cell)+2)
		}
		last := ""
		if len(r) >= cols {
			last = r[cols-1]
		}
		if i == 0 {
			w.b.WriteString(w.paint("1", strings.TrimRight(line+Plain(last), " ")) + "\n")
			continue
		}
		if last == "" {
			w.b.WriteString(strings.TrimRight(line, " ") + "\n")
			continue
		}
		w.wrap(last, line, indent)
	}
}

// entries writes each row as its first cell and, below it, the others.
func (w *textWriter) entries(rows [][]string) {
	for _, r := range rows[1:] {
		head := w.paint("1", Plain(r[0]))
		for i := 1; i < len(r)-1; i++ {
			if r[i] != "" {
				head += "  (" + Plain(rows[0][i]) + ": " + Plain(r[i]) + ")"
			}
		}
		w.b.WriteString(head + "\n")
		if len(r) > 1 {
			w.wrap(r[len(r)-1], "    ", "    ")
		}
	}
}
