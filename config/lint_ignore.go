package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// ignoreWord begins a comment that says which rules do not matter in a place, and why:
//
//	# dsrun:ignore public-acl this bucket serves our web site
const ignoreWord = "dsrun:ignore"

// Ignores are the comments of some files that leave findings out of a report. One at the end of a line counts for its
// line; one on a line of its own for the next line that is no comment.
type Ignores struct{ list []*ignore }

type ignore struct {
	file   string
	line   int // that it counts for
	rules  []RuleID
	reason string
	at     hcl.Range
	used   map[RuleID]bool
}

func (g *Ignores) addHCL(s *source) {
	var open []*ignore // those on lines of their own, for the next line
	last := 0
	comments(s, func(text string, at hcl.Range, alone bool) {
		if !alone || at.Start.Line != last+1 {
			open = nil
		}
		last = at.Start.Line
		if alone {
			for _, i := range open {
				i.line = at.Start.Line + 1
			}
		}
		if i := parseIgnore(text); i != nil {
			i.file, i.at, i.line = s.Name, at, at.Start.Line
			i.at.End.Line, i.at.End.Column = at.Start.Line, at.Start.Column+len([]rune(strings.TrimRight(string(s.slice(at)), "\r\n")))
			if alone {
				i.line++
				open = append(open, i)
			}
			g.list = append(g.list, i)
		}
	})
}

// Add notes a comment of another kind of file, such as a script: its text without the sign that begins it, the line it
// stands on, and the line that it counts for.
func (g *Ignores) Add(file, text string, at, counts int) {
	if i := parseIgnore(text); i != nil {
		i.file, i.line = file, counts
		pos := hcl.Pos{Line: at, Column: 1}
		i.at = hcl.Range{Filename: file, Start: pos, End: pos}
		g.list = append(g.list, i)
	}
}

// parseIgnore reads `dsrun:ignore RULE[,RULE...] reason`.
func parseIgnore(text string) *ignore {
	rest, ok := strings.CutPrefix(text, ignoreWord)
	if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return nil
	}
	ids, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
	i := &ignore{reason: strings.TrimSpace(reason), used: map[RuleID]bool{}}
	for id := range strings.SplitSeq(ids, ",") {
		if id != "" {
			i.rules = append(i.rules, RuleID(id))
		}
	}
	return i
}

// Filter returns the diagnostics that no comment covers.
func (g *Ignores) Filter(in []Diag) []Diag {
	out := in[:0:0]
	for _, d := range in {
		if !g.covers(d) {
			out = append(out, d)
		}
	}
	return out
}

func (g *Ignores) covers(d Diag) bool {
	covered := false
	for _, i := range g.list {
		if d.Rule == "" || d.File != i.file || d.Line != i.line || i.reason == "" {
			continue
		}
		for _, id := range i.rules {
			if id == d.Rule {
				i.used[id], covered = true, true
			}
		}
	}
	return covered
}

// Useless reports the comments that do nothing, as diagnostics without a source line. It is to be asked after Filter.
func (g *Ignores) Useless() []Diag {
	return (&Config{src: newSources()}).Diags(g.useless())
}

func (g *Ignores) useless() hcl.Diagnostics {
	var out hcl.Diagnostics
	say := func(i *ignore, format string, args ...any) {
		out = append(out, ruled(RuleBadIgnore, i.at, "Comment that ignores nothing", fmt.Sprintf(format, args...)))
	}
	for _, i := range g.list {
		switch {
		case len(i.rules) == 0:
			say(i, "Name the rule and the reason: # %s RULE reason.", ignoreWord)
			continue
		case i.reason == "":
			say(i, "Say why, so that the next reader can judge it: # %s %s reason.", ignoreWord, i.rules[0])
		}
		for _, id := range i.rules {
			if _, ok := LookupRule(id); !ok {
				say(i, "There is no rule %q.%s", string(id), didYouMean(string(id), ruleNames()))
			} else if !i.used[id] && i.reason != "" {
				say(i, "The rule %q finds nothing on line %d. Remove the comment.", string(id), i.line)
			}
		}
	}
	return out
}

func ruleNames() []string {
	var out []string
	for _, r := range rules() {
		out = append(out, string(r.ID))
	}
	return out
}
