package format

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A cell is kept as the position of the separator behind it, with flags. It starts behind the separator before it.
const (
	cellQuoted  = 1 << 31 // the cell is between quotes
	cellEscaped = 1 << 30 // and has doubled quotes inside
	cellMask    = cellEscaped - 1
)

// badCell is a record that does not fit, found while scanning or converting.
type badCell struct {
	row    int // how many good rows precede it in the batch
	order  int // how many records, good and bad, precede it in the batch
	start  int // its text
	end    int
	at     int // where the trouble is
	col    int // -1: the whole record
	reason string
	hint   string
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeroBytes sets the high bit of every byte of x that is zero, exactly.
func zeroBytes(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((x&low + low) | x | low)
}

// scan finds the cells of up to most complete records from s.pos on, and the position behind them. It leaves
// s.rows rows of s.width cells each in s.starts and s.cells; s.bad tells of records that do not fit. Eight bytes are
// compared at a time; whatever is between two structural bytes is never looked at again before it is copied.
func (s *csvSource) scan(most int, header bool) (next int, err error) {
	var (
		buf    = s.buf
		end    = s.end
		commas = uint64(s.comma) * ones
		cells  = s.cells
		width  = s.width
		row    = 0         // good rows
		k      = 0         // cells kept, row*width of earlier rows
		col    = 0         // cells of this record
		rec    = s.pos     // where this record starts
		cell   = s.pos     // where this cell starts
		p      = s.pos     // the word looked at
		flags  = uint32(0) // of this cell, when it was quoted
		comma  = s.comma
	)
	s.bad = s.bad[:0]
	s.rows, s.open = 0, false
	clear(s.escaped)
	defer func() { s.rows, s.next = row, next }()
	if most == 0 {
		return rec, nil
	}
words:
	for p < end {
		w := binary.LittleEndian.Uint64(buf[p:])
		m := zeroBytes(w^commas) | zeroBytes(w^('\n'*ones)) | zeroBytes(w^('"'*ones)) | zeroBytes(w^('\r'*ones))
		for ; m != 0; m &= m - 1 {
			i := p + bits.TrailingZeros64(m)>>3
			if i >= end {
				break words
			}
			switch c := buf[i]; c {
			case comma:
				if col < width {
					cells[k] = uint32(i) | flags
					k++
				} else if header {
					return rec, limitError("Read a file with fewer columns, or raise the limit on columns.",
						"%s: the first record has more than %d columns", s.place(rec), width)
				}
				col++
				cell = i + 1
				flags = 0
			case '\n':
				sep := i
				if sep > cell && buf[sep-1] == '\r' {
					sep--
				}
				if col == 0 && sep == rec && flags == 0 { // an empty line
					rec, cell = i+1, i+1
					continue
				}
				if col < width {
					cells[k] = uint32(sep) | flags
					k++
				}
				col++
				flags = 0
				if int64(sep-rec) > s.limits.RecordBytes {
					if row > 0 || len(s.bad) > 0 { // the rows before it come first
						return rec, nil
					}
					return rec, s.tooLong(rec)
				}
				switch {
				case header && col > width:
					return rec, limitError("Read a file with fewer columns, or raise the limit on columns.",
						"%s: the first record has more than %d columns", s.place(rec), width)
				case header:
					s.found = col
					s.starts[row] = uint32(rec)
					row++
				case col != width:
					s.bad = append(s.bad, badCell{row: row, order: row + len(s.bad), start: rec, end: sep, at: rec, col: -1,
						reason: widthReason(col, width),
						hint:   "Correct the record, or pass on_bad=\"skip\" to leave such records out."})
					k = row * width
				default:
					s.starts[row] = uint32(rec)
					row++
				}
				rec, cell, col = i+1, i+1, 0
				if row == most {
					return rec, nil
				}
				if len(s.bad) >= most {
					return rec, nil
				}
			case '\r':
				if i+1 < end && buf[i+1] == '\n' {
					continue
				}
				if i+1 == end && !s.eof {
					break words
				}
				p = s.skipBad(row, rec, i, "a carriage return without a line feed is not in quotes",
					"Convert the line ends to LF or CRLF, or quote the cell.")
				if p < 0 {
					break words
				}
				rec, cell, col, flags, k = p, p, 0, 0, row*width
				if len(s.bad) >= most {
					return rec, nil
				}
				continue words
			default: // a quote
				reason, hint := "a quote stands inside of an unquoted cell", "Quote the cell and double the quotes inside of it."
				if i == cell && flags == 0 {
					q, esc := s.closingQuote(i + 1)
					if q < 0 {
						s.open = true
						break words
					}
					if q == end && !s.eof {
						break words
					}
					if d := buf[q]; d == comma || d == '\n' || d == '\r' && q+1 < end && buf[q+1] == '\n' {
						flags = cellQuoted
						if esc {
							flags |= cellEscaped
							if col < len(s.escaped) {
								s.escaped[col] = true
							}
						}
						cell = q // so that the CR of a CRLF is not looked for inside of the quotes
						p = q
						continue words
					}
					if buf[q] == '\r' && q+1 == end && !s.eof {
						break words
					}
					i, reason = q, "text stands behind the closing quote"
					hint = "Double the quotes inside of a quoted cell."
				}
				p = s.skipBad(row, rec, i, reason, hint)
				if p < 0 {
					break words
				}
				rec, cell, col, flags, k = p, p, 0, 0, row*width
				if len(s.bad) >= most {
					return rec, nil
				}
				continue words
			}
		}
		p += 8
	}
	return rec, nil
}

// closingQuote returns the position behind the quote that closes a cell whose text starts at q, and whether quotes are
// doubled inside; -1 when it is not there.
func (s *csvSource) closingQuote(q int) (int, bool) {
	escaped := false
	for {
		j := bytes.IndexByte(s.buf[q:s.end], '"')
		if j < 0 {
			return -1, false
		}
		q += j + 1
		if q >= s.end || s.buf[q] != '"' {
			return q, escaped
		}
		escaped = true
		q++
	}
}

// skipBad notes a malformed record and returns where the next one starts: behind the next line end. -1 when that is
// not there yet.
func (s *csvSource) skipBad(row, rec, at int, reason, hint string) int {
	j := bytes.IndexByte(s.buf[at:s.end], '\n')
	if j < 0 {
		return -1
	}
	s.bad = append(s.bad, badCell{row: row, order: row + len(s.bad), start: rec, end: at + j, at: at, col: -1, reason: reason, hint: hint})
	return at + j + 1
}
