package main

import (
	"regexp"
	"strings"

	"github.com/dsrun/dsrun/internal/markdown"
	"github.com/dsrun/dsrun/internal/spell"
)

// topic is what `dsrun docs` shows: a page of the reference, a section of one, or a row of a table.
type topic struct {
	Name    string   `json:"name"` // datastore s3, s3.bucket, store.list, dsrun cp, not_found
	Kind    string   `json:"kind"` // block, option, method, module, function, type, field, command, flag, error, format, rule, words
	Summary string   `json:"summary"`
	Page    string   `json:"page"` // of the reference, with the section
	Text    string   `json:"text,omitempty"`
	aliases []string // other names that mean it
	short   string   // its last part: bucket, list
}

// topics takes the pages of the reference apart.
func topics(pages []refPage) []topic {
	var out []topic
	for _, p := range pages {
		t := topic{Name: p.Name, Kind: p.Kind, Summary: markdown.Plain(p.summary()), Page: p.Path, Text: p.Markdown}
		switch p.Kind {
		case "block":
			if _, label, ok := strings.Cut(p.Name, " "); ok {
				t.aliases = []string{label, strings.Replace(p.Name, " ", ".", 1)}
			}
		case "words":
			t.aliases = []string{"predeclared", "builtins"}
			t.Name, t.Summary = "words", "The names that scripts can use."
		case "rule":
			t.Summary = strings.TrimSuffix(strings.SplitN(t.Summary, " Severity:", 2)[0], ".")
		}
		out = append(out, t)
		head, sections := split(p.Markdown)
		out = append(out, tableTopics(p, p.Name, head)...)
		for _, s := range sections {
			out = append(out, section(p, s)...)
		}
	}
	for i := range out { // where a name means several things, the kind before it tells which
		out[i].aliases = append(out[i].aliases, out[i].Kind+" "+strings.TrimPrefix(out[i].Name, "dsrun "))
	}
	return out
}

// part is a section of a page: what stands below a heading of the second level.
type part struct{ title, text string }

// split returns what stands before the first section, and the sections.
func split(page string) (string, []part) {
	pieces := strings.Split(page, "\n## ")
	var out []part
	for _, piece := range pieces[1:] {
		title, text, _ := strings.Cut(piece, "\n")
		out = append(out, part{title, strings.TrimLeft(text, "\n")})
	}
	return pieces[0], out
}

// section returns the topics of a section: a function, a command, or the attributes of a block.
func section(p refPage, s part) []topic {
	t := topic{Name: s.title, Page: p.Path + "#" + anchor(s.title), Text: "# " + s.title + "\n\n" + s.text, Summary: firstParagraph(s.text)}
	switch p.Kind {
	case "words", "module", "type":
		t.Kind = "function"
		_, t.short, _ = strings.Cut(s.title, ".")
		return []topic{t} // parameters are no topics: there are too many of one name
	case "commands":
		t.Kind = "command"
		words := strings.Fields(s.title)
		name := words[:1]
		for _, w := range words[1:] {
			if strings.ToLower(w) != w || strings.ContainsAny(w, "[<.") {
				break
			}
			name = append(name, w)
		}
		t.Name = strings.Join(name, " ")
		t.aliases = []string{strings.Join(name[1:], " ")}
		return append([]topic{t}, tableTopics(p, t.Name, s.text)...)
	case "block":
		if strings.HasPrefix(s.title, "Attributes of every") {
			return nil // one of each kind of block is enough
		}
		return tableTopics(p, p.Name, s.text)
	}
	return nil
}

var flagCell = regexp.MustCompile(`--[a-z-]+`)

// tableTopics returns a topic for each row of the tables in a text.
func tableTopics(p refPage, owner, text string) []topic {
	var out []topic
	for _, b := range markdown.Parse(text) {
		if b.Kind != markdown.Table || len(b.Rows) < 2 {
			continue
		}
		header := b.Rows[0]
		for _, r := range b.Rows[1:] {
			name := markdown.Plain(r[0])
			last := r[len(r)-1]
			t := topic{Page: p.Path, Summary: markdown.Plain(last), short: name}
			switch header[0] {
			case "attribute":
				t.Kind, t.Name = "option", owner+" "+name
			case "method":
				t.Kind, t.Name = "method", owner+" "+name
			case "field":
				t.Kind, t.short = "field", strings.TrimPrefix(name, ".")
				t.Name = owner + name
			case "code":
				t.Kind, t.Name, t.Summary = "error", name, markdown.Plain(r[1])
			case "format":
				t.Kind, t.Name = "format", name
			case "flag":
				flag := flagCell.FindString(name)
				t.Kind, t.Name, t.short = "flag", owner+" "+flag, strings.TrimPrefix(flag, "--")
			case "name":
				if p.Kind != "module" {
					continue
				}
				t.Kind, t.Name = "constant", name
				_, t.short, _ = strings.Cut(name, ".")
			default:
				continue
			}
			if label, ok := strings.CutPrefix(t.Name, owner+" "); ok && p.Kind == "block" {
				_, kind, _ := strings.Cut(owner, " ")
				t.aliases = append(t.aliases, strings.TrimPrefix(kind+"."+label, "."))
			}
			t.Text = rowText(t, header, r)
			out = append(out, t)
		}
	}
	return out
}

// rowText is the page of a row: the cells with the names of their columns.
func rowText(t topic, header, row []string) string {
	var b strings.Builder
	b.WriteString("# " + t.Name + "\n")
	prose := len(row) - 1
	switch t.Kind {
	case "error":
		prose = 1
	case "format":
		prose = 0
	}
	if prose > 0 {
		b.WriteString("\n" + row[prose] + "\n")
	}
	sep := "\n"
	for i := 1; i < len(row); i++ {
		if row[i] != "" && i != prose {
			b.WriteString(sep + "- " + header[i] + ": " + row[i] + "\n")
			sep = ""
		}
	}
	return b.String()
}

func firstParagraph(text string) string {
	for _, b := range markdown.Parse(text) {
		if b.Kind == markdown.Paragraph {
			return markdown.Plain(b.Text)
		}
	}
	return ""
}

// anchor is the name of a heading in links, by GitHub's rule.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

// lookup finds what a word means: what has the name; else what ends with it; else what begins with it; else what a
// section or a summary says of it. near is the name that was probably meant when there is nothing.
func lookup(all []topic, word string) (found []topic, near string) {
	want := strings.ToLower(strings.TrimSpace(word))
	pick := func(match func(t topic) bool) []topic {
		var out []topic
		for _, t := range all {
			if match(t) {
				out = append(out, t)
			}
		}
		return out
	}
	named := func(t topic, is func(name string) bool) bool {
		if is(strings.ToLower(t.Name)) {
			return true
		}
		for _, a := range t.aliases {
			if a != "" && is(strings.ToLower(a)) {
				return true
			}
		}
		return false
	}
	for _, match := range []func(t topic) bool{
		func(t topic) bool {
			// A family of credentials and a method of another one may have one name: both are meant.
			return named(t, func(n string) bool { return n == want }) || t.Kind == "method" && strings.ToLower(t.short) == want
		},
		func(t topic) bool { return t.short != "" && strings.ToLower(t.short) == strings.TrimLeft(want, "-.") },
		func(t topic) bool { return named(t, func(n string) bool { return strings.HasPrefix(n, want) }) },
		func(t topic) bool { return strings.HasPrefix(strings.ToLower(t.short), want) && t.short != "" },
	} {
		if found = pick(match); len(found) > 0 {
			return found, ""
		}
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
		names = append(names, t.aliases...)
		if t.short != "" {
			names = append(names, t.short)
		}
	}
	if near = spell.Nearest(word, names); near != "" {
		return nil, near
	}
	if len(want) >= 3 {
		found = pick(func(t topic) bool { return strings.Contains(strings.ToLower(t.Summary), want) })
	}
	return found, ""
}
