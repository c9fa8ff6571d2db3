package starlib

import "go.starlark.net/syntax"

// children calls visit with the direct children of a node, in source order. Nodes are seen through pointers to the
// places that hold them by rewrite; here only their values matter. Unlike syntax.Walk it does not descend.
func children(n syntax.Node, visit func(syntax.Node)) {
	expr := func(e syntax.Expr) {
		if e != nil {
			visit(e)
		}
	}
	exprs := func(es []syntax.Expr) {
		for _, e := range es {
			expr(e)
		}
	}
	stmts := func(ss []syntax.Stmt) {
		for _, s := range ss {
			visit(s)
		}
	}
	switch n := n.(type) {
	case *syntax.AssignStmt:
		expr(n.LHS)
		expr(n.RHS)
	case *syntax.DefStmt:
		exprs(n.Params)
		stmts(n.Body)
	case *syntax.ExprStmt:
		expr(n.X)
	case *syntax.IfStmt:
		expr(n.Cond)
		stmts(n.True)
		stmts(n.False)
	case *syntax.ForStmt:
		expr(n.Vars)
		expr(n.X)
		stmts(n.Body)
	case *syntax.WhileStmt:
		expr(n.Cond)
		stmts(n.Body)
	case *syntax.ReturnStmt:
		expr(n.Result)
	case *syntax.ParenExpr:
		expr(n.X)
	case *syntax.CallExpr:
		expr(n.Fn)
		exprs(n.Args)
	case *syntax.DotExpr:
		expr(n.X)
	case *syntax.Comprehension:
		expr(n.Body)
		for _, c := range n.Clauses {
			visit(c)
		}
	case *syntax.ForClause:
		expr(n.Vars)
		expr(n.X)
	case *syntax.IfClause:
		expr(n.Cond)
	case *syntax.DictExpr:
		exprs(n.List)
	case *syntax.DictEntry:
		expr(n.Key)
		expr(n.Value)
	case *syntax.LambdaExpr:
		exprs(n.Params)
		expr(n.Body)
	case *syntax.ListExpr:
		exprs(n.List)
	case *syntax.CondExpr:
		expr(n.Cond)
		expr(n.True)
		expr(n.False)
	case *syntax.TupleExpr:
		exprs(n.List)
	case *syntax.UnaryExpr:
		expr(n.X)
	case *syntax.BinaryExpr:
		expr(n.X)
		expr(n.Y)
	case *syntax.SliceExpr:
		expr(n.X)
		expr(n.Lo)
		expr(n.Hi)
		expr(n.Step)
	case *syntax.IndexExpr:
		expr(n.X)
		expr(n.Y)
	}
}
