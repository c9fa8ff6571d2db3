package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// varDecl is a declared variable and where its value comes from.
type varDecl struct {
	Variable
	typ      cty.Type
	defaults *typeexpr.Defaults
	def      *attr // nil: required
	given    *attr // the highest of the values that are given; nil: none
	checks   []*block
}

// declareVariable reads a variable block.
func (l *loader) declareVariable(b *block) {
	name := b.labels[0]
	if !l.goodName(b, 0, "variable") {
		return
	}
	if old, dup := l.c.vars[name]; dup {
		l.add(errorAt(b.labelRanges[0], "Duplicate variable", fmt.Sprintf("The variable %q is declared at %s already. Remove one of them.", name, place(old.Range))))
		return
	}
	v := &varDecl{Variable: Variable{Name: name, Required: true, Range: b.header}, typ: cty.DynamicPseudoType, checks: b.nested("validation")}
	l.c.vars[name] = v
	l.varOrder = append(l.varOrder, v)
	for _, a := range b.sorted() {
		switch a.name {
		case "type":
			if d := l.prescanType(a); d.HasErrors() {
				l.add(d...)
				continue
			}
			typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.expr)
			l.add(diags...)
			if !diags.HasErrors() {
				v.typ, v.defaults = typ, defaults
				v.Type = strings.Trim(string(a.src.slice(a.expr.Range())), `"`)
			}
		case "default":
			v.def, v.Required = a, false
			a.code = l.compile(a)
		case "description":
			v.Description, _ = l.constant(a, cty.String).(string)
		case "sensitive":
			v.Sensitive, _ = l.constant(a, cty.Bool).(bool)
		default:
			l.unsupported(a, b, []string{"type", "default", "description", "sensitive", "validation"})
		}
	}
	if v.def != nil {
		v.def.secret = v.Sensitive
	}
	for _, c := range v.checks {
		for _, a := range c.sorted() {
			if a.name == "condition" || a.name == "error_message" {
				a.code = l.compile(a)
			} else {
				l.unsupported(a, c, []string{"condition", "error_message"})
			}
		}
		for _, need := range []string{"condition", "error_message"} {
			if c.attrs[need] == nil {
				l.add(errorAt(c.header, "Missing required argument", fmt.Sprintf("A validation block needs %q.", need)))
			}
		}
	}
}

// prescanType scans a type in the JSON variant: there it is a string that is parsed as an expression, not as a template.
func (l *loader) prescanType(a *attr) hcl.Diagnostics {
	if !a.src.json {
		return nil
	}
	v, diags := a.expr.Value(nil)
	if diags.HasErrors() || v.Type() != cty.String || v.IsNull() {
		return diags
	}
	diags = prescanExpr([]byte(v.AsString()), a.src.Name)
	for _, d := range diags {
		d.Subject = a.expr.Range().Ptr()
	}
	return diags
}

// constant evaluates an attribute that must be a literal: a string or a bool.
func (l *loader) constant(a *attr, typ cty.Type) any {
	v, diags := a.expr.Value(nil)
	if !diags.HasErrors() {
		v, err := convert.Convert(v, typ)
		if err == nil && v.IsKnown() && !v.IsNull() {
			if typ == cty.Bool {
				return v.True()
			}
			return v.AsString()
		}
		if err == nil && v.IsNull() {
			return nil
		}
	}
	want := "a constant text"
	if typ == cty.Bool {
		want = "true or false"
	}
	l.add(errorAt(a.expr.Range(), "Unsuitable value", fmt.Sprintf("%q must be %s: it is read before anything is evaluated.", a.name, want)))
	return nil
}

// giveValues finds the value of each variable: the last of the files that has one, or --var.
func (l *loader) giveValues(o Options) {
	for _, v := range l.varOrder {
		if o.EnvVar == nil {
			break
		}
		if s, ok := o.EnvVar("DSRUN_VAR_" + v.Name); ok {
			v.given = l.textValue(v, "DSRUN_VAR_"+v.Name, s)
		}
	}
	for _, f := range o.VarFiles {
		for _, a := range l.valueFile(f) {
			if v, ok := l.c.vars[a.name]; ok {
				a.code, a.secret = l.compile(a), v.Sensitive
				v.given = a
			} else if !l.broken {
				l.add(errorAt(a.nameRange, "Unknown variable", fmt.Sprintf("There is no variable %q.%s", a.name, l.variableHint(a.name))))
			}
		}
	}
	for _, name := range sortedKeys(o.Vars) {
		if v, ok := l.c.vars[name]; ok {
			v.given = l.textValue(v, "--var "+name, o.Vars[name])
		} else if !l.broken {
			l.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown variable", Detail: fmt.Sprintf("There is no variable %q to be set by --var.%s", name, l.variableHint(name))})
		}
	}
}

func (l *loader) variableHint(name string) string {
	names := sortedKeys(l.c.vars)
	if s := didYouMean(name, names); s != "" {
		return s
	}
	return fmt.Sprintf(" Declare it: variable %q { }.", name)
}

// valueFile reads the arguments of a file of values.
func (l *loader) valueFile(f File) []*attr {
	src, body := l.parse(f, true)
	if body == nil {
		return nil
	}
	r := &reader{src: src}
	holder := &block{typ: "values"}
	attrs, _ := r.body(body, holder, nil)
	for _, d := range r.diags {
		if d.Summary == "Unsupported block type" {
			d.Detail = "A file of values holds only values, as in name = \"value\". Blocks belong into a *.dsrun.hcl file."
		}
	}
	l.add(r.diags...)
	holder.attrs = attrs
	return holder.sorted()
}

// textValue makes an attribute of a value that is given as text. It is taken as it is where the variable is a text or of
// any type, and read as an expression otherwise.
func (l *loader) textValue(v *varDecl, origin, text string) *attr {
	src := l.c.src.addText(origin, text)
	a := &attr{name: v.Name, nameRange: startOf(origin), src: src, secret: v.Sensitive}
	a.expr = &hclsyntax.LiteralValueExpr{Val: cty.StringVal(text), SrcRange: rangeAt(origin, src.Bytes, 0, len(text))}
	if v.typ.IsPrimitiveType() || v.typ == cty.DynamicPseudoType {
		if d := prescanText(src); d != nil {
			l.add(d)
			return a // without code: it has a value, and what is wrong with it has been said
		}
	} else {
		if d := prescanExpr(src.Bytes, origin); d.HasErrors() {
			l.add(d...)
			return a
		}
		expr, diags := hclsyntax.ParseExpression(src.Bytes, origin, hcl.InitialPos)
		l.add(diags...)
		if diags.HasErrors() {
			return a
		}
		a.expr = expr
	}
	a.code = l.compile(a)
	return a
}

// prescanText refuses a text that cannot be a value.
func prescanText(s *source) *hcl.Diagnostic {
	if len(s.Bytes) > maxText {
		return errorAt(startOf(s.Name), "Value too large", fmt.Sprintf("The text has %d bytes, and a text may have %d.", len(s.Bytes), maxText))
	}
	if i := badByte(s.Bytes); i >= 0 {
		return errorAt(startOf(s.Name), "Invalid character encoding", "The value is not UTF-8 text.")
	}
	return nil
}

// variable evaluates a variable: the value that is given, else its default; null is as if none was given.
func (e *evaluator) variable(v *varDecl) (cty.Value, bool) {
	for _, a := range []*attr{v.given, v.def} {
		if a == nil {
			continue
		}
		val, ok := e.value(a, false)
		if !ok {
			return cty.DynamicVal, false
		}
		if raw, _ := val.Unmark(); raw.IsNull() && a == v.given {
			continue
		}
		if v.Sensitive {
			e.seen(val)
		}
		if v.defaults != nil {
			val = v.defaults.Apply(val)
		}
		conv, err := convert.Convert(val, v.typ)
		if err == nil {
			if _, problem := weigh(conv); problem != "" {
				err = errors.New(strings.TrimSuffix(problem, "."))
			}
		}
		if err != nil {
			e.add(errorAt(a.expr.Range(), "Unsuitable value", fmt.Sprintf("The variable %q needs a value of type %s: %s.", v.Name, v.Type, pathError(err))))
			return cty.DynamicVal, false
		}
		if v.Sensitive {
			e.seen(conv)
			conv = conv.Mark(sensitive)
		}
		return conv, true
	}
	if v.def != nil {
		return cty.NullVal(v.typ), true
	}
	e.add(errorAt(v.Range, "Missing value", fmt.Sprintf("The variable %q has no default and no value. Give it one: --var %s=..., or the environment variable DSRUN_VAR_%s, or a *.auto.dsvars.hcl file.", v.Name, v.Name, v.Name)))
	return cty.NullVal(v.typ), false
}

// pathError writes the error of a conversion with the place inside of the value.
func pathError(err error) string {
	var pe cty.PathError
	if !errors.As(err, &pe) || len(pe.Path) == 0 {
		return err.Error()
	}
	var b strings.Builder
	for _, s := range pe.Path {
		switch s := s.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			if k, _ := s.Key.Unmark(); k.IsKnown() && k.Type() == cty.String {
				fmt.Fprintf(&b, "[%q]", k.AsString())
			} else if k.IsKnown() && k.Type() == cty.Number {
				fmt.Fprintf(&b, "[%s]", k.AsBigFloat().Text('f', -1))
			}
		}
	}
	return strings.TrimPrefix(b.String(), ".") + ": " + err.Error()
}

// validate runs the validation blocks of a variable that has a value.
func (e *evaluator) validate(v *varDecl) {
	c, ok := e.cells["var."+v.Name]
	if !ok || !c.ok {
		return
	}
	for _, b := range v.checks {
		cond, msg := b.attrs["condition"], b.attrs["error_message"]
		if cond == nil || msg == nil {
			continue
		}
		val, ok := e.value(cond, true)
		if !ok {
			continue
		}
		val, err := convert.Convert(val, cty.Bool)
		val, _ = val.Unmark()
		if err != nil || val.IsKnown() && val.IsNull() {
			e.add(errorAt(cond.expr.Range(), "Unsuitable value", "A condition is true or false."))
			continue
		}
		if !val.IsKnown() || val.True() {
			continue
		}
		at := v.Range
		if v.given != nil {
			at = v.given.expr.Range()
		} else if v.def != nil {
			at = v.def.expr.Range()
		}
		detail := fmt.Sprintf("The value of the variable %q is refused by its validation.", v.Name)
		if m, ok := e.value(msg, true); ok {
			m, err := convert.Convert(m, cty.String)
			switch {
			case err != nil:
				e.add(errorAt(msg.expr.Range(), "Unsuitable value", "An error message is a text."))
			case m.IsMarked():
				detail += " Its message is sensitive and is not shown."
			case m.IsKnown() && !m.IsNull():
				detail = m.AsString()
			}
		}
		e.add(errorAt(at, "Invalid value for variable", detail))
	}
}
