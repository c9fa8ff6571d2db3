package config

import (
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// source is one file that was read, kept to show its lines.
type source struct {
	File
	json   bool
	values bool      // a file of values for variables
	text   bool      // one value that was given as text
	broken bool      // it does not parse
	file   *hcl.File // nil: it was refused before it was parsed
	order  int

	masksOnce sync.Once
	masks     []span
}

// span is a part of a file's bytes.
type span struct{ from, to int }

// sources are the files of a configuration by name.
type sources struct{ byName map[string]*source }

func newSources() *sources { return &sources{byName: map[string]*source{}} }

func (s *sources) add(f File, values bool) *source {
	src := &source{File: f, json: strings.HasSuffix(f.Name, ".json"), values: values, order: len(s.byName)}
	s.byName[f.Name] = src
	return src
}

// addText adds a value that is no file: origin says where it comes from.
func (s *sources) addText(origin, text string) *source {
	src := s.add(File{Name: origin, Bytes: []byte(text)}, true)
	src.json, src.text = false, true
	return src
}

// slice returns the text of a place.
func (s *source) slice(r hcl.Range) []byte {
	from, to := max(0, r.Start.Byte), min(len(s.Bytes), r.End.Byte)
	if from > to {
		return nil
	}
	return s.Bytes[from:to]
}

// compare orders places: files as they were given, then by position; what has no place comes first.
func (s *sources) compare(a, b *hcl.Range) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	case a.Filename != b.Filename:
		x, y := s.byName[a.Filename], s.byName[b.Filename]
		if x == nil || y == nil {
			return strings.Compare(a.Filename, b.Filename)
		}
		return x.order - y.order
	case a.Start.Byte != b.Start.Byte:
		return a.Start.Byte - b.Start.Byte
	default:
		return a.End.Byte - b.End.Byte
	}
}
