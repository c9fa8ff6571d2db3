// Package markdown reads the Markdown that the reference is made of, and no other: headings, paragraphs, lists, quotes,
// fenced code, tables, `code`, **strong** and links. It writes it as text for a terminal and as HTML.
package markdown

import "strings"

// Kind is the kind of a block.
type Kind int

// The kinds of blocks.
const (
	Paragraph Kind = iota
	Heading
	Item
	Quote
	Code
	Table
)

// Block is one block of a page.
type Block struct {
	Kind  Kind
	Level int        // of a Heading, from 1
	Lang  string     // of Code
	Text  string     // with its inline marks; of Code as it is
	Rows  [][]string // of a Table, the first is its header
}

// Parse splits a page into blocks.
func Parse(page string) []Block {
	var out []Block
	lines := strings.Split(page, "\n")
	open := false // the last block takes further lines
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		trimmed := strings.TrimSpace(line)
		level := len(line) - len(strings.TrimLeft(line, "#"))
		switch {
		case trimmed == "":
			open = false
		case strings.HasPrefix(trimmed, "```"):
			b := Block{Kind: Code, Lang: trimmed[3:]}
			var text []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				text = append(text, lines[i])
			}
			b.Text, open = strings.Join(text, "\n"), false
			out = append(out, b)
		case level > 0 && strings.HasPrefix(line[level:], " "):
			out, open = append(out, Block{Kind: Heading, Level: level, Text: strings.TrimSpace(line[level:])}), false
		case strings.HasPrefix(trimmed, "|"):
			b := Block{Kind: Table}
			for ; i < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i]), "|"); i++ {
				cells := splitRow(strings.TrimSpace(lines[i]))
				if len(b.Rows) > 0 { // every row has as many cells as the header
					for len(cells) < len(b.Rows[0]) {
						cells = append(cells, "")
					}
					cells = cells[:len(b.Rows[0])]
				}
				if !isRule(cells) {
					b.Rows = append(b.Rows, cells)
				}
			}
			i--
			out, open = append(out, b), false
		case strings.HasPrefix(trimmed, "- "):
			out, open = append(out, Block{Kind: Item, Text: trimmed[2:]}), true
		case strings.HasPrefix(trimmed, "> "):
			out, open = append(out, Block{Kind: Quote, Text: trimmed[2:]}), true
		case open:
			out[len(out)-1].Text += " " + trimmed
		default:
			out, open = append(out, Block{Kind: Paragraph, Text: trimmed}), true
		}
	}
	return out
}

// splitRow splits a row of a table at the bars that are neither escaped nor in code.
func splitRow(line string) []string {
	var cells []string
	var b strings.Builder
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == '|':
			b.WriteByte('|')
			i++
		case line[i] == '|':
			cells = append(cells, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteByte(line[i])
		}
	}
	return append(cells, strings.TrimSpace(b.String()))
}

// isRule reports whether a row is the line below a header.
func isRule(cells []string) bool {
	for _, c := range cells {
		if c == "" || strings.Trim(c, "-:") != "" {
			return false
		}
	}
	return true
}

// Span is a piece of a text with one look.
type Span struct {
	Text         string
	Code, Strong bool
	Link         string // where it leads; "" when it is no link
}

// Inline splits a text at its marks. What is not closed is text.
func Inline(s string) []Span {
	var out []Span
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, Span{Text: plain.String()})
			plain.Reset()
		}
	}
	for s != "" {
		switch {
		case s[0] == '`':
			n := len(s) - len(strings.TrimLeft(s, "`"))
			if end := strings.Index(s[n:], s[:n]); end >= 0 {
				flush()
				out = append(out, Span{Text: s[n : n+end], Code: true})
				s = s[n+end+n:]
				continue
			}
		case strings.HasPrefix(s, "**"):
			if end := strings.Index(s[2:], "**"); end > 0 {
				flush()
				out = append(out, Span{Text: s[2 : 2+end], Strong: true})
				s = s[2+end+2:]
				continue
			}
		case s[0] == '[':
			if text, rest, ok := strings.Cut(s[1:], "]("); ok && !strings.ContainsAny(text, "[]") {
				if link, rest, ok := strings.Cut(rest, ")"); ok {
					flush()
					for _, in := range Inline(text) {
						in.Link = link
						out = append(out, in)
					}
					s = rest
					continue
				}
			}
		}
		plain.WriteByte(s[0])
		s = s[1:]
	}
	flush()
	return out
}

// Plain returns a text without its marks.
func Plain(s string) string {
	var b strings.Builder
	for _, x := range Inline(s) {
		b.WriteString(x.Text)
	}
	return b.String()
}
