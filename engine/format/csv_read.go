package format

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/rows"
)

// csvSource reads one file. A batch is made from the complete records in the buffer: scan finds the cells, convert reads
// the typed columns, gather copies each other column's text in one go.
type csvSource struct {
	in     Input
	o      ReadOptions
	limits Limits
	comma  byte

	window
	line   int64 // of buf[pos], from 1
	record int64 // records before pos
	first  int64 // rows handed out

	ready    bool
	width    int // cells a record
	schema   *rows.Schema
	want     []wanted
	perBatch int
	stop     error // what ends the source, after the rows before it

	// What scan found.
	rows    int
	found   int // cells of the first record
	next    int
	starts  []uint32
	cells   []uint32
	bad     []badCell
	escaped []bool // columns that have a doubled quote somewhere
	open    bool   // the last record stops inside of quotes
}

// wanted is a column to read.
type wanted struct {
	at    int // in the file
	typ   rows.Type
	typed bool // converted, not copied
}

func (s *csvSource) Close() error {
	s.stop = fault.New(fault.FailedPrecondition, "the source is closed")
	s.buf, s.cells, s.starts = nil, nil, nil
	return nil
}

func (s *csvSource) Next(ctx context.Context) (*rows.Batch, error) {
	if s.stop == nil && !s.ready {
		s.stop = s.prepare()
		s.ready = true
	}
	for s.stop == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.end-s.pos < chunkBytes/2 {
			s.refill()
		}
		next, err := s.scan(s.perBatch, false)
		if err != nil {
			s.stop = err
			break
		}
		if s.rows == 0 && len(s.bad) == 0 {
			s.advance(next)
			s.stop = s.stuck()
			continue
		}
		batch, err := s.batch()
		s.record += int64(s.rows + len(s.bad))
		s.advance(next)
		s.stop = err
		if batch != nil {
			return batch, nil
		}
	}
	return nil, s.stop
}

func (s *csvSource) advance(next int) {
	s.line += int64(countLines(s.buf[s.pos:next]))
	s.pos = next
}

// stuck deals with a buffer that holds no complete record: the input ends, or more of it is needed.
func (s *csvSource) stuck() error {
	switch {
	case s.err != nil:
		return s.err
	case s.eof && s.pos == s.end:
		return io.EOF
	case s.eof:
		return s.unclosed()
	case int64(s.end-s.pos) > s.limits.RecordBytes:
		return s.tooLong(s.pos)
	}
	s.refill()
	return nil
}

func (s *csvSource) tooLong(at int) error {
	what := ""
	if s.open {
		what = "; a quote in it is not closed"
	}
	return limitError("Look for a missing line end or quote, or raise the limit on the bytes of a record.",
		"%s: the record is longer than %d bytes%s", s.place(at), s.limits.RecordBytes, what)
}

// unclosed reports the record whose quote is open at the end of the file. There is nothing behind it to go on with.
func (s *csvSource) unclosed() error {
	s.bad = append(s.bad[:0], badCell{start: s.pos, end: s.textEnd(s.end), at: s.pos, col: -1,
		reason: fmt.Sprintf("a quote is not closed until the end of the file, %d lines on", countLines(s.buf[s.pos:s.end])),
		hint:   "Close the quote; if the file was cut, fetch it again."})
	if !s.ready {
		return s.badHeader(s.o.Header == nil || *s.o.Header)
	}
	err := s.report(s.badRow(s.bad[0], 0))
	s.advance(s.end)
	return err
}

// textEnd cuts the line end that closeLine added.
func (s *csvSource) textEnd(end int) int {
	if s.closed && end == s.end {
		end--
	}
	return end
}

func (s *csvSource) place(at int) string {
	return linePlace(s.in.Name, s.line+int64(countLines(s.buf[s.pos:at])))
}

// badRow describes b, which order records of this batch precede.
func (s *csvSource) badRow(b badCell, order int) *BadRow {
	text := s.buf[b.start:b.end]
	out := &BadRow{Name: s.in.Name, Line: s.line + int64(countLines(s.buf[s.pos:b.start])), Record: s.record + int64(order) + 1,
		Reason: b.reason, Hint: b.hint}
	if b.col >= 0 {
		out.Column = s.schema.Names[b.col]
	}
	if b.col < 0 && b.at-b.start > maxBadText/2 { // show the trouble, not only the beginning
		text = s.buf[b.at-maxBadText/2 : b.end]
	}
	out.Text = cut(bytes.TrimSuffix(text, []byte{'\r'}))
	return out
}

func (s *csvSource) report(b *BadRow) error {
	if s.o.OnBad == nil {
		return b
	}
	return s.o.OnBad(b)
}

func widthReason(got, want int) string {
	cells := "cells"
	if got == 1 {
		cells = "cell"
	}
	return fmt.Sprintf("the record has %d %s, not %d", got, cells, want)
}

// batch makes a batch of the rows that scan found and reports the bad ones, in the order of the file. When a report
// ends the read, the batch holds the rows before it.
func (s *csvSource) batch() (*rows.Batch, error) {
	cols := make([]rows.Column, len(s.want))
	n := s.rows
	bad := s.convert(cols, n)
	var stop error
	if len(bad) > 0 || len(s.bad) > 0 {
		n, stop = s.reportAll(bad)
		if n < s.rows {
			s.convert(cols, n)
		}
	}
	if n == 0 {
		return nil, stop
	}
	for i, w := range s.want {
		if !w.typed {
			s.gather(&cols[i], w, n)
		}
	}
	b := &rows.Batch{Schema: s.schema, N: n, Cols: cols, First: s.first}
	s.first += int64(n)
	return b, stop
}

// reportAll reports bad cells and bad records in order and takes the rows of bad cells out. It returns how many rows
// remain, and the error that ends the read.
func (s *csvSource) reportAll(cells []badCell) (int, error) {
	drop := rows.Bits{}
	all := slices.Clone(s.bad)
	for _, c := range cells {
		if !drop.Has(c.row) {
			drop = drop.Set(c.row)
			all = append(all, c)
		}
	}
	before := 0
	for i := range all { // structural first: they come in order; a cell's order counts those before its row
		if all[i].col >= 0 {
			before, _ = slices.BinarySearchFunc(s.bad, all[i].row+1, func(b badCell, row int) int { return b.row - row })
			all[i].order = all[i].row + before
		}
	}
	slices.SortFunc(all, func(a, b badCell) int { return a.order - b.order })
	last, stop := s.rows, error(nil)
	for _, b := range all {
		if stop = s.report(s.badRow(b, b.order)); stop != nil {
			last = b.row
			break
		}
	}
	n := 0
	for r := range last {
		if drop.Has(r) {
			continue
		}
		if n < r {
			s.starts[n] = s.starts[r]
			copy(s.cells[n*s.width:(n+1)*s.width], s.cells[r*s.width:(r+1)*s.width])
		}
		n++
	}
	return n, stop
}

// bounds returns where the text of a cell starts and ends, without its quotes, and its flags.
func (s *csvSource) bounds(row, at int) (start, end int, flags uint32) {
	k := row*s.width + at
	c := s.cells[k]
	start, end = int(s.starts[row]), int(c&cellMask)
	if at > 0 {
		start = int(s.cells[k-1]&cellMask) + 1
	}
	if c&cellQuoted != 0 {
		start, end = start+1, end-1
	}
	return start, end, c
}

// cellText returns a copy of a cell.
func (s *csvSource) cellText(row, at int) string {
	start, end, flags := s.bounds(row, at)
	return string(appendCell(nil, s.buf[start:end], flags))
}

// appendCell appends the text of a cell, undoubling its quotes.
func appendCell(dst, text []byte, flags uint32) []byte {
	if flags&cellEscaped == 0 {
		return append(dst, text...)
	}
	for {
		i := bytes.IndexByte(text, '"')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i+1]...)
		text = text[i+2:]
	}
}

// gather copies the text of one column.
func (s *csvSource) gather(col *rows.Column, w wanted, n int) {
	col.Type = w.typ
	offs := make([]uint32, n+1)
	if s.escaped[w.at] {
		var text []byte
		for r := range n {
			start, end, flags := s.bounds(r, w.at)
			text = appendCell(text, s.buf[start:end], flags)
			offs[r+1] = uint32(len(text))
		}
		col.Text, col.Offs = rows.Text(text), offs
		return
	}
	total := 0
	for r := range n {
		start, end, _ := s.bounds(r, w.at)
		total += end - start
		offs[r+1] = uint32(total)
	}
	text, buf := make([]byte, total+slack), s.buf
	cells, starts, width, at := s.cells, s.starts, s.width, w.at
	for r, k := 0, at; r < n; r, k = r+1, k+width {
		var start int
		if at > 0 {
			start = int(cells[k-1]&cellMask) + 1
		} else {
			start = int(starts[r])
		}
		start += int(cells[k] >> 31) // the opening quote
		to, size := int(offs[r]), int(offs[r+1]-offs[r])
		// Most cells are short: two words, which may carry bytes of the neighbours that the next cell overwrites, cost
		// less than a call of memmove.
		if size <= slack {
			src, dst := buf[start:start+slack], text[to:to+slack]
			a, b := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
			binary.LittleEndian.PutUint64(dst, a)
			binary.LittleEndian.PutUint64(dst[8:], b)
			continue
		}
		copy(text[to:], buf[start:start+size])
	}
	col.Text, col.Offs = rows.Text(text[:total]), offs
}

// convert reads the typed columns of the first n rows and returns the first bad cell of each column's rows.
func (s *csvSource) convert(cols []rows.Column, n int) []badCell {
	var bad []badCell
	var scratch []byte
	for i, w := range s.want {
		if !w.typed {
			continue
		}
		col := rows.Column{Type: w.typ}
		switch w.typ {
		case rows.Int:
			col.Ints = make([]int64, n)
		case rows.Float:
			col.Floats = make([]float64, n)
		case rows.Bool:
			col.Bools = make([]bool, n)
		case rows.Time:
			col.Times = make([]time.Time, n)
		}
		for r := range n {
			start, end, flags := s.bounds(r, w.at)
			text := s.buf[start:end]
			if flags&cellEscaped != 0 {
				scratch = appendCell(scratch[:0], text, flags)
				text = scratch
			}
			if len(rows.Trim(text)) == 0 {
				col.Null = col.Null.Set(r)
				continue
			}
			var err error
			switch w.typ {
			case rows.Int:
				col.Ints[r], err = rows.ParseInt(text)
			case rows.Float:
				col.Floats[r], err = rows.ParseFloat(text)
			case rows.Bool:
				col.Bools[r], err = rows.ParseBool(text)
			case rows.Time:
				col.Times[r], err = rows.ParseTime(text)
			}
			if err != nil {
				bad = append(bad, badCell{row: r, start: start, end: end, at: start, col: i, reason: err.Error(),
					hint: "Correct the cell, read the column as a string, or pass on_bad=\"skip\"."})
			}
		}
		cols[i] = col
	}
	return bad
}

// sized returns a slice of n, reusing s.
func sized(s []uint32, n int) []uint32 {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]uint32, n)
}
