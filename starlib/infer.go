package starlib

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// rank says what is known of the values of an expression or variable.
type rank uint8

const (
	anything rank = iota // may be text, a list, a dict: an operation can multiply it
	scalar               // a number, bool, None or a value of the host: no operation makes it large, except that ints multiply
	small                // a scalar whose bits grow at most by one a step: products of two are harmless
)

// inference finds variables that hold scalars only, from all assignments to them, in any order of execution.
type inference struct {
	ranks   map[*resolve.Binding]rank
	sources map[*resolve.Binding][]source
}

// source is one thing assigned to a variable: an expression, or an augmented one of op, or a value of a known rank.
type source struct {
	e    syntax.Expr
	op   syntax.Token // of `x op= e`; 0 for a plain assignment
	rank rank         // where e is nil
}

// harmless returns the places of operators that need no check, and of calls whose results are visibly no streams.
func harmless(f *syntax.File) map[place]bool {
	in := &inference{ranks: map[*resolve.Binding]rank{}, sources: map[*resolve.Binding][]source{}}
	var nodes []syntax.Node
	for _, s := range f.Stmts {
		nodes = append(nodes, s)
	}
	for i := 0; i < len(nodes); i++ {
		in.collect(nodes[i])
		children(nodes[i], func(c syntax.Node) { nodes = append(nodes, c) })
	}
	for b := range in.sources {
		in.ranks[b] = small
	}
	for changed := true; changed; {
		changed = false
		for b, ss := range in.sources {
			for _, s := range ss {
				if r := in.source(b, s); r < in.ranks[b] {
					in.ranks[b], changed = r, true
				}
			}
		}
	}
	ok := map[place]bool{}
	for _, n := range nodes {
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			if in.plain(n.Op, n.X, n.Y) {
				ok[place{n.OpPos.Line, n.OpPos.Col}] = true
			}
		case *syntax.AssignStmt:
			if n.Op != syntax.EQ && in.plain(n.Op-syntax.PLUS_EQ+syntax.PLUS, n.LHS, n.RHS) {
				ok[place{n.OpPos.Line, n.OpPos.Col}] = true
			}
		case *syntax.CallExpr:
			if name := builtinName(n.Fn); name == "range" || name == "enumerate" || name == "list" || name == "sorted" {
				ok[place{n.Lparen.Line, n.Lparen.Col}] = true
			}
		}
	}
	return ok
}

// plain reports whether x op y needs no check.
func (in *inference) plain(op syntax.Token, x, y syntax.Expr) bool {
	switch op {
	case syntax.PLUS:
		return in.expr(x) >= scalar || in.expr(y) >= scalar || isShort(x) || isShort(y)
	case syntax.STAR:
		return in.expr(x) == small && in.expr(y) == small
	case syntax.PERCENT:
		return in.expr(x) >= scalar || isLiteral(x) && in.expr(y) == small
	case syntax.PIPE:
		return in.expr(x) >= scalar || in.expr(y) >= scalar
	}
	return true
}

func isLiteral(e syntax.Expr) bool {
	_, ok := unparen(e).(*syntax.Literal)
	return ok
}

// isShort reports whether e is a short literal. Adding it to a text adds little, so that it takes many steps to grow,
// between which the limits are looked at.
func isShort(e syntax.Expr) bool {
	l, ok := unparen(e).(*syntax.Literal)
	return ok && len(l.Raw) <= freeSize
}

// collect records what a node assigns.
func (in *inference) collect(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.AssignStmt:
		if n.Op == syntax.EQ {
			in.assign(n.LHS, n.RHS)
		} else if id, ok := unparen(n.LHS).(*syntax.Ident); ok {
			in.add(id, source{e: n.RHS, op: n.Op - syntax.PLUS_EQ + syntax.PLUS})
		}
	case *syntax.ForStmt:
		in.loop(n.Vars, n.X)
	case *syntax.ForClause:
		in.loop(n.Vars, n.X)
	case *syntax.DefStmt:
		in.add(n.Name, source{rank: anything})
		in.params(n.Params)
	case *syntax.LambdaExpr:
		in.params(n.Params)
	case *syntax.LoadStmt:
		for _, id := range n.To {
			in.add(id, source{rank: anything})
		}
		for _, id := range n.From { // of the two lists one holds the local names
			in.add(id, source{rank: anything})
		}
	}
}

func (in *inference) add(id *syntax.Ident, s source) {
	if b, ok := id.Binding.(*resolve.Binding); ok && b != nil {
		in.sources[b] = append(in.sources[b], s)
	}
}

func (in *inference) params(ps []syntax.Expr) {
	for _, p := range ps {
		switch x := p.(type) {
		case *syntax.BinaryExpr:
			p = x.X
		case *syntax.UnaryExpr:
			p = x.X
		}
		if id, ok := p.(*syntax.Ident); ok {
			in.add(id, source{rank: anything})
		}
	}
}

// assign records lhs = rhs; rhs nil is an unknown value.
func (in *inference) assign(lhs, rhs syntax.Expr) {
	var targets []syntax.Expr
	switch lhs := unparen(lhs).(type) {
	case *syntax.Ident:
		in.add(lhs, source{e: rhs, rank: anything})
		return
	case *syntax.TupleExpr:
		targets = lhs.List
	case *syntax.ListExpr:
		targets = lhs.List
	}
	var values []syntax.Expr
	if rhs != nil {
		switch rhs := unparen(rhs).(type) {
		case *syntax.TupleExpr:
			values = rhs.List
		case *syntax.ListExpr:
			values = rhs.List
		}
	}
	for i, t := range targets {
		if len(values) == len(targets) {
			in.assign(t, values[i])
		} else {
			in.assign(t, nil)
		}
	}
}

// loop records the variables of a loop: those over a range and the counters of enumerate are small.
func (in *inference) loop(vars, x syntax.Expr) {
	call, ok := unparen(x).(*syntax.CallExpr)
	if ok {
		switch builtinName(call.Fn) {
		case "range":
			if id, ok := unparen(vars).(*syntax.Ident); ok {
				in.add(id, source{rank: small})
				return
			}
		case "enumerate":
			if t, ok := unparen(vars).(*syntax.TupleExpr); ok && len(t.List) == 2 {
				if id, ok := unparen(t.List[0]).(*syntax.Ident); ok {
					in.add(id, source{rank: small})
					in.assign(t.List[1], nil)
					return
				}
			}
		}
	}
	in.assign(vars, nil)
}

// source returns the rank of what is assigned to b.
func (in *inference) source(b *resolve.Binding, s source) rank {
	switch {
	case s.e == nil:
		return s.rank
	case s.op == 0:
		return in.expr(s.e)
	}
	return binaryRank(s.op, in.ranks[b], in.expr(s.e))
}

// builtinName returns the name of a predeclared or universal function, or "".
func builtinName(e syntax.Expr) string {
	if id, ok := unparen(e).(*syntax.Ident); ok {
		if b, ok := id.Binding.(*resolve.Binding); ok && (b.Scope == resolve.Universal || b.Scope == resolve.Predeclared) {
			return id.Name
		}
	}
	return ""
}

// expr returns the rank of an expression.
func (in *inference) expr(e syntax.Expr) rank {
	switch e := unparen(e).(type) {
	case *syntax.Literal:
		if e.Token == syntax.INT || e.Token == syntax.FLOAT {
			return small
		}
	case *syntax.Ident:
		switch builtinName(e) {
		case "True", "False", "None":
			return small
		}
		if b, ok := e.Binding.(*resolve.Binding); ok && (b.Scope == resolve.Local || b.Scope == resolve.Cell || b.Scope == resolve.Global) {
			return in.ranks[b]
		}
	case *syntax.UnaryExpr:
		if e.Op == syntax.NOT {
			return small
		}
		if e.X != nil {
			return in.expr(e.X)
		}
	case *syntax.CondExpr:
		return min(in.expr(e.True), in.expr(e.False))
	case *syntax.CallExpr:
		switch builtinName(e.Fn) {
		case "len", "int", "float", "ord", "hash":
			return small
		}
	case *syntax.BinaryExpr:
		switch e.Op {
		case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE, syntax.IN, syntax.NOT_IN:
			return small
		case syntax.AND, syntax.OR:
			return min(in.expr(e.X), in.expr(e.Y))
		}
		return binaryRank(e.Op, in.expr(e.X), in.expr(e.Y))
	}
	return anything
}

// binaryRank returns the rank of x op y where it does not fail.
func binaryRank(op syntax.Token, x, y rank) rank {
	switch op {
	case syntax.PLUS, syntax.MINUS:
		if x == small && y == small {
			return small
		}
		if x >= scalar || y >= scalar { // text + number fails
			return scalar
		}
	case syntax.STAR:
		if x >= scalar && y >= scalar {
			return scalar
		}
	case syntax.SLASH:
		return small // a float
	case syntax.SLASHSLASH, syntax.LTLT, syntax.GTGT:
		return scalar
	case syntax.PERCENT:
		if x == small && y == small {
			return small
		}
		if x >= scalar {
			return scalar
		}
	case syntax.AMP, syntax.PIPE, syntax.CIRCUMFLEX:
		if x == small && y == small {
			return small
		}
		if x >= scalar || y >= scalar {
			return scalar
		}
	}
	return anything
}
