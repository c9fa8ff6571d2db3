package format

import (
	"io"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/format/jsontext"
	"github.com/dsrun/dsrun/engine/rows"
)

func (jsonlFormat) Create(w io.Writer, o WriteOptions) (Writer, error) {
	return &jsonlWriter{w: w, o: o}, nil
}

// jsonlWriter writes one object a line, its fields in the order of the columns. Absent fields are left out, nulls are
// written; values are written as jsontext.Append does.
type jsonlWriter struct {
	w    io.Writer
	o    WriteOptions
	buf  []byte
	rows int64
	err  error

	schema *rows.Schema // that cols and keys are for
	cols   []int        // -1: the batch lacks it
	keys   [][]byte     // `"name":`
}

func (w *jsonlWriter) Write(b *rows.Batch) error {
	if w.err == nil {
		w.err = w.write(b)
	}
	return w.err
}

func (w *jsonlWriter) write(b *rows.Batch) error {
	if err := w.prepare(b.Schema); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	for i := range b.N {
		w.rows++
		w.buf = append(w.buf, '{')
		empty := true
		for k, c := range w.cols {
			if c < 0 || b.Cols[c].Absent.Has(i) {
				continue
			}
			if !empty {
				w.buf = append(w.buf, ',')
			}
			empty = false
			w.buf = append(w.buf, w.keys[k]...)
			var err error
			if w.buf, err = appendJSON(w.buf, &b.Cols[c], i); err != nil {
				class := fault.ClassOf(err)
				return fault.Hinted(class.Code, class.Hint, "row %d: column %q: %w", w.rows, b.Schema.Names[c], causeOf(err))
			}
		}
		w.buf = append(w.buf, '}', '\n')
		if len(w.buf) >= rawBatch {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

func (w *jsonlWriter) flush() error {
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// prepare looks the columns of a schema up.
func (w *jsonlWriter) prepare(s *rows.Schema) error {
	if w.schema == s {
		return nil
	}
	names := w.o.Columns
	if names == nil {
		names = s.Names
	}
	w.schema, w.cols, w.keys = s, w.cols[:0], w.keys[:0]
	for _, n := range names {
		c := s.Index(n)
		if c < 0 && !s.Open {
			return unknownColumn("", n, s.Names)
		}
		key, err := jsontext.AppendString(nil, n)
		if err != nil {
			return fault.New(fault.InvalidArgument, "the name of column %q is not UTF-8", n)
		}
		w.cols = append(w.cols, c)
		w.keys = append(w.keys, append(key, ':'))
	}
	return nil
}

func (w *jsonlWriter) Close() error {
	err := w.err
	w.err = errClosed
	return err
}

// appendJSON appends cell i of a column as JSON.
func appendJSON(dst []byte, c *rows.Column, i int) ([]byte, error) {
	if c.Null.Has(i) {
		return append(dst, "null"...), nil
	}
	switch c.Type {
	case rows.Int:
		return strconv.AppendInt(dst, c.Ints[i], 10), nil
	case rows.Float:
		return jsontext.AppendFloat(dst, c.Floats[i])
	case rows.String:
		return jsontext.AppendString(dst, c.Str(i))
	case rows.Bool:
		return strconv.AppendBool(dst, c.Bools[i]), nil
	case rows.Time:
		return jsontext.AppendTime(dst, c.Times[i]), nil
	}
	return jsontext.Append(dst, c.Value(i))
}

// causeOf strips the classification off an error that is about to be classified again.
func causeOf(err error) error {
	if f, ok := err.(*fault.Error); ok && f.Err != nil {
		return f.Err
	}
	return err
}
