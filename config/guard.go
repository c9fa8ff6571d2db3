package config

import (
	"fmt"
	"math/big"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The limits of evaluation, in units of about a byte. A few lines of HCL can ask for any amount of work
// (x = "${local.y}${local.y}", forty times over), so every node of an expression pays for its result.
const (
	nodeCost    = 64        // of evaluating a node once
	elementCost = 512       // of an element of a list, map or object
	maxValue    = 8 << 20   // of one value
	maxText     = 1 << 20   // bytes of one text
	maxCost     = 256 << 20 // of one Load or Resolve
	maxNesting  = 500       // of lists, maps and objects in a value
	maxExponent = 4096      // of two, of a number
)

// budget is what evaluation may still cost.
type budget struct {
	left  int64
	cause *overBudget // of the evaluation that is being ended: a function's recover() cannot stop it
}

// overBudget is the panic that ends an evaluation: HCL collects diagnostics and goes on, for as many rounds as a loop has.
type overBudget struct {
	rng     hcl.Range
	summary string
	detail  string
}

func (b *budget) spend(v cty.Value, rng hcl.Range) {
	if b.cause != nil {
		panic(*b.cause)
	}
	cost, problem := weigh(v)
	b.left -= nodeCost + cost
	switch {
	case problem == infinite:
		b.cause = &overBudget{rng, "Infinite number", problem}
		panic(*b.cause)
	case problem != "":
		b.cause = &overBudget{rng, "Value too large", problem}
		panic(*b.cause)
	case b.left < 0:
		b.cause = &overBudget{rng, "Evaluation too costly", "Evaluating the configuration takes too many steps or too much memory. Look for nested loops over long lists, or texts that repeat each other."}
		panic(*b.cause)
	}
}

const infinite = "The result is infinite: look for a division by zero, or a number that is far too large."

// weigh returns the cost of holding a value and, when it is beyond a limit, which one.
func weigh(v cty.Value) (cost int64, problem string) {
	type item struct {
		v     cty.Value
		depth int
	}
	for todo := []item{{v, 0}}; len(todo) > 0; {
		it := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		v, _ := it.v.Unmark()
		if !v.IsKnown() || v.IsNull() {
			continue
		}
		switch ty := v.Type(); {
		case ty == cty.String:
			n := len(v.AsString())
			if cost += int64(n); n > maxText {
				return cost, fmt.Sprintf("The text has %d bytes, and a text may have %d. Keep data in a datastore, and only its name here.", n, maxText)
			}
			if n > longNumber && numeric(v.AsString()) {
				// Where a number is wanted a text is read as one, in a time that grows with the square of its length.
				if cost += int64(n) * int64(n) / 256; cost > maxValue {
					return cost, fmt.Sprintf("The text is a number of %d characters, which takes too long to read.", n)
				}
			}
		case ty == cty.Number:
			if v.AsBigFloat().IsInf() {
				return cost, infinite
			}
			if !numberOK(v.AsBigFloat()) {
				return cost, "The number is too large or too small to be written out."
			}
		case v.CanIterateElements():
			if it.depth >= maxNesting {
				return cost, fmt.Sprintf("Lists, maps and objects are nested more than %d deep in the value.", maxNesting)
			}
			for i := v.ElementIterator(); i.Next(); {
				k, e := i.Element()
				cost += elementCost
				if k.Type() == cty.String {
					cost += int64(len(k.AsString()))
				}
				todo = append(todo, item{e, it.depth + 1})
				if cost > maxValue {
					break
				}
			}
		}
		if cost > maxValue {
			return cost, fmt.Sprintf("The value takes more than %d MiB. Keep data in a datastore, and only its name here.", maxValue>>20)
		}
	}
	return cost, ""
}

// longNumber is the length of a text from which on reading it as a number takes a time that counts.
const longNumber = 1000

// numeric reports whether a text may be read as a number.
func numeric(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E', c == '_':
		default:
			return false
		}
	}
	return true
}

// numberOK reports whether a number can be written out.
func numberOK(f *big.Float) bool {
	if f.IsInf() || f.Sign() == 0 {
		return !f.IsInf()
	}
	e := f.MantExp(nil)
	return e <= maxExponent && e >= -maxExponent
}

// budgetKey is the name under which the root scope holds the budget; no identifier can be written so.
const budgetKey = "\x00budget"

var budgetType = cty.Capsule("budget", reflect.TypeFor[budget]())

func budgetOf(ctx *hcl.EvalContext) *budget {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[budgetKey]; ok {
			return v.EncapsulatedValue().(*budget)
		}
	}
	return &budget{left: maxCost}
}

// guard is an expression that pays for its value.
type guard struct {
	hclsyntax.Expression
}

func (g guard) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := g.Expression.Value(ctx)
	budgetOf(ctx).spend(v, g.Range())
	return v, diags
}

// guarded puts a guard around every node of an expression, in place. What Variables reports must be asked before: guards
// hide references from it.
func guarded(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case nil:
		return nil
	case guard, *hclsyntax.AnonSymbolExpr:
		return e // the symbol of a splat is known by its address
	case *hclsyntax.ParenthesesExpr:
		e.Expression = guarded(e.Expression)
	case *hclsyntax.RelativeTraversalExpr:
		e.Source = guarded(e.Source)
	case *hclsyntax.FunctionCallExpr:
		guardAll(e.Args)
	case *hclsyntax.ConditionalExpr:
		e.Condition, e.TrueResult, e.FalseResult = guarded(e.Condition), guarded(e.TrueResult), guarded(e.FalseResult)
	case *hclsyntax.IndexExpr:
		e.Collection, e.Key = guarded(e.Collection), guarded(e.Key)
	case *hclsyntax.TupleConsExpr:
		guardAll(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
		for i := range e.Items {
			it := &e.Items[i]
			it.ValueExpr = guarded(it.ValueExpr)
			if k, ok := it.KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok {
				// A bare word as key is told from a reference by the type of its node.
				if _, bare := k.Wrapped.(*hclsyntax.ScopeTraversalExpr); !bare || k.ForceNonLiteral {
					k.Wrapped = guarded(k.Wrapped)
				}
			}
		}
	case *hclsyntax.ForExpr:
		e.CollExpr, e.KeyExpr, e.ValExpr, e.CondExpr = guarded(e.CollExpr), guarded(e.KeyExpr), guarded(e.ValExpr), guarded(e.CondExpr)
	case *hclsyntax.SplatExpr:
		e.Source, e.Each = guarded(e.Source), guarded(e.Each)
	case *hclsyntax.BinaryOpExpr:
		e.LHS, e.RHS = guarded(e.LHS), guarded(e.RHS)
	case *hclsyntax.UnaryOpExpr:
		e.Val = guarded(e.Val)
	case *hclsyntax.TemplateExpr:
		guardAll(e.Parts)
	case *hclsyntax.TemplateWrapExpr:
		e.Wrapped = guarded(e.Wrapped)
	case *hclsyntax.TemplateJoinExpr:
		e.Tuple = guarded(e.Tuple)
	}
	return guard{e}
}

func guardAll(list []hclsyntax.Expression) {
	for i, e := range list {
		list[i] = guarded(e)
	}
}
