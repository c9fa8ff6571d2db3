package format

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format/jsontext"
	"github.com/dsrun/dsrun/engine/rows"
)

func (f csvFormat) Create(w io.Writer, o WriteOptions) (Writer, error) {
	return &csvWriter{w: w, o: o, comma: f.comma}, nil
}

// csvWriter writes a header once and then the records. Lines end with LF. Cells are quoted only where reading needs it:
// separators, quotes, line ends, and the empty cell of a single column, which would be an empty line. Null and absent
// cells are empty; lists and objects are written as JSON. Every batch has the columns of the first, in any order.
type csvWriter struct {
	w     io.Writer
	o     WriteOptions
	comma byte
	buf   []byte
	rows  int64
	err   error

	names  []string
	schema *rows.Schema
	cols   []int
}

func (w *csvWriter) Write(b *rows.Batch) error {
	if w.err == nil {
		w.err = w.write(b)
	}
	return w.err
}

func (w *csvWriter) write(b *rows.Batch) error {
	w.buf = w.buf[:0]
	if err := w.prepare(b.Schema); err != nil {
		return err
	}
	for i := range b.N {
		w.rows++
		start := len(w.buf)
		for k, c := range w.cols {
			if k > 0 {
				w.buf = append(w.buf, w.comma)
			}
			if c < 0 || b.Cols[c].IsNull(i) {
				continue
			}
			var err error
			if w.buf, err = w.cell(w.buf, &b.Cols[c], i); err != nil {
				class := fault.ClassOf(err)
				return fault.Hinted(class.Code, class.Hint, "row %d: column %q: %w", w.rows, b.Schema.Names[c], causeOf(err))
			}
		}
		if len(w.buf) == start {
			w.buf = append(w.buf, '"', '"')
		}
		w.buf = append(w.buf, '\n')
		if len(w.buf) >= rawBatch {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

func (w *csvWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// prepare writes the header before the first batch and compares the columns of later ones with it.
func (w *csvWriter) prepare(s *rows.Schema) error {
	if w.schema == s {
		return nil
	}
	if w.names == nil {
		w.names = w.o.Columns
		if w.names == nil {
			w.names = slices.Clone(s.Names)
		}
		if len(w.names) == 0 {
			return fault.New(fault.InvalidArgument, "the rows have no columns")
		}
		w.header()
	}
	w.schema, w.cols = s, w.cols[:0]
	for _, n := range w.names {
		c := s.Index(n)
		if c < 0 && !s.Open {
			return unknownColumn("", n, s.Names)
		}
		w.cols = append(w.cols, c)
	}
	if w.o.Columns == nil {
		for _, n := range s.Names {
			if !slices.Contains(w.names, n) {
				return fault.Hinted(fault.InvalidArgument, "Select the columns to write, or write jsonl, whose records may differ.",
					"row %d: column %q is not in the header that was written", w.rows+1, n)
			}
		}
	}
	return nil
}

func (w *csvWriter) header() {
	if w.o.Header != nil && !*w.o.Header {
		return
	}
	for i, n := range w.names {
		if i > 0 {
			w.buf = append(w.buf, w.comma)
		}
		w.buf = w.text(w.buf, n)
	}
	if len(w.buf) == 0 {
		w.buf = append(w.buf, '"', '"')
	}
	w.buf = append(w.buf, '\n')
}

func (w *csvWriter) cell(dst []byte, c *rows.Column, i int) ([]byte, error) {
	switch c.Type {
	case rows.String, rows.Bytes:
		return w.text(dst, c.Str(i)), nil
	case rows.Int:
		return strconv.AppendInt(dst, c.Ints[i], 10), nil
	case rows.Float:
		return rows.AppendFloat(dst, c.Floats[i]), nil
	case rows.Bool:
		return strconv.AppendBool(dst, c.Bools[i]), nil
	case rows.Time:
		return c.Times[i].AppendFormat(dst, time.RFC3339Nano), nil
	}
	v := c.Any[i]
	if s, ok := rows.FormatText(v); ok {
		return w.text(dst, s), nil
	}
	j, err := jsontext.Encode(v)
	if err != nil {
		return dst, err
	}
	return w.text(dst, string(j)), nil
}

// text appends a cell, quoted if it must be.
func (w *csvWriter) text(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c == w.comma || c == '"' || c == '\n' || c == '\r' {
			return quoted(dst, s)
		}
	}
	if len(dst) == 0 && strings.HasPrefix(s, string(bom)) { // at the start of the file it would be taken for a mark
		return quoted(dst, s)
	}
	return append(dst, s...)
}

func quoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// Close completes the file. Rows without a single batch leave only the header, when the columns are known.
func (w *csvWriter) Close() error {
	err := w.err
	if err == nil && w.names == nil && w.o.Columns != nil {
		w.buf, w.names = w.buf[:0], w.o.Columns
		w.header()
		err = w.flush()
	}
	w.err = errClosed
	return err
}
