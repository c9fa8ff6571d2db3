package format

import (
	"context"
	"errors"
	"fmt"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format/jsontext"
	"github.com/dsrun/dsrun/engine/rows"
)

// jsonlFormat is one JSON object a line.
//
//   - The columns of a batch are the union of its records' fields, in order of first appearance; a record that lacks a
//     field has an absent cell there, which is not null. Values of one type make a typed column, of several an Any
//     column; integers beyond 64 bits are *big.Int, lists []any, nested objects *rows.Object in the order of the text.
//   - A line that is no object, or that package jsontext refuses (a field twice, text that is not UTF-8, half of a
//     surrogate pair, a number beyond float64), is a bad row. Empty lines and a byte order mark are skipped.
//   - Types converts as rows.Convert does. With Columns every batch has exactly these, and the values of other fields
//     are checked but not kept.
//   - A record that is too long, too deep or too large is limit, and ends the read.
type jsonlFormat struct{}

func (jsonlFormat) Name() string       { return "jsonl" }
func (jsonlFormat) Suffixes() []string { return []string{".jsonl", ".ndjson"} }

func (jsonlFormat) Open(_ context.Context, in Input, o ReadOptions) (rows.Source, error) {
	l := o.Limits.orDefault()
	s := &jsonlSource{window: window{r: in.Body, max: l.RecordBytes}, in: in, o: o, limits: l, build: rows.NewBuilder(nil)}
	s.p.Limits = jsontext.Limits{Bytes: int(l.RecordBytes), Depth: min(l.Depth, jsontext.MaxDepth), Values: l.Values}
	for n, t := range o.Types {
		s.build.Declare(n, t)
	}
	if o.Columns != nil {
		s.only = map[string]bool{}
		for _, n := range o.Columns {
			if s.only[n] {
				return nil, fault.New(fault.InvalidArgument, "column %q is asked for twice", n)
			}
			s.only[n] = true
		}
	}
	return s, nil
}

const (
	// rawBatch is how much text makes a batch, when its rows are long. Nested values are some ten times larger.
	rawBatch = 2 << 20
	// cellBatch is how many cells make a batch, when its rows are wide or all different.
	cellBatch = 1 << 18
)

type jsonlSource struct {
	in     Input
	o      ReadOptions
	limits Limits
	only   map[string]bool // nil: all

	window
	p      jsontext.Parser
	build  *rows.Builder
	line   int64 // lines before pos
	record int64 // records before pos
	stop   error // what ends the source, after the rows before it
}

func (s *jsonlSource) Close() error {
	s.stop = fault.New(fault.FailedPrecondition, "the source is closed")
	s.buf, s.pos, s.end = nil, 0, 0
	return nil
}

func (s *jsonlSource) Next(ctx context.Context) (*rows.Batch, error) {
	for s.stop == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, n := range s.o.Columns {
			s.build.Index(n)
		}
		for raw := 0; s.stop == nil && raw < rawBatch && !s.full(); {
			var n int
			n, s.stop = s.readLine()
			raw += n
		}
		if b := s.build.Batch(); b != nil {
			return b, nil
		}
	}
	return nil, s.stop
}

func (s *jsonlSource) full() bool {
	n := s.build.Len()
	return n >= rows.BatchSize || n*s.build.Width() >= cellBatch
}

// readLine reads one line into the builder and returns its length. An error ends the source.
func (s *jsonlSource) readLine() (int, error) {
	start, end, err := s.nextLine()
	if err != nil {
		return 0, longLine(err, s.in.Name, s.line+1, s.max)
	}
	if s.line++; s.line == 1 {
		n, err := mark(s.buf[start:end])
		if err != nil {
			return 0, err
		}
		start += n
	}
	s.p.Reset(s.buf[:s.end+slack], start, end)
	if s.p.Space() == 0 && s.p.Pos == end {
		return end - start + 1, nil // an empty line
	}
	s.record++
	if column, err := s.object(); err != nil {
		s.build.DropRow()
		return end - start, s.refuse(err, column, s.buf[start:end])
	}
	s.build.EndRow()
	return end - start, nil
}

// refuse turns the error of a record into what ends the read: a limit, or what OnBad makes of a bad row.
func (s *jsonlSource) refuse(err error, column string, text []byte) error {
	var e *jsontext.Error
	var f *fault.Error
	bad := &BadRow{Name: s.in.Name, Line: s.line, Record: s.record, Column: column, Text: cut(text), Reason: err.Error()}
	switch {
	case errors.As(err, &e):
		bad.Reason = fmt.Sprintf("%s (character %d)", e.Reason, e.Col)
		if at := e.Offset - (s.p.End - len(text)); at > maxBadText/2 && at <= len(text) {
			bad.Text = cut(text[at-maxBadText/2:]) // show the trouble, not only the beginning
		}
		bad.Hint = "Correct the line, or pass on_bad=\"skip\" to leave such lines out."
	case errors.As(err, &f) && f.Class.Code == fault.Limit:
		return limitError(f.Class.Hint, "%s: %w", linePlace(s.in.Name, s.line), f.Err)
	default:
		bad.Hint = "Correct the value, leave the column out of types, or pass on_bad=\"skip\"."
	}
	if s.o.OnBad == nil {
		return bad
	}
	return s.o.OnBad(bad)
}

// object reads the record at the parser's position into the builder.
func (s *jsonlSource) object() (column string, err error) {
	p := &s.p
	if p.Data[p.Pos] != '{' {
		return "", p.Fail(p.Pos, "the line is not an object")
	}
	p.Pos++
	if p.Space() == '}' {
		p.Pos++
		return "", s.lineEnd()
	}
	for field := 0; ; field++ {
		at := p.Pos
		key, err := p.Key()
		if err != nil {
			return "", err
		}
		if field == s.limits.Columns {
			return "", limitError("Nest the fields in an object, or raise the limit on columns.", "the record has more than %d fields", s.limits.Columns)
		}
		if s.only != nil && !s.only[string(key)] {
			if err = p.Skip(); err != nil {
				return "", err
			}
		} else {
			i := s.build.IndexBytes(key, field)
			c := s.build.Column(i)
			if c.Len() > s.build.Len() {
				return "", p.Fail(at, fmt.Sprintf("the object has the field %q twice", key))
			}
			if err = s.cell(c); err != nil {
				var e *jsontext.Error
				if errors.As(err, &e) || fault.Is(err, fault.Limit) {
					return "", err
				}
				return s.build.Name(i), err
			}
		}
		more, err := p.More()
		if err != nil {
			return "", err
		}
		if !more {
			return "", s.lineEnd()
		}
	}
}

func (s *jsonlSource) lineEnd() error {
	if s.p.Space(); s.p.Pos < s.p.End {
		return s.p.Fail(s.p.Pos, "text stands behind the object")
	}
	return nil
}

// cell reads one value into c.
func (s *jsonlSource) cell(c *rows.ColumnBuilder) error {
	p := &s.p
	t, declared := c.Declared()
	if p.Pos < p.End && (!declared || t == rows.String) && p.Data[p.Pos] == '"' {
		text, err := p.Text()
		if err == nil {
			c.AppendText(text)
		}
		return err
	}
	if declared {
		v, err := p.Value()
		if err != nil {
			return err
		}
		if v, err = rows.Convert(v, t); err != nil {
			return err
		}
		return c.Append(v)
	}
	if p.Pos < p.End && (p.Data[p.Pos] == '-' || p.Data[p.Pos]-'0' <= 9) {
		n, err := p.Number()
		switch {
		case err != nil:
			return err
		case n.Type == rows.Int:
			c.AppendInt(n.Int)
		case n.Type == rows.Float:
			c.AppendFloat(n.Float)
		default:
			c.AppendAny(n.Big)
		}
		return nil
	}
	v, err := p.Value()
	if err != nil {
		return err
	}
	return c.Append(v)
}
