package format

import (
	"github.com/dsrun/dsrun/engine/fault"
)

// DefaultLimits returns the limits that zero fields of Limits stand for.
func DefaultLimits() Limits {
	return Limits{
		RecordBytes:  16 << 20, // a record is held in memory as a whole
		Columns:      16384,    // the widest sheets of spreadsheets
		Depth:        200,
		Values:       1 << 20,
		Ratio:        250, // text rarely packs beyond 100; gzip cannot beyond 1032
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
