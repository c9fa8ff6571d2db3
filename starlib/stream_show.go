package starlib

import (
	"fmt"
	"io"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/mattn/go-runewidth"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// The width of what show() prints, in columns of a terminal.
const (
	showWidth = 120
	showCell  = 40
)

var streamShow = Declare(Func{
	Name: "stream.show", Returns: "None",
	Doc:     "Prints the first elements as a table, at most 120 columns wide. Only as much is read as is shown.",
	Example: `stream.of([{"name": "a", "n": 1}]).show()`,
}, func(p *Params) Impl {
	n := p.Int("n", "The most rows shown.").Default(20)
	return func(c *Call) (starlark.Value, error) {
		most := n.Get(c)
		if most < 1 || most > 10_000 {
			return nil, c.Errorf("for parameter n: got %d, want 1 to 10000", most)
		}
		var f feed
		if err := f.start(newExec(c.Run, c.Thread), thisStream(c).plan); err != nil {
			return nil, err
		}
		defer f.close()
		var elems []starlark.Value
		more := false
		for {
			v, err := f.next(1)
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			if int64(len(elems)) == most {
				more = true
				break
			}
			elems = append(elems, v)
		}
		if err := c.Run.Err(); err != nil {
			return nil, err
		}
		if c.Thread.Print != nil {
			c.Thread.Print(c.Thread, tableOf(elems, more))
		}
		return nil, nil
	}
})

// table lays out cells in aligned columns.
type table struct {
	names []string
	right []bool // numbers stand on the right
	cells [][]string
}

// tableOf prints elements as a table: rows and objects with their columns, other values in one.
func tableOf(elems []starlark.Value, more bool) string {
	if len(elems) == 0 {
		return "(no rows)"
	}
	var t table
	var hs headers
	index := map[string]int{}
	column := func(name string) int {
		i, ok := index[name]
		if !ok {
			i = len(t.names)
			index[name] = i
			t.names, t.right = append(t.names, name), append(t.right, true)
		}
		return i
	}
	for _, e := range elems {
		var line []string
		put := func(name string, v starlark.Value) {
			i := column(name)
			for len(line) <= i {
				line = append(line, "")
			}
			line[i] = showText(v)
			switch v.(type) {
			case starlark.Int, starlark.Float, starlark.NoneType:
			default:
				t.right[i] = false
			}
		}
		switch v := e.(type) {
		case *object:
			for _, name := range []string{"path", "size", "modified"} {
				x, _ := v.Attr(name) // these need no request
				put(name, x)
			}
		default:
			r, ok, err := hs.row(e)
			if !ok || err != nil {
				put("value", e)
				break
			}
			for i, name := range r.h.names {
				if x := r.cell(i); x != nil {
					put(name, x)
				}
			}
		}
		t.cells = append(t.cells, line)
	}
	out := t.String()
	if more {
		out += "\n(more rows follow)"
	}
	return out
}

// showText is a value on one line, cut, with nothing in it that could drive a terminal.
func showText(v starlark.Value) string {
	var s string
	switch v := v.(type) {
	case starlark.String:
		s = bound(string(v), 4*showCell)
	case startime.Time:
		s = v.String()
	default:
		s = briefText(v, 4*showCell)
	}
	return runewidth.Truncate(fault.Printable(s), showCell, "…")
}

// String lays the table out. Columns that do not fit are counted instead.
func (t *table) String() string {
	widths := make([]int, len(t.names))
	heads := make([]string, len(t.names))
	for i, n := range t.names {
		heads[i] = runewidth.Truncate(fault.Printable(n), showCell, "…")
		widths[i] = runewidth.StringWidth(heads[i])
	}
	for _, line := range t.cells {
		for i, s := range line {
			widths[i] = max(widths[i], runewidth.StringWidth(s))
		}
	}
	fit, width := 0, 0
	for fit < len(widths) && (fit == 0 || width+2+widths[fit] <= showWidth) {
		width += 2 + widths[fit]
		fit++
	}
	lines := make([]string, 0, len(t.cells)+1)
	for _, line := range append([][]string{heads}, t.cells...) {
		var b strings.Builder
		for i := range fit {
			s := ""
			if i < len(line) {
				s = line[i]
			}
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(s))
			if t.right[i] {
				s = pad + s
			} else {
				s += pad
			}
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	if hidden := len(t.names) - fit; hidden > 0 {
		lines = append(lines, fmt.Sprintf("(%s not shown: %s)", count(hidden, "column"), bound(strings.Join(printables(t.names[fit:]), ", "), showWidth-30)))
	}
	return strings.Join(lines, "\n")
}

func printables(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fault.Printable(n)
	}
	return out
}
