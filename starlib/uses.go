package starlib

import (
	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// Use is one place where a script names a datastore or a topic: ds.NAME, ds["NAME"], topics.NAME.
type Use struct {
	Root string // ds or topics
	Name string
	Line int // from 1
	Col  int // of the name, from 1, in characters
	End  int // column after it
}

// Uses lists what the script names, in the order of the source. What a script computes, and what it loads from other
// files, is not among it.
func (p *Program) Uses() []Use {
	var out []Use
	for _, s := range p.file.Tree.Stmts {
		syntax.Walk(s, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.DotExpr:
				if root := predeclared(n.X); root != "" {
					out = append(out, Use{root, n.Name.Name, int(n.Name.NamePos.Line), int(n.Name.NamePos.Col), int(n.Name.NamePos.Col) + len([]rune(n.Name.Name))})
				}
			case *syntax.IndexExpr:
				lit, ok := n.Y.(*syntax.Literal)
				if !ok {
					break
				}
				if name, ok := lit.Value.(string); ok && lit.Token == syntax.STRING {
					if root := predeclared(n.X); root != "" {
						out = append(out, Use{root, name, int(lit.TokenPos.Line), int(lit.TokenPos.Col), int(lit.TokenPos.Col) + len([]rune(lit.Raw))})
					}
				}
			}
			return true
		})
	}
	return out
}

// predeclared returns ds or topics when the expression is that name and the script has not bound it to something else.
func predeclared(x syntax.Expr) string {
	id, ok := x.(*syntax.Ident)
	if !ok || id.Name != "ds" && id.Name != "topics" {
		return ""
	}
	if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope != resolve.Predeclared {
		return ""
	}
	return id.Name
}

// Text is a text that stands in a script.
type Text struct {
	Value string
	Line  int // from 1
	Col   int // from 1, in characters
	End   int // column after it, where it ends on the same line; else Col
}

// Texts lists the string and bytes literals of a script, in the order of the source.
func (p *Program) Texts() []Text {
	var out []Text
	for _, s := range p.file.Tree.Stmts {
		syntax.Walk(s, func(n syntax.Node) bool {
			lit, ok := n.(*syntax.Literal)
			if !ok || lit.Token != syntax.STRING && lit.Token != syntax.BYTES {
				return true
			}
			value, _ := lit.Value.(string)
			t := Text{value, int(lit.TokenPos.Line), int(lit.TokenPos.Col), int(lit.TokenPos.Col)}
			if _, end := lit.Span(); end.Line == lit.TokenPos.Line {
				t.End = int(end.Col)
			}
			out = append(out, t)
			return true
		})
	}
	return out
}
