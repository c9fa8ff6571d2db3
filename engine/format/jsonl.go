package format

import (
	"context"
	"io"

	"github.com/dsrun/dsrun/engine/rows"
)

type jsonlFormat struct{}

func (jsonlFormat) Name() string       { return "jsonl" }
func (jsonlFormat) Suffixes() []string { return []string{".jsonl", ".ndjson"} }

func (jsonlFormat) Open(_ context.Context, in Input, o ReadOptions) (rows.Source, error) {
	panic("to be built")
}
func (jsonlFormat) Create(w io.Writer, o WriteOptions) (Writer, error) { panic("to be built") }
func (csvFormat) Create(w io.Writer, o WriteOptions) (Writer, error)   { panic("to be built") }
