package markdown

import (
	"fmt"
	"html"
	"strings"
)

// HTML writes a page as HTML. Every text is escaped. id names the anchor of a heading, link rewrites where links lead;
// both may be nil. Headings become shift levels deeper.
func HTML(page string, shift int, id func(heading string, level int) string, link func(to string) string) string {
	var b strings.Builder
	list := false
	for _, x := range Parse(page) {
		if list != (x.Kind == Item) {
			list = !list
			b.WriteString(map[bool]string{true: "<ul>\n", false: "</ul>\n"}[list])
		}
		switch x.Kind {
		case Heading:
			anchor := ""
			if id != nil {
				anchor = fmt.Sprintf(" id=%q", html.EscapeString(id(Plain(x.Text), x.Level)))
			}
			level := min(6, x.Level+shift)
			fmt.Fprintf(&b, "<h%d%s>%s</h%d>\n", level, anchor, inlineHTML(x.Text, link), level)
		case Item:
			fmt.Fprintf(&b, "<li>%s</li>\n", inlineHTML(x.Text, link))
		case Quote:
			fmt.Fprintf(&b, "<blockquote>%s</blockquote>\n", inlineHTML(x.Text, link))
		case Code:
			fmt.Fprintf(&b, "<pre><code>%s</code></pre>\n", html.EscapeString(x.Text))
		case Table:
			b.WriteString("<div class=\"table\"><table>\n")
			for i, r := range x.Rows {
				tag := "td"
				if i == 0 {
					tag = "th"
				}
				b.WriteString("<tr>")
				for _, c := range r {
					fmt.Fprintf(&b, "<%s>%s</%s>", tag, inlineHTML(c, link), tag)
				}
				b.WriteString("</tr>\n")
			}
			b.WriteString("</table></div>\n")
		default:
			fmt.Fprintf(&b, "<p>%s</p>\n", inlineHTML(x.Text, link))
		}
	}
	if list {
		b.WriteString("</ul>\n")
	}
	return b.String()
}

func inlineHTML(s string, link func(string) string) string {
	var b strings.Builder
	for _, x := range Inline(s) {
		text := html.EscapeString(x.Text)
		switch {
		case x.Code:
			text = "<code>" + text + "</code>"
		case x.Strong:
			text = "<strong>" + text + "</strong>"
		}
		if x.Link != "" {
			to := x.Link
			if link != nil {
				to = link(to)
			}
			text = fmt.Sprintf("<a href=\"%s\">%s</a>", html.EscapeString(to), text)
		}
		b.WriteString(text)
	}
	return b.String()
}
