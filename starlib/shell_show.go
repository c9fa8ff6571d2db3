package starlib

import (
	"context"
	"fmt"
	"io"

	"go.starlark.net/starlark"
)

// Show prints a value as a person wants to see it: the elements of a stream or a list of rows as a table of the first n,
// everything else as text of at most a page.
func (s *Shell) Show(ctx context.Context, v starlark.Value, n int) error {
	switch v := v.(type) {
	case *Stream:
		s.set("_", v)
		_, err := s.evalHidden(ctx, fmt.Sprintf("_.show(%d)", n))
		return err
	case *starlark.List:
		if elems, ok := tabular(v, n); ok {
			return s.print(tableOf(elems, v.Len() > n))
		}
	}
	return s.print(escapeLines(shellText(v)))
}

// evalHidden runs an expression of our own, which is no part of the input.
func (s *Shell) evalHidden(ctx context.Context, text string) (starlark.Value, error) {
	text0, line0, stmts0 := len(s.text), s.line, len(s.stmts)
	defer func() { s.text, s.line, s.stmts = s.text[:text0], line0, s.stmts[:stmts0] }()
	return s.Eval(ctx, text)
}

func (s *Shell) print(text string) error {
	if s.o.Stdout == nil {
		return nil
	}
	_, err := io.WriteString(s.o.Stdout, text+"\n")
	return err
}

// pageText is how many characters of a value are shown.
const pageText = 4000

func shellText(v starlark.Value) string {
	text := briefText(v, pageText)
	if len(text) >= pageText {
		return bound(text, pageText)
	}
	return text
}

// tabular returns the first n elements of a list that reads best as a table: rows, objects, or dicts.
func tabular(l *starlark.List, n int) ([]starlark.Value, bool) {
	if l.Len() == 0 {
		return nil, false
	}
	var out []starlark.Value
	for i := range min(n, l.Len()) {
		switch v := l.Index(i).(type) {
		case *object, *Row, *starlark.Dict:
			out = append(out, v)
		default:
			return nil, false
		}
	}
	return out, true
}
