package config

import (
	"fmt"
	"slices"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/hashicorp/hcl/v2"
)

// settings reads the settings block.
func (l *loader) settings(e *evaluator, blocks []*block, version string) {
	for _, b := range blocks {
		if b.typ != "settings" {
			continue
		}
		if l.c.settings != nil {
			e.add(errorAt(b.header, "Duplicate block", fmt.Sprintf("The settings are at %s already. Put them into one block, or use an override file.", place(l.c.settings.header))))
			continue
		}
		l.c.settings = b
		out, fs := schema.SettingsBody().Declare()
		got := e.decode(b, fs)
		s := out.(*schema.Settings)
		l.c.Settings = *s
		e.mustKnow(b, got, "required_version")
		if got.known["required_version"] {
			rng := b.attrs["required_version"].expr.Range()
			switch ok, err := versionAllowed(s.RequiredVersion, version); {
			case err != nil:
				e.add(errorAt(rng, "Invalid version constraint", sentence(err.Error())))
			case !ok:
				e.add(errorAt(rng, "Unsuitable version of dsrun", fmt.Sprintf("This configuration is for dsrun %s, and this is dsrun %s. Install another version, or widen required_version.", s.RequiredVersion, version)))
			}
		}
	}
}

// mustKnow reports attributes that decide something before secrets are read.
func (e *evaluator) mustKnow(b *block, got decoded, names ...string) {
	if e.live != nil {
		return
	}
	for _, n := range names {
		if st := got.state[n]; (st == set || st == maybe) && !got.known[n] {
			e.add(errorAt(b.attrs[n].expr.Range(), "Unsuitable value", fmt.Sprintf("%q must be known before anything is opened: it cannot depend on env or a secret. A variable can hold it.", n)))
		}
	}
}

// script reads a script block.
func (l *loader) script(e *evaluator, b *block) {
	s := &Script{Glob: b.labels[0], Range: b.header, Stores: map[string]schema.Grant{}}
	if !doublestar.ValidatePattern(s.Glob) || s.Glob == "" {
		e.add(errorAt(b.labelRanges[0], "Invalid pattern", fmt.Sprintf("%q is no pattern. It is a path with *, **, ?, [a-z] and {a,b}, such as \"jobs/**/*.star\".", s.Glob)))
	}
	for _, old := range l.c.Scripts {
		if old.Glob == s.Glob {
			e.add(errorAt(b.labelRanges[0], "Duplicate block", fmt.Sprintf("The pattern %q has a block at %s already.", s.Glob, place(old.Range))))
		}
	}
	l.all(e, b, schema.ScriptBody(), func(o schema.Fielder) { s.Script = *o.(*schema.Script) })
	topics := l.c.Names("topic")
	for _, name := range s.Topics {
		if !slices.Contains(topics, name) && !l.broken {
			e.add(errorAt(b.attrs["topics"].expr.Range(), "Unknown topic", fmt.Sprintf("There is no topic %q.%s", name, didYouMean(name, topics))))
		}
	}
	stores := l.c.Names("datastore")
	for _, g := range b.nested("store") {
		name := g.labels[0]
		if _, dup := s.Stores[name]; dup {
			e.add(errorAt(g.labelRanges[0], "Duplicate block", fmt.Sprintf("The datastore %q has a block here already. Put all of it into one.", name)))
		}
		if !slices.Contains(stores, name) && !l.broken {
			e.add(errorAt(g.labelRanges[0], "Unknown datastore", fmt.Sprintf("There is no datastore %q.%s", name, didYouMean(name, stores))))
		}
		l.all(e, g, schema.GrantBody(), func(o schema.Fielder) { s.Stores[name] = *o.(*schema.Grant) })
	}
	for i, lim := range b.nested("limits") {
		if i > 0 {
			e.add(errorAt(lim.header, "Duplicate block", "The script has a block of limits already. Put all of them into one."))
		}
		l.all(e, lim, schema.LimitsBody(), func(o schema.Fielder) { s.Limits = *o.(*schema.ScriptLimits) })
	}
	l.c.Scripts = append(l.c.Scripts, s)
}

// all decodes a block whose values must all be known: what a script may do is decided before anything is opened.
func (l *loader) all(e *evaluator, b *block, body schema.Body, got func(schema.Fielder)) {
	o, fs := body.Declare()
	d := e.decode(b, fs)
	e.relate(b, fs, d)
	e.mustKnow(b, d, sortedKeys(b.attrs)...)
	got(o)
}

// tidy prepares diagnostics to be returned: in order of place, each once, a bounded number, without sensitive texts.
func (c *Config) tidy(diags hcl.Diagnostics, hide *hidden) hcl.Diagnostics {
	type key struct {
		sev             hcl.DiagnosticSeverity
		summary, detail string
		rng             hcl.Range
	}
	seen := map[key]bool{}
	var out hcl.Diagnostics
	for _, d := range diags {
		x := *d
		x.Summary, x.Detail = c.known.clean(hide.clean(d.Summary)), clip(c.known.clean(hide.clean(d.Detail)), maxDetail, false)
		rule, ruled := d.Extra.(RuleID)
		x.Expression, x.EvalContext, x.Extra = nil, nil, nil // they hold values
		if ruled {
			x.Extra = rule
		}
		k := key{x.Severity, x.Summary, x.Detail, hcl.Range{}}
		if x.Subject != nil {
			k.rng = *x.Subject
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, &x)
		}
	}
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int { return c.src.compare(a.Subject, b.Subject) })
	if len(out) > maxDiags {
		rest := len(out) - maxDiags
		errs := hcl.Diagnostics(out[maxDiags:]).HasErrors()
		out = append(out[:maxDiags:maxDiags], &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too many mistakes", Detail: fmt.Sprintf("%d more are not shown. Correct these first.", rest)})
		if !errs && !out[:maxDiags].HasErrors() {
			out[maxDiags].Severity = hcl.DiagWarning
		}
	}
	return out
}

// maxDiags is how many diagnostics are shown at most.
const maxDiags = 100

// maxDetail is how many characters of an explanation are shown at most: names and values in it are the user's.
const maxDetail = 1000
