package starlib

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/dsrun/dsrun/engine/fault"
)

// checkMain refuses a main() that flags cannot call.
func (p *Program) checkMain() error {
	if p.main == nil {
		return nil
	}
	for _, x := range p.main.Params {
		u, ok := x.(*syntax.UnaryExpr)
		if !ok || u.X == nil { // a lone * makes the parameters after it keyword-only, as flags are anyway
			continue
		}
		return p.file.errorAt(u.OpPos, fmt.Sprintf("main() takes its parameters from flags, so it cannot have %s%s: name each parameter", u.Op, u.X.(*syntax.Ident).Name))
	}
	return nil
}

// Params are the parameters of the script's main(), in order.
func (p *Program) Params() []Param {
	if p.main == nil {
		return nil
	}
	var params []Param
	for _, x := range p.main.Params {
		switch x := x.(type) {
		case *syntax.Ident:
			params = append(params, Param{Name: x.Name, Type: "string", Required: true})
		case *syntax.BinaryExpr:
			params = append(params, Param{Name: x.X.(*syntax.Ident).Name, Type: p.typeOf(x.Y, 0), Default: p.text(x.Y)})
		}
	}
	return params
}

// typeOf returns the type of a default. A name stands for what the script assigns to it.
func (p *Program) typeOf(e syntax.Expr, depth int) string {
	switch e := e.(type) {
	case *syntax.Literal:
		switch e.Token {
		case syntax.INT:
			return "int"
		case syntax.FLOAT:
			return "float"
		}
	case *syntax.UnaryExpr:
		if e.Op == syntax.MINUS || e.Op == syntax.PLUS {
			return p.typeOf(e.X, depth)
		}
	case *syntax.ParenExpr:
		return p.typeOf(e.X, depth)
	case *syntax.BinaryExpr:
		if e.Op == syntax.SLASH {
			return "float"
		}
		if t := p.typeOf(e.X, depth); t == "int" || t == "float" {
			return t
		}
	case *syntax.ListExpr, *syntax.TupleExpr, *syntax.Comprehension:
		return "list"
	case *syntax.Ident:
		if e.Name == "True" || e.Name == "False" {
			return "bool"
		}
		if depth > 8 {
			break
		}
		for _, s := range p.file.Tree.Stmts {
			if a, ok := s.(*syntax.AssignStmt); ok && a.Op == syntax.EQ {
				if id, ok := a.LHS.(*syntax.Ident); ok && id.Name == e.Name {
					return p.typeOf(a.RHS, depth+1)
				}
			}
		}
	}
	return "string"
}

// text returns an expression as it is written in the source.
func (p *Program) text(e syntax.Expr) string {
	start, end := extent(e)
	if start.Line != end.Line {
		return "..."
	}
	line := []rune(p.file.line(int(start.Line)))
	if int(end.Col)-1 > len(line) {
		return "..."
	}
	return string(line[start.Col-1 : end.Col-1])
}

// Doc is the script's docstring, or main()'s.
func (p *Program) Doc() string {
	if s := docOf(p.file.Tree.Stmts); s != "" || p.main == nil {
		return s
	}
	return docOf(p.main.Body)
}

// docOf returns the text of a leading string, without the indentation of its lines.
func docOf(body []syntax.Stmt) string {
	if len(body) == 0 {
		return ""
	}
	x, ok := body[0].(*syntax.ExprStmt)
	if !ok {
		return ""
	}
	lit, ok := x.X.(*syntax.Literal)
	if !ok || lit.Token != syntax.STRING {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(lit.Value.(string)), "\n")
	margin := -1
	for _, l := range lines[1:] {
		if t := strings.TrimLeft(l, " \t"); t != "" && (margin < 0 || len(l)-len(t) < margin) {
			margin = len(l) - len(t)
		}
	}
	for i, l := range lines {
		if i > 0 && margin > 0 {
			l = l[min(margin, len(l)):]
		}
		lines[i] = strings.TrimRight(l, " \t\r")
	}
	return strings.Join(lines, "\n")
}

// flag returns the flag of a parameter: --max-bad for max_bad.
func flag(name string) string { return "--" + strings.ReplaceAll(name, "_", "-") }

// mainParam is one parameter of main(): its default gives the type; nil means required.
type mainParam struct {
	name string
	def  starlark.Value
}

// declared returns main()'s parameters as far as the source alone tells them, to check arguments before anything runs.
func (p *Program) declared() []mainParam {
	var params []mainParam
	for _, x := range p.Params() {
		m := mainParam{name: x.Name}
		switch {
		case x.Required:
		case x.Type == "int":
			m.def = starlark.MakeInt(0)
		case x.Type == "float":
			m.def = starlark.Float(0)
		case x.Type == "bool":
			m.def = starlark.False
		case x.Type == "list":
			m.def = starlark.NewList(nil)
		default:
			m.def = starlark.String("")
		}
		params = append(params, m)
	}
	return params
}

// evaluated returns main()'s parameters with the values of their defaults.
func evaluated(main *starlark.Function) []mainParam {
	params := make([]mainParam, main.NumParams())
	for i := range params {
		name, _ := main.Param(i)
		params[i] = mainParam{name, main.ParamDefault(i)}
	}
	return params
}

// usageError returns the error of a wrong argument.
func usageError(format string, args ...any) *ScriptError {
	e := fault.New(fault.InvalidArgument, format, args...)
	return &ScriptError{Message: e.Err.Error(), Err: e, Usage: true}
}

// arguments converts the arguments of a run to those of main(), each by the type of its default.
func arguments(params []mainParam, given map[string]string) ([]starlark.Tuple, error) {
	values := map[string]string{}
	for k, v := range given {
		values[strings.ReplaceAll(k, "-", "_")] = v
	}
	var kwargs []starlark.Tuple
	var flags []string
	for _, p := range params {
		flags = append(flags, flag(p.name))
		text, ok := values[p.name]
		delete(values, p.name)
		if !ok {
			if p.def == nil {
				return nil, usageError("missing flag %s", flag(p.name))
			}
			continue
		}
		v, err := argument(text, p.def)
		if err != nil {
			return nil, usageError("invalid value for %s: %w", flag(p.name), err)
		}
		kwargs = append(kwargs, starlark.Tuple{starlark.String(p.name), v})
	}
	left := slices.Sorted(maps.Keys(values))
	if len(left) > 0 {
		return nil, usageError("unknown flag %s%s", flag(left[0]), didYouMean(flag(left[0]), flags, ""))
	}
	return kwargs, nil
}

// argument converts one text to the type of a default. No default and None take the text as it is.
func argument(text string, def starlark.Value) (starlark.Value, error) {
	shown := strconv.Quote(bound(fault.Printable(text), 80))
	switch def := def.(type) {
	case starlark.Int:
		t := strings.ReplaceAll(strings.TrimSpace(text), "_", "")
		i, err := strconv.ParseInt(t, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number", shown)
		}
		return starlark.MakeInt64(i), nil
	case starlark.Float:
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number", shown)
		}
		return starlark.Float(x), nil
	case starlark.Bool:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true", "1", "yes", "on", "":
			return starlark.True, nil
		case "false", "0", "no", "off":
			return starlark.False, nil
		}
		return nil, fmt.Errorf("%s is neither true nor false", shown)
	case *starlark.List:
		return listArgument(text, def)
	case starlark.Tuple:
		l, err := listArgument(text, starlark.NewList(def))
		if err != nil {
			return nil, err
		}
		t := make(starlark.Tuple, l.Len())
		for i := range t {
			t[i] = l.Index(i)
		}
		return t, nil
	}
	return starlark.String(text), nil
}

// listArgument splits a text at commas; the elements have the type of the default's first one.
func listArgument(text string, def *starlark.List) (*starlark.List, error) {
	var elem starlark.Value
	if def.Len() > 0 {
		elem = def.Index(0)
	}
	l := starlark.NewList(nil)
	if text == "" {
		return l, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		v, err := argument(strings.TrimSpace(part), elem)
		if err != nil {
			return nil, err
		}
		_ = l.Append(v)
	}
	return l, nil
}
