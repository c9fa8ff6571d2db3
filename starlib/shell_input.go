package starlib

import (
	"errors"
	"strings"

	"go.starlark.net/syntax"
)

// Input gathers lines into statements: a simple one ends with its line, one in brackets or quotes with the line that closes
// them, a compound one (def, for, if, while) with the first line that is blank or not indented.
type Input struct {
	// Batch is for input that nobody types: blank lines do not end a compound statement.
	Batch bool

	lines []string
	block bool // a compound statement that is complete so far
}

// Add adds a line without its end and returns the statements that are complete now, each with the lines it consists of.
// The second may follow from a line that ended the first.
func (in *Input) Add(line string) (ready []string) {
	if in.block {
		switch {
		case strings.TrimSpace(line) == "":
			if !in.Batch {
				return in.take()
			}
		case line[0] != ' ' && line[0] != '\t' && !continues(line):
			ready = in.take()
		}
	}
	in.lines = append(in.lines, line)
	text := strings.Join(in.lines, "\n")
	switch {
	case len(in.lines) == 1 && blank(line):
		in.lines = nil
		return append(ready, text)
	case incomplete(text):
		in.block = false
	case compound(in.lines[0]):
		in.block = true
	default:
		ready = append(ready, in.take()...)
	}
	return ready
}

// Pending reports whether a statement has begun and not ended.
func (in *Input) Pending() bool { return len(in.lines) > 0 }

// End returns what was begun, at the end of the input.
func (in *Input) End() []string {
	if !in.Pending() {
		return nil
	}
	return in.take()
}

// Drop forgets what was begun.
func (in *Input) Drop() { in.lines, in.block = nil, false }

func (in *Input) take() []string {
	text := strings.Join(in.lines, "\n")
	in.Drop()
	return []string{text}
}

// blank reports whether a line holds no statement.
func blank(line string) bool {
	t := strings.TrimSpace(line)
	return t == "" || strings.HasPrefix(t, "#")
}

// continues reports whether a line that is not indented belongs to the compound statement before it.
func continues(line string) bool {
	return strings.HasPrefix(line, "else") || strings.HasPrefix(line, "elif") || strings.HasPrefix(line, "#")
}

// compound reports whether a line begins a statement with a block.
func compound(line string) bool {
	for _, word := range []string{"def ", "for ", "if ", "while "} {
		if strings.HasPrefix(line, word) {
			return true
		}
	}
	return false
}

// incomplete reports whether a text is the beginning of a statement: the parser fails at its end only.
func incomplete(text string) bool {
	if strings.HasSuffix(text, "\\") {
		return true
	}
	_, err := shellOptions.Parse("", text+"\n", 0)
	var e syntax.Error
	if err == nil || !errors.As(err, &e) {
		return false
	}
	return strings.Contains(e.Msg, "unexpected EOF") || strings.Contains(e.Msg, "got end of file")
}
