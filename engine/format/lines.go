package format

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/rows"
)

// linesFormat is plain text: one string column named line, without the line ends LF or CRLF.
type linesFormat struct{}

func (linesFormat) Name() string       { return "lines" }
func (linesFormat) Suffixes() []string { return []string{".txt", ".log"} }

func (linesFormat) Open(_ context.Context, in Input, o ReadOptions) (rows.Source, error) {
	panic("to be built")
}
func (linesFormat) Create(w io.Writer, o WriteOptions) (Writer, error) { panic("to be built") }
