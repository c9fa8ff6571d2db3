package format

import (
	"bytes"
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// linesFormat is plain text: one string column named line, without the line ends LF or CRLF. Every line is a row, the
// empty ones too; a last line without an end counts. A byte order mark at the start is skipped.
type linesFormat struct{}

// lineColumn is the name of the only column.
const lineColumn = "line"

func (linesFormat) Name() string       { return "lines" }
func (linesFormat) Suffixes() []string { return []string{".txt", ".log"} }

func (linesFormat) Open(_ context.Context, in Input, o ReadOptions) (rows.Source, error) {
	for _, n := range o.Columns {
		if n != lineColumn {
			return nil, unknownColumn(in.Name, n, []string{lineColumn})
		}
	}
	for n, t := range o.Types {
		if n != lineColumn {
			return nil, unknownColumn(in.Name, n, []string{lineColumn})
		}
		if t != rows.String && t != rows.Any {
			return nil, fault.New(fault.InvalidArgument, "lines are strings and cannot be read as %s", t)
		}
	}
	l := o.Limits.orDefault()
	return &linesSource{window: window{r: in.Body, max: l.RecordBytes}, name: in.Name,
		schema: rows.NewSchema([]string{lineColumn}, []rows.Type{rows.String})}, nil
}

type linesSource struct {
	window
	name   string
	schema *rows.Schema
	line   int64 // lines handed out
	stop   error
	size   int // of the last batch's text
}

func (s *linesSource) Close() error {
	s.stop = fault.New(fault.FailedPrecondition, "the source is closed")
	s.buf, s.pos, s.end = nil, 0, 0
	return nil
}

func (s *linesSource) Next(ctx context.Context) (*rows.Batch, error) {
	if s.stop != nil {
		return nil, s.stop
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text := make([]byte, 0, s.size+s.size/8)
	offs := make([]uint32, 1, rows.BatchSize+1)
	for len(offs) <= rows.BatchSize && len(text) < rawBatch {
		start, end, err := s.nextLine()
		if err != nil {
			s.stop = longLine(err, s.name, s.line+int64(len(offs)), s.max)
			break
		}
		if s.line == 0 && len(offs) == 1 {
			n, err := mark(s.buf[start:end])
			if err != nil {
				s.stop = err
				break
			}
			if start += n; start == end && s.closed && s.pos == s.end { // a mark alone is no line
				continue
			}
		}
		text = append(text, bytes.TrimSuffix(s.buf[start:end], []byte{'\r'})...)
		offs = append(offs, uint32(len(text)))
	}
	n := len(offs) - 1
	if n == 0 {
		return nil, s.stop
	}
	s.size = len(text)
	b := &rows.Batch{Schema: s.schema, N: n, First: s.line,
		Cols: []rows.Column{{Type: rows.String, Text: rows.Text(text), Offs: offs}}}
	s.line += int64(n)
	return b, nil
}

func (linesFormat) Create(w io.Writer, o WriteOptions) (Writer, error) {
	if len(o.Columns) > 1 {
		return nil, fault.New(fault.InvalidArgument, "lines have one column, not %d", len(o.Columns))
	}
	return &linesWriter{w: w, o: o}, nil
}

// linesWriter writes the only column of its batches, or the one that WriteOptions name; a null is an empty line.
type linesWriter struct {
	w   io.Writer
	o   WriteOptions
	buf []byte
	n   int64
	err error
}

func (w *linesWriter) Write(b *rows.Batch) error {
	if w.err != nil {
		return w.err
	}
	at := 0
	if len(w.o.Columns) == 1 {
		if at = b.Schema.Index(w.o.Columns[0]); at < 0 {
			return w.fail(unknownColumn("", w.o.Columns[0], b.Schema.Names))
		}
	} else if len(b.Cols) != 1 {
		return w.fail(fault.Hinted(fault.InvalidArgument, "Select one column, or write csv or jsonl.",
			"lines have one column, and the rows have %d", len(b.Cols)))
	}
	w.buf = w.buf[:0]
	for i := range b.N {
		w.n++
		s, ok := rows.FormatText(b.Cols[at].Value(i))
		if !ok && !b.Cols[at].IsNull(i) {
			return w.fail(fault.New(fault.InvalidArgument, "row %d: a %s cannot be a line of text", w.n, rows.KindOf(b.Cols[at].Value(i))))
		}
		if bytes.IndexByte([]byte(s), '\n') >= 0 || len(s) > 0 && s[len(s)-1] == '\r' {
			return w.fail(fault.Hinted(fault.InvalidArgument, "Write csv or jsonl, which keep line ends inside of values.",
				"row %d: the text holds a line end: %.80q", w.n, s))
		}
		w.buf = append(append(w.buf, s...), '\n')
	}
	_, err := w.w.Write(w.buf)
	return w.fail(err)
}

func (w *linesWriter) fail(err error) error {
	w.err = err
	return err
}

func (w *linesWriter) Close() error {
	err := w.err
	w.err = errClosed
	return err
}
