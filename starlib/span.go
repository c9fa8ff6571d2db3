package starlib

import (
	"strings"
	"unicode/utf8"

	"go.starlark.net/syntax"
)

// place is where the interpreter says that an error is: a point.
type place struct{ line, col int32 }

// span is what is underlined for it.
type span struct{ start, end syntax.Position }

// index maps the point that the compiler records for each operation to the expression it belongs to. The points are
// those of starlark-go's compiler: the operator, the opening bracket, the dot, the name, the keyword.
func (f *SourceFile) index() map[place]span {
	m := map[place]span{}
	put := func(at syntax.Position, start, end syntax.Position) {
		p := place{at.Line, at.Col}
		if _, taken := m[p]; !taken {
			m[p] = span{start, end}
		}
	}
	var stack []syntax.Node
	for _, s := range f.Tree.Stmts {
		stack = append(stack, s)
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			start, end := extent(n)
			put(n.OpPos, start, end)
		case *syntax.UnaryExpr:
			start, end := extent(n)
			put(n.OpPos, start, end)
		case *syntax.CallExpr:
			start, end := extent(n)
			put(n.Lparen, start, end)
		case *syntax.IndexExpr:
			start, end := extent(n)
			put(n.Lbrack, start, end)
		case *syntax.SliceExpr:
			start, end := extent(n)
			put(n.Lbrack, start, end)
		case *syntax.DotExpr:
			start, end := extent(n)
			put(n.Dot, start, end)
		case *syntax.Ident:
			start, end := n.Span()
			put(n.NamePos, start, end)
		case *syntax.DictEntry:
			start, end := extent(n)
			put(n.Colon, start, end)
		case *syntax.ForStmt:
			start, end := extent(n.X)
			put(n.For, start, end)
		case *syntax.ForClause:
			start, end := extent(n.X)
			put(n.For, start, end)
		case *syntax.AssignStmt:
			start, end := n.LHS.Span()
			if n.Op != syntax.EQ {
				_, end = extent(n.RHS)
			}
			put(n.OpPos, start, end)
		case *syntax.LoadStmt:
			start, end := n.Module.Span()
			put(n.Load, start, end)
		case *syntax.DefStmt:
			start, end := n.Name.Span()
			put(n.Def, start, end)
		}
		children(n, func(c syntax.Node) { stack = append(stack, c) })
	}
	return m
}

// extent returns the span of an expression with its closing bracket, which syntax leaves out for some nodes.
func extent(n syntax.Node) (start, end syntax.Position) {
	start, end = n.Span()
	for last := n; last != nil; {
		switch x := last.(type) {
		case *syntax.IndexExpr, *syntax.SliceExpr:
			end.Col++
			return start, end
		case *syntax.TupleExpr:
			if x.Lparen.IsValid() {
				end.Col++
				return start, end
			}
			last = x.List[len(x.List)-1]
		case *syntax.BinaryExpr:
			last = x.Y
		case *syntax.UnaryExpr:
			if x.X == nil {
				return start, end
			}
			last = x.X
		case *syntax.CondExpr:
			last = x.False
		case *syntax.LambdaExpr:
			last = x.Body
		case *syntax.DictEntry:
			last = x.Value
		default:
			return start, end
		}
	}
	return start, end
}

// frame describes one place of the file for people: its line, and what to underline of it.
func (f *SourceFile) frame(fn string, pos syntax.Position) Frame {
	fr := Frame{Func: fn, File: f.Path, Line: int(pos.Line), Col: int(pos.Col), Text: f.line(int(pos.Line))}
	width := utf8.RuneCountInString(fr.Text)
	fr.Col = max(1, min(fr.Col, width+1))
	fr.End = min(fr.Col+1, width+1)
	if f.Tree == nil {
		return fr
	}
	s, ok := f.spans()[place{pos.Line, pos.Col}]
	if !ok {
		return fr
	}
	switch {
	case s.start.Line == pos.Line:
		fr.Col = int(s.start.Col)
	case s.start.Line < pos.Line: // a chain over several lines: show the line of the operation
		fr.Col = 1 + width - utf8.RuneCountInString(strings.TrimLeft(fr.Text, " \t"))
	default: // the operand of a keyword stands further down
		return fr
	}
	fr.End = width + 1
	if s.end.Line == pos.Line {
		fr.End = int(s.end.Col)
	}
	fr.End = max(fr.Col, min(fr.End, width+1))
	return fr
}
