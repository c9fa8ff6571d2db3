// Package format reads and writes the file formats of tabular data, chosen by name, suffix or first bytes.
package format

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/rows"
)

// Format is one file format. Implementations hold no state.
type Format interface {
	Name() string       // the word of `format=`
	Suffixes() []string // ".csv", with the dot, lower case
	Open(ctx context.Context, in Input, o ReadOptions) (rows.Source, error)
	// Create returns a writer of rows onto w. Nothing is written after Close; Close does not close w.
	Create(w io.Writer, o WriteOptions) (Writer, error)
}

// Input is an object to read. Formats that need random access use ReadAt; the others read Body once.
type Input struct {
	Name   string // for messages and for the choice by suffix
	Size   int64  // bytes; -1 unknown
	Body   io.Reader
	ReadAt io.ReaderAt // nil where the store cannot read ranges
}

// ReadOptions say how to read. The zero value reads everything with the format's defaults.
type ReadOptions struct {
	Columns []string             // only these, in this order; nil means all
	Types   map[string]rows.Type // the types that columns are read as
	Header  *bool                // csv, tsv: the first record names the columns; nil means yes
	Names   []string             // csv, tsv without a header: the columns' names; nil means c0, c1, ...
	// OnBad is called for a record that does not fit its format or types. A nil error skips the record; nil OnBad fails.
	OnBad  func(*BadRow) error
	Limits Limits
}

// Limits bound what content chosen by a stranger can cost. Zero fields take the defaults of DefaultLimits.
type Limits struct {
	RecordBytes  int64 // one record, decompressed
	Columns      int
	Depth        int   // nesting of JSON
	Values       int   // JSON values in one record
	Ratio        int64 // decompressed bytes a compressed byte, checked beyond the first 64 MiB of output
	Decompressed int64 // total bytes of one object after decompression
	WindowBytes  int64 // zstd's window
}

// BadRow is a record that could not be read. It is also the error that ends a read without OnBad.
type BadRow struct {
	Name   string // of the input
	Line   int64  // where the record starts, from 1
	Record int64  // its number, from 1, without the header
	Column string // "" when the record as a whole is bad
	Text   string // the offending text, cut to 200 bytes
	Reason string
	Hint   string // what the person can do, one sentence; may be empty
}

// WriteOptions say how to write.
type WriteOptions struct {
	Columns []string // order of columns; nil takes the first batch's
	Header  *bool    // csv, tsv: write the header; nil means yes
}

// Writer writes batches. A batch whose columns differ from the first is an error for formats with a header.
type Writer interface {
	Write(b *rows.Batch) error
	Close() error
}
