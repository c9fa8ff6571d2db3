package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// evaluator evaluates expressions of one configuration, each variable and local at most once and only on demand. It
// serves one Load or one Resolve and is not safe for concurrent use.
type evaluator struct {
	c      *Config
	live   *live // nil: offline
	budget *budget
	fns    map[string]map[string]function.Function // by folder
	cells  map[string]*cell                        // by var.NAME or local.NAME
	path   []string                                // cells that are being evaluated, outermost first
	hide   hidden
	diags  hcl.Diagnostics
	spent  bool // the budget is used up, and that has been said
}

// cell is the value of a variable or a local.
type cell struct {
	busy, done, ok bool
	v              cty.Value
}

func newEvaluator(c *Config, l *live) *evaluator {
	return &evaluator{c: c, live: l, budget: &budget{left: maxCost}, fns: map[string]map[string]function.Function{}, cells: map[string]*cell{}}
}

func (e *evaluator) add(d ...*hcl.Diagnostic) { e.diags = append(e.diags, d...) }

// finish returns the diagnostics without anything that must not be shown.
func (e *evaluator) finish() hcl.Diagnostics { return e.c.tidy(e.diags, &e.hide) }

// onPanic is told of panics in HCL and cty that became diagnostics, so that tests and fuzzing find them.
var onPanic = func(any) {}

// value evaluates an attribute. ok is false when it could not be evaluated, which has been reported then.
// refs allows references to other things of the configuration.
func (e *evaluator) value(a *attr, refs bool) (v cty.Value, ok bool) {
	if a.code == nil || e.spent {
		return cty.DynamicVal, false
	}
	if a.secret || e.c.isSensitive(a.name) {
		for _, s := range a.code.texts {
			e.seenText(s) // an error in the expression may show its literals
		}
	}
	scope, ok := e.scope(a, refs)
	if !ok {
		return cty.DynamicVal, false
	}
	scope[budgetKey] = cty.CapsuleVal(budgetType, e.budget)
	ctx := &hcl.EvalContext{Variables: scope, Functions: e.functions(a.src.Dir)}
	v, diags := e.run(a, ctx)
	for _, d := range diags {
		d := *d
		d.Expression, d.EvalContext, d.Extra = nil, nil, nil // they hold values
		if d.Subject == nil {
			d.Subject = a.expr.Range().Ptr()
		}
		e.add(&d)
	}
	return v, !diags.HasErrors()
}

// run evaluates and turns a panic into a diagnostic: one of ours that ends a costly evaluation, or a defect of a library
// that a strange file brought to light.
func (e *evaluator) run(a *attr, ctx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		v = cty.DynamicVal
		over, ours := p.(overBudget)
		if !ours {
			onPanic(p)
			diags = hcl.Diagnostics{errorAt(a.expr.Range(), "Evaluation failure", "The expression cannot be evaluated, because of a defect in dsrun. Write it in another way, and please report it.")}
			return
		}
		e.budget.cause = nil
		e.spent = e.budget.left < 0
		diags = hcl.Diagnostics{errorAt(over.rng, over.summary, over.detail)}
	}()
	return a.code.expr.Value(ctx)
}

// scope checks the names that an expression uses and returns their values.
func (e *evaluator) scope(a *attr, refs bool) (map[string]cty.Value, bool) {
	ok := e.checkCalls(a)
	scope := map[string]cty.Value{}
	named := map[string]map[string]cty.Value{"var": {}, "local": {}}
	for _, t := range a.code.vars {
		root := t.RootName()
		if !refs {
			e.add(errorAt(t.SourceRange(), "Reference not allowed", fmt.Sprintf("%q cannot be used here: a value that is given to a variable holds only constants and functions.", e.shown(a, root))))
			ok = false
			continue
		}
		switch root {
		case "var", "local":
			name, fine := e.cellName(t)
			if !fine {
				ok = false
				continue
			}
			if c := e.cell(root, name); c.ok {
				named[root][name] = c.v
			} else {
				ok = false
			}
		case "credential", "datastore", "topic":
			if !e.c.refs.check(e, t) {
				ok = false
			}
			scope[root] = e.c.refs.value(root)
		default:
			e.unknownRoot(a, t)
			ok = false
		}
	}
	for root, vals := range named {
		if len(vals) > 0 {
			scope[root] = cty.ObjectVal(vals)
		}
	}
	return scope, ok
}

// cellName returns the name in var.NAME or local.NAME when it exists.
func (e *evaluator) cellName(t hcl.Traversal) (string, bool) {
	root := t.RootName()
	what := map[string]string{"var": "variable", "local": "local"}[root]
	if len(t) < 2 {
		e.add(errorAt(t.SourceRange(), "Incomplete reference", fmt.Sprintf("Name one %s, as in %q.", what, root+".name")))
		return "", false
	}
	name, rng, ok := stepName(t[1])
	if !ok {
		e.add(errorAt(t.SourceRange(), "Incomplete reference", fmt.Sprintf("Name one %s, as in %q.", what, root+".name")))
		return "", false
	}
	names := func() []string { return sortedKeys(e.c.vars) }
	_, exists := e.c.vars[name]
	if root == "local" {
		names = func() []string { return sortedKeys(e.c.locals) }
		_, exists = e.c.locals[name]
	}
	if exists {
		return name, true
	}
	detail := fmt.Sprintf("There is no %s %q.%s", what, name, didYouMean(name, names()))
	if Suggest(name, names()) == "" {
		switch {
		case root == "var":
			detail += fmt.Sprintf(" Declare it: variable %q { }.", name)
		default:
			detail += fmt.Sprintf(" Define it in a locals block: %s = ...", name)
		}
	}
	e.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown " + what, Detail: detail, Subject: &rng, Context: t.SourceRange().Ptr()})
	return "", false
}

// cell returns the value of var.NAME or local.NAME, which exists.
func (e *evaluator) cell(root, name string) *cell {
	key := root + "." + name
	c, ok := e.cells[key]
	if !ok {
		c = &cell{v: cty.DynamicVal}
		e.cells[key] = c
	}
	if c.done {
		return c
	}
	if c.busy {
		e.cycle(key)
		return &cell{v: cty.DynamicVal}
	}
	if len(e.path) >= maxChain {
		e.add(errorAt(e.place(key), "References too deep", fmt.Sprintf("%q is reached through more than %d locals that use each other. Shorten the chain.", key, maxChain)))
		c.done = true
		return c
	}
	c.busy = true
	e.path = append(e.path, key)
	if root == "var" {
		c.v, c.ok = e.variable(e.c.vars[name])
	} else {
		c.v, c.ok = e.value(e.c.locals[name], true)
	}
	e.path = e.path[:len(e.path)-1]
	c.busy, c.done = false, true
	return c
}

// cycle reports that key, which is being evaluated, needs itself.
func (e *evaluator) cycle(key string) {
	at := 0
	for i, k := range e.path {
		if k == key {
			at = i
		}
	}
	e.add(errorAt(e.place(key), "Reference cycle", fmt.Sprintf("The value needs itself: %s. Break the circle.", strings.Join(append(append([]string{}, e.path[at:]...), key), " -> "))))
}

// place returns where var.NAME or local.NAME is defined.
func (e *evaluator) place(key string) hcl.Range {
	root, name, _ := strings.Cut(key, ".")
	if root == "local" {
		return e.c.locals[name].nameRange
	}
	return e.c.vars[name].Range
}

// checkCalls reports functions that do not exist.
func (e *evaluator) checkCalls(a *attr) bool {
	ok := true
	fns := e.functions(a.src.Dir)
	for _, c := range a.code.calls {
		if _, is := fns[c.name]; is {
			continue
		}
		ok = false
		names := sortedKeys(fns)
		detail := fmt.Sprintf("There is no function %q.%s", c.name, didYouMean(c.name, names))
		if isLater(c.name) {
			e.add(errorAt(c.rng, "Reserved function", fmt.Sprintf("%q is reserved for a later version. Secrets come from %s.", c.name, list([]string{"env", "secret::file", "secret::exec"}, "or"))))
			continue
		}
		switch {
		case Suggest(c.name, names) != "":
		case strings.HasPrefix(c.name, "secret::"):
			detail += ` Secrets come from "env", "secret::file" or "secret::exec".`
		case reserved[c.name] != "":
			detail += " " + reserved[c.name]
		}
		e.add(errorAt(c.rng, "Unknown function", detail))
	}
	return ok
}

func isLater(name string) bool {
	for _, n := range later {
		if n == name {
			return true
		}
	}
	return false
}

// shown returns a bare word of an attribute, or a mask where it may be a secret that lacks its quotes.
func (e *evaluator) shown(a *attr, word string) string {
	if a.secret || e.c.isSensitive(a.name) {
		return maskText
	}
	return word
}

// unknownRoot reports a reference whose first word means nothing.
func (e *evaluator) unknownRoot(a *attr, t hcl.Traversal) {
	root := t.RootName()
	rng := t.SourceRange()
	roots := []string{"var", "local", "credential", "datastore", "topic"}
	word := e.shown(a, root)
	var detail string
	s := Suggest(root, roots)
	switch {
	case word != root:
		detail = "This is neither a reference nor a function call. A text stands in quotes."
	case len(t) == 1:
		detail = fmt.Sprintf("%q is not a value. If it is a text, write it in quotes: %s = \"%s\".", root, a.name, root)
		if rng != a.expr.Range() {
			detail = fmt.Sprintf("%q is not a value. If it is a text, write it in quotes.", root)
		}
	case s != "" && (len(root) > 2 || s == "var"):
		detail = fmt.Sprintf("There is no %q. Did you mean %q?", root, s)
	case root == "env" || root == "process":
		detail = "Environment variables are read by the function env, as in env(\"HOME\")."
	default:
		detail = fmt.Sprintf("There is no %q. References start with %s; a text stands in quotes.", root, list(roots, "or"))
	}
	e.add(errorAt(rng, "Unknown reference", detail))
}
