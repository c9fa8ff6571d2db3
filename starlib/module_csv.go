package starlib

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

var csvModule = NewModule("csv", "Small texts of comma-separated values. Objects are read as rows with ds.NAME.read.", nil,
	Declare(Func{Name: "csv.parse", Doc: "The records of a text: dicts by the names of the first record, or lists without a header. Cells are strings.", Returns: "list[dict] or list[list]", Example: `
csv.parse("a,b\n1,\"x,y\"\n")  # -> [{"a": "1", "b": "x,y"}]
csv.parse("1;2", sep = ";", header = False)  # -> [["1", "2"]]
`}, func(p *Params) Impl {
		text := p.String("text", "The text.")
		sep := p.String("sep", "What stands between the cells, one character.").Default(",")
		header := p.Bool("header", "The first record holds the names.").Default(true)
		return func(c *Call) (starlark.Value, error) {
			s := text.Get(c)
			comma, err := separator(c, sep.Get(c))
			if err != nil {
				return nil, err
			}
			cells := int64(strings.Count(s, string(comma)) + strings.Count(s, "\n") + 1)
			if err := c.Run.Charge(int64(len(s)) + cells*64); err != nil {
				return nil, err
			}
			r := csv.NewReader(strings.NewReader(s))
			r.Comma, r.FieldsPerRecord = comma, -1
			var names []string
			if header.Get(c) {
				if names, err = r.Read(); err == io.EOF {
					return starlark.NewList(nil), nil
				} else if err != nil {
					return nil, c.csvError(err)
				}
			}
			var out []starlark.Value
			for {
				rec, err := r.Read()
				if err == io.EOF {
					return starlark.NewList(out), nil
				}
				if err != nil {
					return nil, c.csvError(err)
				}
				if names == nil {
					cells := make([]starlark.Value, len(rec))
					for i, cell := range rec {
						cells[i] = starlark.String(cell)
					}
					out = append(out, starlark.NewList(cells))
					continue
				}
				line, _ := r.FieldPos(0)
				if len(rec) != len(names) {
					return nil, c.Errorf("line %d: got %s, want %d", line, count(len(rec), "cell"), len(names))
				}
				if err := c.Run.Charge(int64(len(rec)) * 96); err != nil {
					return nil, err
				}
				d := starlark.NewDict(len(rec))
				for i, cell := range rec {
					_ = d.SetKey(starlark.String(names[i]), starlark.String(cell)) // a new dict takes string keys
				}
				if d.Len() != len(names) {
					return nil, c.Errorf("line 1: a name stands twice in the header")
				}
				out = append(out, d)
			}
		}
	}),
	Declare(Func{Name: "csv.format", Doc: "Records as text: dicts get a header line of the first one's keys, lists get none. None is an empty cell.", Returns: "string", Example: `
csv.format([{"a": 1, "b": "x,y"}])  # -> "a,b\n1,\"x,y\"\n"
csv.format([[1, 2], [3, None]])  # -> "1,2\n3,\n"
`}, func(p *Params) Impl {
		rows := p.Iterable("rows", "The records, dicts or lists.")
		sep := p.String("sep", "What stands between the cells, one character.").Default(",")
		columns := p.Strings("columns", "The columns of dicts, in order.").Optional()
		return func(c *Call) (starlark.Value, error) {
			comma, err := separator(c, sep.Get(c))
			if err != nil {
				return nil, err
			}
			b := builder{run: c.Run}
			w := csv.NewWriter(&b)
			w.Comma = comma
			names := columns.Get(c)
			n := 0
			write := func(rec []string) error {
				if len(rec) == 1 && rec[0] == "" { // an empty line would be skipped by whoever reads it
					w.Flush()
					return b.write("\"\"\n")
				}
				return w.Write(rec)
			}
			err = Each(c.Thread, rows.Get(c), func(v starlark.Value) error {
				n++
				var rec []string
				switch v := v.(type) {
				case starlark.IterableMapping:
					if n == 1 {
						if names == nil {
							for _, kv := range v.Items() {
								k, err := valueText(c.Run, kv[0])
								if err != nil {
									return err
								}
								names = append(names, k)
							}
						}
						if err := write(names); err != nil {
							return err
						}
					}
					for _, name := range names {
						cell, found, err := v.Get(starlark.String(name))
						if err != nil {
							return err
						}
						if !found {
							cell = starlark.None
						}
						s, err := cellText(c.Run, cell)
						if err != nil {
							return err
						}
						rec = append(rec, s)
					}
				case starlark.Indexable:
					for i := range v.Len() {
						s, err := cellText(c.Run, v.Index(i))
						if err != nil {
							return err
						}
						rec = append(rec, s)
					}
				default:
					return c.Errorf("record %d: got %s, want dict or list", n, v.Type())
				}
				return write(rec)
			})
			if err != nil {
				return nil, err
			}
			w.Flush()
			return starlark.String(b.String()), w.Error()
		}
	}),
)

func cellText(r *Run, v starlark.Value) (string, error) {
	if v == starlark.None {
		return "", nil
	}
	return valueText(r, v)
}

func separator(c *Call, s string) (rune, error) {
	r, n := utf8.DecodeRuneInString(s)
	if n != len(s) || n == 0 || r == '"' || r == '\r' || r == '\n' || r == utf8.RuneError {
		return 0, c.Errorf("for parameter sep: want one character that is no quote and no line end")
	}
	return r, nil
}

// csvError words a parse error with its line.
func (c *Call) csvError(err error) error {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return c.Errorf("line %d: %w", e.Line, e.Err)
	}
	return c.Errorf("%w", err)
}
