package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dsrun/dsrun/config/schema"
)

// RuleID is the name of a lint rule, as `# dsrun:ignore` and reports write it.
type RuleID string

// Rule is a lint rule: something that a configuration may say and should not. Its page of the reference, the reports of
// `dsrun validate` and the rules of a SARIF file are made from this declaration.
type Rule struct {
	ID       RuleID
	Severity string // error, warning or note
	Summary  string // a noun phrase without a stop
	Why      string // sentences: what is wrong with it, and what to do instead
	Bad      string // HCL with exactly one finding of the rule; "" where no kind of block has an example
	Good     string // the same without it

	check func(*linter) // nil: loading finds it, or the caller does
}

// Rules lists all rules in the order of their ids.
func Rules() []Rule { return slices.Clone(rules()) }

// LookupRule returns the rule of an id.
func LookupRule(id RuleID) (Rule, bool) {
	for _, r := range rules() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// ruled returns a warning that a rule gives.
func ruled(id RuleID, rng hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &rng, Extra: id}
}

// Lint returns what is to be said of the configuration: the diagnostics of Load, and the findings of the rules when there
// is no error among them. What `# dsrun:ignore RULE reason` covers is left out; an error that no rule gives cannot be.
func (c *Config) Lint(loaded hcl.Diagnostics) []Diag {
	all := slices.Clone(loaded)
	if !loaded.HasErrors() {
		l := &linter{c: c}
		for _, r := range rules() {
			if r.check != nil {
				l.rule = r.ID
				r.check(l)
			}
		}
		all = append(all, l.found...)
	}
	var skip Ignores
	for _, s := range c.src.byName {
		if !s.json && !s.text && s.file != nil {
			skip.addHCL(s)
		}
	}
	out := skip.Filter(c.Diags(c.tidy(all, &hidden{})))
	if !loaded.HasErrors() {
		out = append(out, c.Diags(c.tidy(skip.useless(), &hidden{}))...)
	}
	for i := range out {
		if out[i].Rule == RuleSecretLiteral && out[i].Snippet != nil {
			out[i].Snippet = &Snippet{Context: out[i].Snippet.Context, Code: maskText, Highlight: maskText}
		}
	}
	slices.SortStableFunc(out, func(a, b Diag) int {
		ra, rb := hcl.Range{Filename: a.File}, hcl.Range{Filename: b.File}
		if n := c.src.compare(&ra, &rb); n != 0 {
			return n
		}
		return a.Line - b.Line
	})
	return out
}

// linter is what a rule sees, and where it puts what it finds.
type linter struct {
	c     *Config
	rule  RuleID
	found hcl.Diagnostics
}

func (l *linter) report(at hcl.Range, detail string, args ...any) {
	r, _ := LookupRule(l.rule)
	l.found = append(l.found, ruled(l.rule, at, r.Summary, fmt.Sprintf(detail, args...)))
}

// of lists the declarations of a kind.
func (c *Config) of(kind string) []*Decl {
	var out []*Decl
	for _, d := range c.Decls {
		if d.Kind == kind && d.fields != nil {
			out = append(out, d)
		}
	}
	return out
}

// text returns the value of a text attribute, "" when it is absent or not known offline.
func (d *Decl) text(name string) string {
	for _, f := range d.fields.List {
		if s, ok := f.Target().(*string); ok && f.Name == name {
			return *s
		}
	}
	return ""
}

// given reports whether an attribute is written, known or not.
func (d *Decl) given(name string) bool { return d.block.attrs[name] != nil }

// at is the place of an attribute's value, or of the block when it is not written.
func (d *Decl) at(name string) hcl.Range {
	if a := d.block.attrs[name]; a != nil {
		return a.expr.Range()
	}
	return d.Range
}

// method is how a credential is given, "" when it has no methods or it cannot be known offline.
func (d *Decl) method() string {
	if m := d.fields.MethodTarget(); m != nil {
		return *m
	}
	return ""
}

// users are the datastores and topics that log in with a credential, by themselves or through other credentials.
func (c *Config) users(cred *Decl) []*Decl {
	var out []*Decl
	for _, d := range c.Decls {
		if d.Kind == "credential" || d.fields == nil {
			continue
		}
		next, ok := c.CredentialFor(d, d.Common)
		for range len(c.Decls) { // a chain cannot be longer
			if !ok {
				break
			}
			if next == cred {
				out = append(out, d)
				break
			}
			ok = false
			for _, n := range next.needs {
				next, ok = c.Find(n)
				break
			}
		}
	}
	return out
}

// eachAttr calls fn for every argument of the configuration that is evaluated, with the block it stands in.
func (c *Config) eachAttr(fn func(b *block, a *attr)) {
	var visit func(b *block)
	visit = func(b *block) {
		for _, a := range b.sorted() {
			if a.code != nil {
				fn(b, a)
			}
		}
		for _, n := range b.blocks {
			visit(n)
		}
	}
	for _, b := range c.blocks {
		visit(b)
	}
}

// literal returns the argument that spells out the value of a, following locals and variables; nil when the value comes
// from elsewhere.
func (c *Config) literal(a *attr) *attr { return c.literalIn(a, map[*attr]bool{}) }

func (c *Config) literalIn(a *attr, seen map[*attr]bool) *attr {
	if a == nil || a.code == nil || a.src == nil || a.src.text || seen[a] {
		return nil // a text of the command line or the environment is in no file
	}
	seen[a] = true
	for _, call := range a.code.calls {
		if namesSecret(call.name) > 0 {
			return nil
		}
	}
	if len(a.code.vars) == 0 {
		for _, t := range a.code.texts {
			if t != "" {
				return a
			}
		}
		return nil
	}
	for _, t := range a.code.vars {
		if len(t) < 2 {
			continue
		}
		name, _, _ := stepName(t[1])
		var next *attr
		switch t.RootName() {
		case "local":
			next = c.locals[name]
		case "var":
			if v := c.vars[name]; v != nil {
				if next = v.given; next == nil {
					next = v.def
				}
			}
		}
		if found := c.literalIn(next, seen); found != nil {
			return found
		}
	}
	return nil
}

// sensitiveFields lists the attributes of a block that its schema calls sensitive.
func (d *Decl) sensitiveFields() []*schema.Field {
	var out []*schema.Field
	for _, f := range d.fields.List {
		if f.Sensitive {
			out = append(out, f)
		}
	}
	return out
}

// comments calls fn for every comment of a file in HCL's own syntax: its text without the signs that begin it, its place,
// and whether it stands alone on its line.
func comments(s *source, fn func(text string, at hcl.Range, alone bool)) {
	toks, _ := hclsyntax.LexConfig(s.Bytes, s.Name, hcl.InitialPos)
	for _, t := range toks {
		if t.Type == hclsyntax.TokenComment {
			text := strings.TrimSpace(string(t.Bytes))
			text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
			text = strings.TrimSpace(strings.TrimLeft(text, "#/"))
			before := s.Bytes[:t.Range.Start.Byte]
			line := before[strings.LastIndexByte(string(before), '\n')+1:]
			fn(text, t.Range, strings.TrimSpace(string(line)) == "")
		}
	}
}
