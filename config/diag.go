package config

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/hashicorp/hcl/v2"
)

// Diag is a diagnostic, ready to be shown: it holds no sensitive value and no control character.
type Diag struct {
	Severity string   `json:"severity"` // error, warning or note
	Rule     RuleID   `json:"rule,omitempty"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"` // sentences; lines are parted by "\n"
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"` // from 1
	Col      int      `json:"col,omitempty"`  // from 1, in characters
	EndLine  int      `json:"end_line,omitempty"`
	EndCol   int      `json:"end_col,omitempty"`
	Snippet  *Snippet `json:"snippet,omitempty"`
}

// Snippet is the source line of a diagnostic. Before, Highlight and After are its three parts; long ones are cut.
type Snippet struct {
	Context   string `json:"context,omitempty"` // header of the block: datastore "local" "in"
	Code      string `json:"code"`
	Before    string `json:"before"`
	Highlight string `json:"highlight"`
	After     string `json:"after"`
}

// Diags makes diagnostics of Load or Resolve ready to be shown: in order of place, each once, with their source lines.
// A text that is assigned to a sensitive attribute is masked in them.
func (c *Config) Diags(diags hcl.Diagnostics) []Diag {
	out := make([]Diag, 0, len(diags))
	for _, d := range c.tidy(diags, &hidden{}) {
		x := Diag{Severity: "error", Summary: fault.Printable(d.Summary), Detail: printableLines(d.Detail)}
		if d.Severity == hcl.DiagWarning {
			x.Severity = "warning"
		}
		if id, ok := d.Extra.(RuleID); ok {
			x.Rule = id
			if r, ok := LookupRule(id); ok {
				x.Severity = r.Severity
			}
		}
		if r := d.Subject; r != nil {
			x.File = fault.Printable(r.Filename)
			x.Line, x.Col, x.EndLine, x.EndCol = r.Start.Line, r.Start.Column, r.End.Line, r.End.Column
			x.Snippet = c.snippet(*r)
		}
		out = append(out, x)
	}
	return out
}

func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = fault.Printable(l)
	}
	return strings.Join(lines, "\n")
}

// snippet returns the line where a place starts, or nil where the file was refused before it was parsed.
func (c *Config) snippet(r hcl.Range) *Snippet {
	src := c.src.byName[r.Filename]
	if src == nil || len(src.Bytes) > maxFile || badByte(src.Bytes) >= 0 || src.file == nil && len(src.Bytes) > 64<<10 {
		return nil
	}
	at, end := min(max(0, r.Start.Byte), len(src.Bytes)), min(max(0, r.End.Byte), len(src.Bytes))
	from := bytes.LastIndexByte(src.Bytes[:at], '\n') + 1
	to := len(src.Bytes)
	if n := bytes.IndexByte(src.Bytes[at:], '\n'); n >= 0 {
		to = at + n
	}
	end = max(at, min(end, to))
	masks := c.maskSpans(src)
	s := &Snippet{
		Before:    clip(c.masked(src, masks, from, at), 120, true),
		Highlight: clip(c.masked(src, masks, at, end), 120, false),
		After:     clip(strings.TrimRight(c.masked(src, masks, end, to), "\r "), 80, false),
	}
	s.Code = s.Before + s.Highlight + s.After
	if src.file != nil {
		if nav, ok := src.file.Nav.(interface{ ContextString(offset int) string }); ok {
			context := nav.ContextString(at)
			if word, _, _ := strings.Cut(context, " "); c.isSensitive(word) {
				context = word // an argument without its equals sign looks like a block
			}
			s.Context = clip(fault.Printable(c.known.clean(context)), 200, false)
		}
	}
	return s
}

// masked returns a part of a line, without what must not be shown.
func (c *Config) masked(src *source, masks []span, from, to int) string {
	var b strings.Builder
	for at := from; at < to; {
		next := span{to, to}
		for _, m := range masks {
			if m.to > at && m.from < to {
				next = span{max(m.from, at), min(m.to, to)}
				break
			}
		}
		b.Write(src.Bytes[at:next.from])
		if next.to > next.from {
			b.WriteString(maskText)
		}
		at = max(next.to, at+1)
		if next.from == to {
			break
		}
	}
	return fault.Printable(strings.ReplaceAll(c.known.clean(b.String()), "\t", "    "))
}

// clip shortens a text to n characters, at its start or its end.
func clip(s string, n int, start bool) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	if start {
		return "…" + string(r[len(r)-n+1:])
	}
	return string(r[:n-1]) + "…"
}
