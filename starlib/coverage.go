package starlib

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Coverage counts how often each line of scripts is executed. It may serve many runs, also at once.
type Coverage struct {
	mu    sync.RWMutex
	index map[lineOf]int
	lines []lineOf
	hits  []*atomic.Int64
}

type lineOf struct {
	file string
	line int
}

// coverName is the hidden function that instrumented code calls before each statement.
const coverName = "#line"

// NewCoverage returns a coverage that has counted nothing.
func NewCoverage() *Coverage { return &Coverage{index: map[lineOf]int{}} }

// countLine is the hidden function of coverName.
func countLine(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if r := runOf(t); r != nil && r.execution.cover != nil {
		n, _ := args[0].(starlark.Int).Int64()
		c := r.execution.cover
		c.mu.RLock()
		hits := c.hits[n]
		c.mu.RUnlock()
		hits.Add(1)
	}
	return starlark.None, nil
}

// instrument puts a call that counts its line before each statement of a file. Docstrings, and all but the first
// statement of a line, are not counted. A file that is parsed again goes on with its counts.
func (c *Coverage) instrument(file string, tree *syntax.File) {
	tree.Stmts = c.stmts(file, tree.Stmts)
}

func (c *Coverage) stmts(file string, list []syntax.Stmt) []syntax.Stmt {
	out := make([]syntax.Stmt, 0, 2*len(list))
	last := -1
	for i, s := range list {
		start, _ := s.Span()
		line := int(start.Line)
		if !isText(s) && line != last {
			n := c.number(lineOf{file, line})
			lit := &syntax.Literal{Token: syntax.INT, TokenPos: start, Raw: fmt.Sprint(n), Value: int64(n)}
			mark := &syntax.ExprStmt{X: call(coverName, start, lit)}
			out = append(out, mark)
			last = line
		}
		switch s := s.(type) {
		case *syntax.DefStmt:
			s.Body = c.stmts(file, s.Body)
		case *syntax.IfStmt:
			s.True, s.False = c.stmts(file, s.True), c.stmts(file, s.False)
		case *syntax.ForStmt:
			s.Body = c.stmts(file, s.Body)
		case *syntax.WhileStmt:
			s.Body = c.stmts(file, s.Body)
		}
		out = append(out, list[i])
	}
	return out
}

// isText reports whether a statement is nothing but a text, as docstrings are.
func isText(s syntax.Stmt) bool {
	x, ok := s.(*syntax.ExprStmt)
	if !ok {
		return false
	}
	lit, ok := x.X.(*syntax.Literal)
	return ok && lit.Token == syntax.STRING
}

func (c *Coverage) number(l lineOf) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.index[l]; ok {
		return n
	}
	n := len(c.lines)
	c.index[l] = n
	c.lines, c.hits = append(c.lines, l), append(c.hits, &atomic.Int64{})
	return n
}

// FileCoverage is what was executed of one file.
type FileCoverage struct {
	File  string
	Lines []LineCount // those that hold a statement, ascending
}

// LineCount is how often a line was executed.
type LineCount struct {
	Line int
	Hits int64
}

// Hit is how many of the lines were executed.
func (f FileCoverage) Hit() (n int) {
	for _, l := range f.Lines {
		if l.Hits > 0 {
			n++
		}
	}
	return n
}

// Missing lists the lines that were not executed, neighbours as a range: "3-5, 9". Lines that stand between two missing
// ones without a statement of their own do not break a range.
func (f FileCoverage) Missing() string {
	var parts []string
	for i := 0; i < len(f.Lines); i++ {
		if f.Lines[i].Hits > 0 {
			continue
		}
		j := i
		for j+1 < len(f.Lines) && f.Lines[j+1].Hits == 0 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(f.Lines[i].Line))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", f.Lines[i].Line, f.Lines[j].Line))
		}
		i = j
	}
	return strings.Join(parts, ", ")
}

// Files returns the counts by file, in the order of their paths.
func (c *Coverage) Files() []FileCoverage {
	c.mu.RLock()
	defer c.mu.RUnlock()
	byFile := map[string][]LineCount{}
	for i, l := range c.lines {
		byFile[l.file] = append(byFile[l.file], LineCount{l.line, c.hits[i].Load()})
	}
	var out []FileCoverage
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		lines := byFile[file]
		slices.SortFunc(lines, func(a, b LineCount) int { return a.Line - b.Line })
		out = append(out, FileCoverage{file, lines})
	}
	return out
}

// WriteLcov writes counts in the trace file format of lcov (geninfo(1), section FILES).
func WriteLcov(w io.Writer, files []FileCoverage) error {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "TN:\nSF:%s\n", f.File)
		for _, l := range f.Lines {
			fmt.Fprintf(&b, "DA:%d,%d\n", l.Line, l.Hits)
		}
		fmt.Fprintf(&b, "LF:%d\nLH:%d\nend_of_record\n", len(f.Lines), f.Hit())
	}
	_, err := io.WriteString(w, b.String())
	return err
}
