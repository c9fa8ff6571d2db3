package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/zclconf/go-cty/cty"
)

// relate checks the rules among the attributes of a block. Nothing is said while a value that decides is not known.
func (e *evaluator) relate(b *block, fs *schema.Fields, d decoded) {
	if e.c.partial {
		return
	}
	for _, r := range fs.Rules {
		var given []string
		unsure := false
		for _, n := range r.Names {
			switch d.state[n] {
			case set, failed:
				given = append(given, n)
			case maybe:
				unsure = true
			}
		}
		var problem string
		switch n := len(given); {
		case n > 1 && (r.Op == "exactly_one" || r.Op == "at_most_one"):
			problem = fmt.Sprintf("Only one of %s can be set. Remove the others.", list(r.Names, "and"))
		case unsure:
		case n == 0 && (r.Op == "exactly_one" || r.Op == "at_least_one"):
			problem = fmt.Sprintf("%s needs %s.", b, list(r.Names, "or"))
		case r.Op == "all_or_none" && n > 0 && n < len(r.Names):
			problem = fmt.Sprintf("%s belong together: set all of them, or none. Missing: %s.", list(r.Names, "and"), list(without(r.Names, given), "and"))
		}
		if problem == "" {
			continue
		}
		at := b.header
		if len(given) > 0 {
			at = b.attrs[slices.MaxFunc(given, func(x, y string) int {
				return b.attrs[x].nameRange.Start.Byte - b.attrs[y].nameRange.Start.Byte
			})].nameRange
		}
		e.add(errorAt(at, "Invalid combination of arguments", problem))
	}
}

// method finds out by which method a credential is given: the one named, else the one that the set attributes fit.
// It returns false when that is an error, which has been reported, or cannot be known yet.
func (e *evaluator) method(b *block, fs *schema.Fields, d decoded) {
	if len(fs.Methods) == 0 || e.c.partial {
		return
	}
	owned := map[string]bool{} // by any method
	for _, m := range fs.Methods {
		for _, n := range methodNames(m) {
			owned[n] = true
		}
	}
	var given []string
	unsure := false
	for _, f := range fs.List {
		if !owned[f.Name] {
			continue
		}
		switch d.state[f.Name] {
		case set, failed:
			given = append(given, f.Name)
		case maybe:
			unsure = true
		}
	}
	if a, ok := b.attrs["method"]; ok {
		if m := e.namedMethod(b, a, fs); m != nil {
			*fs.MethodTarget() = m.Name
			if !unsure {
				e.fits(b, a, fs, m, given)
			}
		} else if v, ok := e.value(a, true); !ok || !v.IsNull() {
			return
		} else {
			e.inferMethod(b, fs, given, unsure)
		}
		return
	}
	e.inferMethod(b, fs, given, unsure)
}

// namedMethod reads `method = "..."`. nil: null, or wrong and reported.
func (e *evaluator) namedMethod(b *block, a *attr, fs *schema.Fields) *schema.Method {
	v, ok := e.value(a, true)
	if !ok || v.IsNull() {
		return nil
	}
	var names []string
	for _, m := range fs.Methods {
		names = append(names, m.Name)
	}
	if !v.IsKnown() || v.ContainsMarked() || v.Type() != cty.String {
		e.add(errorAt(a.expr.Range(), "Unsuitable value", fmt.Sprintf("\"method\" is one of %s, as a constant text.", list(names, "or"))))
		return nil
	}
	for _, m := range fs.Methods {
		if m.Name == v.AsString() {
			return m
		}
	}
	e.add(errorAt(a.expr.Range(), "Unknown method", fmt.Sprintf("The %s %q has no method %q.%s It has %s.", labelWord(b.typ), b.labels[0], v.AsString(), didYouMean(v.AsString(), names), list(names, "and"))))
	return nil
}

// fits reports what is missing for a named method, and what does not belong to it.
func (e *evaluator) fits(b *block, at *attr, fs *schema.Fields, m *schema.Method, given []string) {
	if miss := lacking(m, given); len(miss) > 0 {
		e.add(errorAt(at.expr.Range(), "Missing required argument", fmt.Sprintf("The method %q needs %s.", m.Name, strings.Join(miss, " and "))))
	}
	for _, n := range without(given, methodNames(m)) {
		detail := fmt.Sprintf("%q does not belong to the method %q.", n, m.Name)
		if others := methodsWith(fs, n); len(others) > 0 {
			detail += fmt.Sprintf(" It belongs to %s.", list(others, "and"))
		}
		e.add(errorAt(b.attrs[n].nameRange, "Unsupported argument for the method", detail+" Remove it, or name the other method."))
	}
	if n := countIn(m.NeedOne, given); n > 1 {
		e.add(errorAt(at.expr.Range(), "Invalid combination of arguments", fmt.Sprintf("The method %q takes only one of %s.", m.Name, list(m.NeedOne, "and"))))
	}
}

// inferMethod chooses the method that the given attributes fit, and of several the one that needs the most of them. With
// nothing given that is the ambient one.
func (e *evaluator) inferMethod(b *block, fs *schema.Fields, given []string, unsure bool) {
	var best []*schema.Method
	score := -1
	for _, m := range fs.Methods {
		if len(lacking(m, given)) > 0 || len(without(given, methodNames(m))) > 0 || countIn(m.NeedOne, given) > 1 {
			continue
		}
		s := len(m.Need) + min(1, len(m.NeedOne))
		if s > score {
			best, score = nil, s
		}
		if s == score {
			best = append(best, m)
		}
	}
	if len(best) > 1 {
		for _, m := range best {
			if m.Ambient && score == 0 {
				best = []*schema.Method{m}
			}
		}
	}
	switch {
	case len(best) == 1:
		*fs.MethodTarget() = best[0].Name
	case unsure:
	case len(best) > 1:
		names := make([]string, len(best))
		for i, m := range best {
			names[i] = m.Name
		}
		e.add(errorAt(b.header, "Ambiguous method", fmt.Sprintf("%s fits the methods %s. Say which: method = %q.", b, list(names, "and"), names[0])))
	default:
		e.noMethod(b, fs, given)
	}
}

// noMethod says which methods come close, and what each would take.
func (e *evaluator) noMethod(b *block, fs *schema.Fields, given []string) {
	type near struct {
		m           *schema.Method
		miss, extra []string
		also        bool
	}
	var all []near
	for _, m := range fs.Methods {
		all = append(all, near{m, lacking(m, given), without(given, methodNames(m)), countIn(m.NeedOne, given) > 1})
	}
	cost := func(n near) int { return len(n.miss) + len(n.extra) + map[bool]int{true: 1}[n.also] }
	slices.SortStableFunc(all, func(x, y near) int {
		if c := cost(x) - cost(y); c != 0 {
			return c
		}
		return (len(x.extra) - len(y.extra))
	})
	var ways []string
	for _, n := range all {
		if len(ways) == 3 || cost(n) > cost(all[0])+1 || len(n.extra) == len(given) && len(given) > 0 {
			continue
		}
		var parts []string
		if len(n.miss) > 0 {
			parts = append(parts, "add "+strings.Join(n.miss, " and "))
		}
		if len(n.extra) > 0 {
			parts = append(parts, "remove "+list(n.extra, "and"))
		}
		if n.also {
			parts = append(parts, "keep only one of "+list(n.m.NeedOne, "and"))
		}
		ways = append(ways, fmt.Sprintf("for %q, %s", n.m.Name, strings.Join(parts, " and ")))
	}
	detail := fmt.Sprintf("What is set fits no method of the %s %q.", labelWord(b.typ), b.labels[0])
	if len(given) == 0 {
		detail = fmt.Sprintf("%s says nothing of how to log in.", b)
	}
	if len(ways) > 0 {
		ways[0] = upperFirst(ways[0])
		detail += " " + strings.Join(ways, "; ") + "."
	}
	e.add(errorAt(b.header, "No method fits", detail))
}

// lacking lists what a method needs besides what is given, quoted for a sentence.
func lacking(m *schema.Method, given []string) []string {
	var out []string
	for _, n := range without(m.Need, given) {
		out = append(out, fmt.Sprintf("%q", n))
	}
	if len(m.NeedOne) > 0 && countIn(m.NeedOne, given) == 0 {
		s := list(m.NeedOne, "or")
		if len(m.NeedOne) > 1 {
			s = "one of " + s
		}
		out = append(out, s)
	}
	return out
}

// methodNames are all attributes that a method takes.
func methodNames(m *schema.Method) []string {
	return slices.Concat(m.Need, m.NeedOne, m.Allow)
}

// methodsWith are the names of the methods that take an attribute.
func methodsWith(fs *schema.Fields, name string) []string {
	var out []string
	for _, m := range fs.Methods {
		if slices.Contains(methodNames(m), name) {
			out = append(out, m.Name)
		}
	}
	return out
}

func without(names, less []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(less, n) {
			out = append(out, n)
		}
	}
	return out
}

func countIn(names, given []string) int { return len(names) - len(without(names, given)) }

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
