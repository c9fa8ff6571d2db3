package starlib

import (
	"strconv"

	"go.starlark.net/syntax"
)

// The interpreter cannot be stopped within one operation, and one operation can take all of the machine's memory:
// [0] * (1 << 29) takes 8 GiB. So the operations that can multiply what they are given go through functions that
// charge for the result first. The tree of a file is rewritten before it is compiled:
//
//	x * y          "*"(x, y)            also + % |
//	x += y         x = "+="(x, y)       where x is a name; x[i] += y becomes x[i] += "guard"(y)
//	x.join         ".join"(x)           for the names of checkedAttrs
//	x[a:b]         "[:]"(x)[a:b]
//	f(*x)          f(*"*args"(x))
//	for v in x     for v in "for"(x)    so that a stream reports to the thread that consumes it
//
// The names cannot be written in a script, the positions are those of the original operations, and what the functions
// return and fail with is what the operations would. Operations that infer.go shows to work on numbers stay as they
// are, which keeps loops fast.
type rewriter struct {
	plain map[place]bool // operators that need no check, by position
	late  map[place]bool // names that are read through the shell, by position
}

// rewrite changes tree in place. resolved is the same file, resolved.
func rewrite(tree, resolved *syntax.File) {
	w := &rewriter{plain: harmless(resolved)}
	w.stmts(tree.Stmts)
}

// call returns a call of a hidden function at a position.
func call(name string, pos syntax.Position, args ...syntax.Expr) *syntax.CallExpr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}

func (w *rewriter) isPlain(pos syntax.Position) bool { return w.plain[place{pos.Line, pos.Col}] }

func (w *rewriter) stmts(ss []syntax.Stmt) {
	for _, s := range ss {
		w.stmt(s)
	}
}

func (w *rewriter) stmt(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.ExprStmt:
		s.X = w.expr(s.X)
	case *syntax.AssignStmt:
		w.assign(s)
	case *syntax.DefStmt:
		w.params(s.Params)
		w.stmts(s.Body)
	case *syntax.IfStmt:
		s.Cond = w.expr(s.Cond)
		w.stmts(s.True)
		w.stmts(s.False)
	case *syntax.ForStmt:
		w.target(s.Vars)
		s.X = w.iter(s.For, s.X)
		w.stmts(s.Body)
	case *syntax.WhileStmt:
		s.Cond = w.expr(s.Cond)
		w.stmts(s.Body)
	case *syntax.ReturnStmt:
		s.Result = w.expr(s.Result)
	}
}

// augmented maps an augmented assignment to the hidden function of a name and that of other targets.
var augmented = map[syntax.Token][2]string{
	syntax.PLUS_EQ:    {"+=", "guard+"},
	syntax.STAR_EQ:    {"*", "guard*"},
	syntax.PERCENT_EQ: {"%", "guard%"},
	syntax.PIPE_EQ:    {"|=", "guard|"},
}

func (w *rewriter) assign(s *syntax.AssignStmt) {
	s.RHS = w.expr(s.RHS)
	w.target(s.LHS)
	if s.Op == syntax.EQ {
		switch unparen(s.LHS).(type) {
		case *syntax.TupleExpr, *syntax.ListExpr:
			s.RHS = w.bind(s.OpPos, s.RHS)
		}
		return
	}
	names, ok := augmented[s.Op]
	if !ok || w.isPlain(s.OpPos) {
		return
	}
	if id, ok := unparen(s.LHS).(*syntax.Ident); ok {
		s.Op = syntax.EQ
		s.RHS = call(names[0], s.OpPos, &syntax.Ident{NamePos: id.NamePos, Name: id.Name}, s.RHS)
		return
	}
	s.RHS = call(names[1], s.OpPos, s.RHS)
}

// target rewrites the expressions inside of what is assigned to.
func (w *rewriter) target(e syntax.Expr) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		w.target(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			w.target(x)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			w.target(x)
		}
	case *syntax.IndexExpr:
		e.X, e.Y = w.expr(e.X), w.expr(e.Y)
	case *syntax.DotExpr:
		e.X = w.expr(e.X)
	}
}

// params rewrites the defaults of parameters.
func (w *rewriter) params(ps []syntax.Expr) {
	for _, p := range ps {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			b.Y = w.expr(b.Y)
		}
	}
}

func (w *rewriter) exprs(es []syntax.Expr) {
	for i, e := range es {
		es[i] = w.expr(e)
	}
}

// iter rewrites the operand of a loop.
func (w *rewriter) iter(pos syntax.Position, e syntax.Expr) syntax.Expr {
	return w.bind(pos, w.expr(e))
}

// bind wraps what is iterated, unless it is visibly no stream.
func (w *rewriter) bind(pos syntax.Position, e syntax.Expr) syntax.Expr {
	switch x := unparen(e).(type) {
	case *syntax.ListExpr, *syntax.TupleExpr, *syntax.DictExpr, *syntax.Comprehension, *syntax.Literal:
		return e
	case *syntax.CallExpr:
		if w.isPlain(x.Lparen) {
			return e
		}
	}
	return call("for", pos, e)
}

func (w *rewriter) expr(e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.Ident:
		if w.late[place{e.NamePos.Line, e.NamePos.Col}] {
			return call(lateName, e.NamePos, &syntax.Literal{Token: syntax.STRING, TokenPos: e.NamePos, Raw: strconv.Quote(e.Name), Value: e.Name})
		}
	case *syntax.ParenExpr:
		e.X = w.expr(e.X)
	case *syntax.CallExpr:
		e.Fn = w.expr(e.Fn)
		for i, a := range e.Args {
			switch a := a.(type) {
			case *syntax.BinaryExpr:
				if a.Op == syntax.EQ { // name=value
					a.Y = w.expr(a.Y)
					continue
				}
			case *syntax.UnaryExpr:
				if a.Op == syntax.STAR { // *args
					a.X = call("*args", a.OpPos, w.expr(a.X))
					continue
				}
			}
			e.Args[i] = w.expr(a)
		}
	case *syntax.DotExpr:
		e.X = w.expr(e.X)
		if checkedAttrs[e.Name.Name] {
			return call("."+e.Name.Name, e.Dot, e.X)
		}
	case *syntax.Comprehension:
		if entry, ok := e.Body.(*syntax.DictEntry); ok {
			entry.Key, entry.Value = w.expr(entry.Key), w.expr(entry.Value)
		} else {
			e.Body = w.expr(e.Body)
		}
		for _, c := range e.Clauses {
			switch c := c.(type) {
			case *syntax.ForClause:
				w.target(c.Vars)
				c.X = w.iter(c.For, c.X)
			case *syntax.IfClause:
				c.Cond = w.expr(c.Cond)
			}
		}
	case *syntax.DictExpr:
		for _, x := range e.List {
			entry := x.(*syntax.DictEntry)
			entry.Key, entry.Value = w.expr(entry.Key), w.expr(entry.Value)
		}
	case *syntax.LambdaExpr:
		w.params(e.Params)
		e.Body = w.expr(e.Body)
	case *syntax.ListExpr:
		w.exprs(e.List)
	case *syntax.TupleExpr:
		w.exprs(e.List)
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = w.expr(e.Cond), w.expr(e.True), w.expr(e.False)
	case *syntax.UnaryExpr:
		if e.X != nil {
			e.X = w.expr(e.X)
		}
	case *syntax.BinaryExpr:
		e.X, e.Y = w.expr(e.X), w.expr(e.Y)
		switch e.Op {
		case syntax.PLUS, syntax.STAR, syntax.PERCENT, syntax.PIPE:
			if !w.isPlain(e.OpPos) {
				return call(e.Op.String(), e.OpPos, e.X, e.Y)
			}
		}
	case *syntax.SliceExpr:
		e.X = call("[:]", e.Lbrack, w.expr(e.X))
		if e.Lo != nil {
			e.Lo = w.expr(e.Lo)
		}
		if e.Hi != nil {
			e.Hi = w.expr(e.Hi)
		}
		if e.Step != nil {
			e.Step = w.expr(e.Step)
		}
	case *syntax.IndexExpr:
		e.X, e.Y = w.expr(e.X), w.expr(e.Y)
	}
	return e
}

func unparen(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}
