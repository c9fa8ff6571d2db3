package format

import (
	"errors"

	"github.com/dsrun/dsrun/engine/fault"
)

// DefaultLimits returns the limits that zero fields of Limits stand for.
func DefaultLimits() Limits {
	return Limits{
		RecordBytes:  16 << 20, // a record is held in memory as a whole
		Columns:      16384,    // the widest sheets of spreadsheets
		Depth:        200,
		Values:       1 << 19, // some 40 bytes each, besides their text
		Ratio:        250,     // text rarely packs beyond 100; gzip cannot beyond 1032
		Decompressed: 1 << 40,
		WindowBytes:  64 << 20, // RFC 8878 asks decoders for 8 MiB at least
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.RecordBytes <= 0 {
		l.RecordBytes = d.RecordBytes
	}
	l.RecordBytes = min(l.RecordBytes, 1<<30) // positions inside a batch are 31 bits
	if l.Columns <= 0 {
		l.Columns = d.Columns
	}
	if l.Depth <= 0 {
		l.Depth = d.Depth
	}
	if l.Values <= 0 {
		l.Values = d.Values
	}
	if l.Ratio <= 0 {
		l.Ratio = d.Ratio
	}
	if l.Decompressed <= 0 {
		l.Decompressed = d.Decompressed
	}
	if l.WindowBytes <= 0 {
		l.WindowBytes = d.WindowBytes
	}
	return l
}

func limitError(hint, format string, args ...any) error {
	return fault.Hinted(fault.Limit, hint, format, args...)
}

// errLongLine is nextLine's, which does not know the place.
var errLongLine = errors.New("long line")

// errClosed is what a writer returns after Close.
var errClosed = errors.New("the writer is closed")

// longLine gives errLongLine its place and lets other errors pass.
func longLine(err error, name string, line int64, most int64) error {
	if err != errLongLine {
		return err
	}
	return limitError("Look for missing line ends, or raise the limit on the bytes of a record.",
		"%s: the line is longer than %d bytes", linePlace(name, line), most)
}

// linePlace names a line as BadRow does.
func linePlace(name string, line int64) string {
	msg := (&BadRow{Name: name, Line: line}).Error()
	return msg[:len(msg)-len(": ")]
}
