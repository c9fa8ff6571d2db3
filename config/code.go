package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// code is an expression made ready for evaluation, of either syntax. It is immutable and safe for concurrent use.
type code struct {
	expr  hclsyntax.Expression // guarded
	vars  []hcl.Traversal      // references in it
	calls []call               // functions it calls
	texts []string             // literal texts in it, but for the arguments of functions that name a secret
}

type call struct {
	name string
	rng  hcl.Range
}

// compile makes an expression ready. A JSON expression becomes one of native syntax first: HCL parses the templates in
// JSON strings only while it evaluates them, where nothing could be guarded or checked before.
func compile(expr hcl.Expression) (*code, hcl.Diagnostics) {
	e, ok := expr.(hclsyntax.Expression)
	var diags hcl.Diagnostics
	if !ok {
		e, diags = fromJSON(expr)
	}
	c := &code{vars: e.Variables()}
	_ = hclsyntax.Walk(e, &inspector{code: c})
	c.expr = guarded(e)
	return c, diags
}

// inspector notes the calls and literals of an expression.
type inspector struct {
	code  *code
	names int // calls around that name a secret by their arguments
}

func (x *inspector) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch n := n.(type) {
	case *hclsyntax.FunctionCallExpr:
		x.code.calls = append(x.code.calls, call{n.Name, n.NameRange})
		x.names += namesSecret(n.Name)
	case *hclsyntax.LiteralValueExpr:
		if n.Val.Type() == cty.String && n.Val.IsKnown() && !n.Val.IsNull() && x.names == 0 {
			x.code.texts = append(x.code.texts, n.Val.AsString())
		}
	}
	return nil
}

func (x *inspector) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if n, ok := n.(*hclsyntax.FunctionCallExpr); ok {
		x.names -= namesSecret(n.Name)
	}
	return nil
}

func namesSecret(function string) int {
	if function == "env" || function == "file" || strings.HasPrefix(function, "secret::") {
		return 1
	}
	return 0
}

// fromJSON converts an expression of the JSON variant.
func fromJSON(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	if l, ok := expr.(interface{ ExprList() []hcl.Expression }); ok {
		if items := l.ExprList(); items != nil {
			out := &hclsyntax.TupleConsExpr{SrcRange: expr.Range(), OpenRange: expr.StartRange()}
			for _, it := range items {
				e, d := fromJSON(it)
				diags = append(diags, d...)
				out.Exprs = append(out.Exprs, e)
			}
			return out, diags
		}
	}
	if m, ok := expr.(interface{ ExprMap() []hcl.KeyValuePair }); ok {
		if items := m.ExprMap(); items != nil {
			out := &hclsyntax.ObjectConsExpr{SrcRange: expr.Range(), OpenRange: expr.StartRange()}
			for _, it := range items {
				k, d := fromJSON(it.Key)
				diags = append(diags, d...)
				v, d := fromJSON(it.Value)
				diags = append(diags, d...)
				out.Items = append(out.Items, hclsyntax.ObjectConsItem{
					KeyExpr: &hclsyntax.ObjectConsKeyExpr{Wrapped: k, ForceNonLiteral: true}, ValueExpr: v})
			}
			return out, diags
		}
	}
	v, diags := expr.Value(nil)
	if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		at := expr.Range().Start
		at.Byte++
		at.Column++
		e, d := hclsyntax.ParseTemplate([]byte(v.AsString()), expr.Range().Filename, at)
		for _, x := range d {
			x.Subject = expr.Range().Ptr() // places inside of a string with escapes would be off
			x.Context = nil
		}
		if d.HasErrors() {
			return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: expr.Range()}, append(diags, d...)
		}
		return e, append(diags, d...)
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: expr.Range()}, diags
}

// stepName returns the name of a step of a reference, as in .name or ["name"], and its place without the dot.
func stepName(t hcl.Traverser) (string, hcl.Range, bool) {
	switch t := t.(type) {
	case hcl.TraverseRoot:
		return t.Name, t.SrcRange, true
	case hcl.TraverseAttr:
		rng := t.SrcRange
		if rng.End.Byte-rng.Start.Byte == len(t.Name)+1 {
			rng.Start.Byte++
			rng.Start.Column++
		}
		return t.Name, rng, true
	case hcl.TraverseIndex:
		if t.Key.Type() == cty.String && t.Key.IsKnown() && !t.Key.IsNull() {
			return t.Key.AsString(), t.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}
