package format

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// csvFormat is RFC 4180 with a comma or a tab. Reading is strict where other readers guess:
//
//   - Lines end with LF or CRLF; a CR elsewhere outside of quotes is a bad row. A last line without an end counts, and
//     empty lines are skipped. A byte order mark at the start is skipped.
//   - A cell is quoted when its first byte is a quote; quotes inside are doubled, and it may hold separators and line
//     ends. A quote inside of an unquoted cell, and text after the closing quote, are bad rows. Such a row ends at the
//     next line end, quoted or not, so that one wild quote does not take the rest of the file with it.
//   - Every record has as many cells as the header, else it is a bad row. Names in the header are unique and not empty.
//   - Cells are strings, byte for byte: an empty cell is "", whether quoted or not, and NUL bytes and bytes that are not
//     UTF-8 are kept. In columns that Types reads as bool, int, float or time an empty or blank cell is null.
type csvFormat struct {
	name  string
	comma byte
}

func (f csvFormat) Name() string       { return f.name }
func (f csvFormat) Suffixes() []string { return []string{"." + f.name} }

func (f csvFormat) Open(_ context.Context, in Input, o ReadOptions) (rows.Source, error) {
	l := o.Limits.orDefault()
	l.RecordBytes = min(l.RecordBytes, cellMask/2)
	return &csvSource{window: window{r: in.Body, max: l.RecordBytes}, in: in, o: o, limits: l, comma: f.comma, line: 1}, nil
}

// prepare reads the header, or the first record's width, and settles which columns are read as what.
func (s *csvSource) prepare() error {
	if err := s.skipMark(); err != nil {
		return err
	}
	header := s.o.Header == nil || *s.o.Header
	for {
		s.cells = sized(s.cells, s.limits.Columns)
		s.starts = sized(s.starts, 1)
		s.width = s.limits.Columns
		next, err := s.scan(1, true)
		if err != nil {
			return err
		}
		if len(s.bad) > 0 {
			return s.badHeader(header)
		}
		if s.rows == 1 {
			break
		}
		s.advance(next)
		if err := s.stuck(); err == io.EOF {
			return s.emptyFile(header)
		} else if err != nil {
			return err
		}
	}
	end := s.next
	s.advance(int(s.starts[0])) // empty lines before it
	if !header {
		s.width = s.found
		return s.choose(s.given())
	}
	names, err := s.header()
	if err != nil {
		return err
	}
	s.advance(end)
	s.width = len(names)
	return s.choose(names, nil)
}

// badHeader reports a first record that is malformed. Nothing can be read without it, so it is not OnBad's to skip.
func (s *csvSource) badHeader(header bool) error {
	b := s.badRow(s.bad[0], 0)
	if header {
		b.Record = 0
	}
	return b
}

// emptyFile ends a file without a single record. Without a header there are no rows; a header that is asked for is missing.
func (s *csvSource) emptyFile(header bool) error {
	if header && s.o.Names == nil && (len(s.o.Columns) > 0 || len(s.o.Types) > 0) {
		return s.headerError("", "the file is empty and has no header", "")
	}
	s.stop = io.EOF
	return nil
}

// given returns the names of the columns of a file without a header.
func (s *csvSource) given() ([]string, error) {
	if s.o.Names != nil {
		if len(s.o.Names) != s.width {
			return nil, fault.New(fault.InvalidArgument, "%d names are given for %d columns", len(s.o.Names), s.width)
		}
		return s.o.Names, nil
	}
	names := make([]string, s.width)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	return names, nil
}

// header returns the names that the first record gives.
func (s *csvSource) header() ([]string, error) {
	names := make([]string, s.found)
	seen := make(map[string]int, len(names))
	s.width = s.found
	for i := range names {
		names[i] = s.cellText(0, i)
		if names[i] == "" {
			return nil, s.headerError("", fmt.Sprintf("column %d of the header has no name", i+1),
				"Name every column, or read with header=False.")
		}
		if j, ok := seen[names[i]]; ok {
			return nil, s.headerError(names[i], fmt.Sprintf("the header names columns %d and %d alike", j+1, i+1),
				"Rename one of the two columns, or read with header=False.")
		}
		seen[names[i]] = i
	}
	return names, nil
}

func (s *csvSource) headerError(column, reason, hint string) error {
	return &BadRow{Name: s.in.Name, Line: s.line, Column: column, Reason: reason, Hint: hint}
}

// choose settles the columns to read from all that the file has.
func (s *csvSource) choose(names []string, err error) error {
	if err != nil {
		return err
	}
	index := make(map[string]int, len(names))
	for i, n := range names {
		index[n] = i
	}
	if len(index) != len(names) {
		return fault.New(fault.InvalidArgument, "the names of the columns are not unique")
	}
	for n := range s.o.Types {
		if _, ok := index[n]; !ok {
			return unknownColumn(s.in.Name, n, names)
		}
	}
	want := s.o.Columns
	if want == nil {
		want = names
	}
	types := make([]rows.Type, len(want))
	seen := map[string]bool{}
	for i, n := range want {
		at, ok := index[n]
		if !ok {
			return unknownColumn(s.in.Name, n, names)
		}
		if seen[n] {
			return fault.New(fault.InvalidArgument, "column %q is asked for twice", n)
		}
		seen[n] = true
		types[i] = rows.String
		if t, ok := s.o.Types[n]; ok && t != rows.Any {
			types[i] = t
		}
		s.want = append(s.want, wanted{at: at, typ: types[i], typed: types[i] != rows.String && types[i] != rows.Bytes})
	}
	s.schema = rows.NewSchema(want, types)
	s.escaped = make([]bool, s.width)
	s.perBatch = max(1, min(rows.BatchSize, 1<<18/max(1, s.width)))
	s.cells = sized(s.cells, s.perBatch*s.width)
	s.starts = sized(s.starts, s.perBatch)
	return nil
}

func unknownColumn(file, name string, names []string) error {
	shown := names
	more := ""
	if len(shown) > 40 {
		shown, more = shown[:40], fmt.Sprintf(" and %d more", len(names)-40)
	}
	where := ""
	if file != "" {
		where = fault.Printable(file) + ": "
	}
	return fault.New(fault.InvalidArgument, "%sno column is named %q; there are %s%s", where, name, strings.Join(shown, ", "), more)
}

// skipMark skips a byte order mark, and refuses text of another encoding, which would only look like odd cells.
func (s *csvSource) skipMark() error {
	s.refill()
	n, err := mark(s.buf[s.pos:s.end])
	s.pos += n
	return err
}

func mark(head []byte) (int, error) {
	switch {
	case len(head) >= 3 && string(head[:3]) == string(bom):
		return 3, nil
	case len(head) >= 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff):
		return 0, fault.Hinted(fault.InvalidArgument, "Convert the file to UTF-8.", "the text is in UTF-16")
	}
	return 0, nil
}
